"""`train`: trains the link from faces to voices of a pretrained model, on features, faces and voices stores."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facevc_cli.core.choices import Precision
from facevc_cli.core.devices import resolve_device
from facevc_cli.core.errors import UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.corpus.store import Store
from facevc_cli.families.base import TrainingRequest
from facevc_cli.families.checkpoint import Checkpoint, load_checkpoint
from facevc_cli.families.presets import find_preset_family, load_config
from facevc_cli.families.run_training import RunOptions, run_training
from facevc_cli.training.run_folder import hash_tables

STAGE = "train"


@dataclass(frozen=True, kw_only=True)
class TrainStageConfig:
    features: Path
    faces: Path
    voices: Path
    init: Path  # a pretraining run or checkpoint
    output: Path
    pairs: Path | None = None  # table: utterance or speaker, face
    preset: str | None = None  # None: the preset of the pretraining
    config_file: Path | None = None
    overrides: tuple[str, ...] = ()
    sampling_weights: Path | None = None  # table: utterance, weight
    device: str = "auto"
    precision: Precision = "no"
    seed: int = 0
    overwrite: bool = False
    stop_at: int | None = None


def run(stage: TrainStageConfig, reporter: Reporter = SILENT) -> Summary:
    """Starts or resumes the run in `output`. Writes losses.csv, losses.png and checkpoints that `convert` can use."""
    resolve_device(stage.device)  # reports wrong values before files are read
    if stage.preset is not None:
        load_config(stage.preset, stage.config_file, stage.overrides)
    pretrained = load_checkpoint(stage.init)
    config = _make_config(stage, pretrained)
    tally = Tally(reporter)
    with (
        Store(stage.features, "extract-features") as features,
        Store(stage.voices, "extract-spkemb") as voices,
        Store(stage.faces, "extract-face") as faces,
    ):
        request = TrainingRequest(
            config=config,
            seed=stage.seed,
            features=features,
            voices=voices,
            faces=faces,
            pairs=stage.pairs,
            sampling_weights=stage.sampling_weights,
            init=pretrained,
            init_path=stage.init,
        )
        hashes = {s.attributes["stage"]: s.attributes["settings_hash"] for s in (features, voices, faces)}
        hashes |= hash_tables(weights=stage.sampling_weights, pairs=stage.pairs)
        options = RunOptions(
            stage=STAGE,
            output=stage.output,
            inputs=hashes,
            device=stage.device,
            precision=stage.precision,
            overwrite=stage.overwrite,
            stop_at=stage.stop_at,
        )
        progress = run_training(pretrained.family, request, options, tally)
    following = f"facevc convert SOURCE.wav --face FACE.jpg --checkpoint {stage.output} -o out.wav"
    return tally.summarise(stage.output, following, step=progress.step, validation=progress.validation)


def _make_config(stage: TrainStageConfig, pretrained: Checkpoint) -> Any:
    """Joins the settings of the pretraining, with its model, and the settings of this training."""
    family, found = pretrained.family, pretrained.config
    name = found.name if found.name in family.presets else next(iter(family.presets))
    if stage.preset and find_preset_family(stage.preset).name != family.name:
        raise UsageError(
            f"--preset {stage.preset}: expected a preset of {stage.init}'s model family, {family.name}: "
            f"{', '.join(family.presets)}."
        )
    config = load_config(stage.preset or name, stage.config_file, stage.overrides, None if stage.preset else found)
    others = {training: getattr(found, training) for training in family.trainings if training != STAGE}
    return dataclasses.replace(config, **others)
