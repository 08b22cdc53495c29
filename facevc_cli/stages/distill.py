"""`distill`: trains the causal content encoder of a finished model on a features store."""

from dataclasses import dataclass
from pathlib import Path

from facevc_cli.core.devices import resolve_device
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.corpus.store import Store
from facevc_cli.families.base import TrainingRequest
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.families.presets import load_later_config
from facevc_cli.families.run_training import RunOptions, run_training
from facevc_cli.training.run_folder import hash_tables

STAGE = "distill"


@dataclass(frozen=True, kw_only=True)
class DistillStageConfig(RunOptions):
    features: Path
    init: Path | None = None  # a run or checkpoint of a finished model; None: the bundled starter


def run(stage: DistillStageConfig, reporter: Reporter = SILENT) -> Summary:
    """Starts or resumes the run in `output`. Its checkpoints convert files as the model did, and speech as it comes."""
    resolve_device(stage.device)  # reports a wrong value before files are read
    finished = load_checkpoint(stage.init)
    family = finished.family
    config = load_later_config(family, finished.config, STAGE, file=stage.config_file, overrides=stage.overrides)
    tally = Tally(reporter)
    with Store(stage.features, "extract-features") as features:
        request = TrainingRequest(
            config=config,
            seed=stage.seed,
            features=features,
            sampling_weights=stage.sampling_weights,
            init=finished,
            init_path=stage.init,
        )
        hashes = {"features": features.attributes["settings_hash"], "init": finished.weights_sha256}
        hashes |= hash_tables(weights=stage.sampling_weights)
        progress = run_training(family, request, STAGE, stage, hashes, tally)
    following = f"facevc convert SOURCE.wav --face FACE.jpg --checkpoint {stage.output} -o out.wav"
    return tally.summarise(stage.output, following, step=progress.step, validation=progress.validation)
