"""`pretrain`: trains the voice-to-voice model on a features store and a voices store."""

from dataclasses import dataclass
from pathlib import Path

from facevc_cli.core.devices import resolve_device
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.corpus.store import Store
from facevc_cli.families.base import TrainingRequest
from facevc_cli.families.presets import find_preset_family, load_config
from facevc_cli.families.run_training import RunOptions, run_training
from facevc_cli.training.run_folder import hash_tables

STAGE = "pretrain"


@dataclass(frozen=True, kw_only=True)
class PretrainStageConfig(RunOptions):
    features: Path
    voices: Path
    preset: str = "fvmvc"
    # folder of a CTranslate2 Whisper model; the distilled encoder starts from its first layers
    encoder_init: Path | None = None
    init: Path | None = None  # a run or checkpoint of this stage; training starts from its weights
    aligned: Path | None = None  # table: utterance, text_id; utterances of one text are aligned frame by frame


def run(stage: PretrainStageConfig, reporter: Reporter = SILENT) -> Summary:
    """Starts or resumes the run in `output`. Writes losses.csv, losses.png and checkpoints."""
    resolve_device(stage.device)  # reports a wrong value before files are read
    config, family = load_config(stage.preset, stage.config_file, stage.overrides), find_preset_family(stage.preset)
    files = {"encoder-init": stage.encoder_init, "aligned": stage.aligned}
    tally = Tally(reporter)
    with Store(stage.features, "extract-features") as features, Store(stage.voices, "extract-spkemb") as voices:
        request = TrainingRequest(
            config=config,
            seed=stage.seed,
            features=features,
            voices=voices,
            sampling_weights=stage.sampling_weights,
            init_path=stage.init,
            files={name: path for name, path in files.items() if path is not None},
        )
        hashes = {"features": features.attributes["settings_hash"], "voices": voices.attributes["settings_hash"]}
        hashes |= hash_tables(weights=stage.sampling_weights, aligned=stage.aligned)
        progress = run_training(family, request, STAGE, stage, hashes, tally)
    following = (
        f"facevc train {stage.features} --faces faces.h5 --voices {stage.voices} --init {stage.output} -o runs/train"
    )
    return tally.summarise(stage.output, following, step=progress.step, validation=progress.validation)
