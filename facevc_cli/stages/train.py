"""`train`: trains the link from faces to voices.

It does so for a pretrained model, on features, faces and voices stores; or for a new model of a family that needs less.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facevc_cli.core.devices import resolve_device
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.corpus.store import Store
from facevc_cli.families.base import Family, TrainingRequest
from facevc_cli.families.checkpoint import Checkpoint, load_checkpoint, locate
from facevc_cli.families.presets import find_preset_family, load_config, load_later_config
from facevc_cli.families.run_training import RunOptions, run_training
from facevc_cli.training.run_folder import hash_tables
from facevc_cli.training.weights import WEIGHTS

STAGE = "train"
FEATURES, FACES, VOICES = "extract-features", "extract-face", "extract-spkemb"  # the stages that make the stores


@dataclass(frozen=True, kw_only=True)
class TrainStageConfig(RunOptions):
    stores: tuple[Path, ...]  # one of features, faces and voices each, in any order
    faces: Path | None = None  # one of faces or voices, unless it is among `stores`
    voices: Path | None = None
    init: Path | None = None  # a pretraining run or checkpoint; None: a preset that begins anew
    pairs: Path | None = None  # table: utterance or speaker, face
    content: Path | None = None  # a run or checkpoint that hears content, for families that ask one; None: the bundled
    preset: str | None = None  # None: the preset of the pretraining


def run(stage: TrainStageConfig, reporter: Reporter = SILENT) -> Summary:
    """Starts or resumes the run in `output`. Writes losses.csv, losses.png and checkpoints that other commands use."""
    resolve_device(stage.device)  # reports wrong values before files are read
    if stage.preset is not None:
        load_config(stage.preset, stage.config_file, stage.overrides)
    family, config, pretrained = _choose_model(stage)
    tally = Tally(reporter)
    with ExitStack() as opened:
        stores = _open_stores(stage, opened)
        files = {} if stage.content is None else {"content": locate(stage.content) / WEIGHTS}
        request = TrainingRequest(
            config=config,
            seed=stage.seed,
            features=stores.get(FEATURES),
            voices=stores.get(VOICES),
            faces=stores.get(FACES),
            pairs=stage.pairs,
            sampling_weights=stage.sampling_weights,
            init=pretrained,
            init_path=stage.init,
            files=files,
        )
        hashes = {name: store.attributes["settings_hash"] for name, store in stores.items()}
        hashes |= hash_tables(weights=stage.sampling_weights, pairs=stage.pairs, **files)
        progress = run_training(family, request, STAGE, stage, hashes, tally)
    following = f"facevc convert SOURCE.wav --face FACE.jpg --checkpoint {stage.output} -o out.wav"
    if not family.converts:
        following = f"facevc nearest --face FACE.jpg RECORDINGS/ --checkpoint {stage.output}"
    return tally.summarise(stage.output, following, step=progress.step, validation=progress.validation)


def _open_stores(stage: TrainStageConfig, opened: ExitStack) -> dict[str, Store]:
    """Opens the stores, by the stage that made each. UsageError if one is there twice."""
    given = [*((path, None) for path in stage.stores), (stage.faces, FACES), (stage.voices, VOICES)]
    found: dict[str, Store] = {}
    for path, kind in given:
        if path is None:
            continue
        store = opened.enter_context(Store(path, kind))
        made_by = str(store.attributes["stage"])
        if made_by not in (FEATURES, FACES, VOICES):
            raise FaceVCError(
                f"{path}: expected a store made by {FEATURES}, {FACES} or {VOICES}, found one made by {made_by}. "
                "Pass the right file."
            )
        if made_by in found:
            raise UsageError(f"{path} and {found[made_by].path} are both stores of {made_by}. Pass one of each kind.")
        found[made_by] = store
    return found


def _choose_model(stage: TrainStageConfig) -> tuple[Family, Any, Checkpoint | None]:
    """Returns the family, the settings, and the pretrained model if there is one."""
    if stage.init is not None:
        pretrained = load_checkpoint(stage.init)
        return pretrained.family, _join_settings(stage, pretrained), pretrained
    if stage.preset is None:
        raise UsageError(
            "train needs a pretrained model, --init RUN, or a preset that begins anew, such as --preset cmpc."
        )
    family = find_preset_family(stage.preset)
    return family, load_config(stage.preset, stage.config_file, stage.overrides), None


def _join_settings(stage: TrainStageConfig, pretrained: Checkpoint) -> Any:
    """Joins the settings of the pretraining, with its model, and the settings of this training."""
    family = pretrained.family
    if stage.preset and find_preset_family(stage.preset).name != family.name:
        raise UsageError(
            f"--preset {stage.preset}: expected a preset of {stage.init}'s model family, {family.name}: "
            f"{', '.join(family.presets)}."
        )
    return load_later_config(family, pretrained.config, STAGE, stage.preset, stage.config_file, stage.overrides)
