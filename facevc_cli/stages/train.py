"""`train`: the face-voice memory on top of a pretrained model, out of features, faces and voices stores."""

import dataclasses
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from facevc_cli.core.choices import Precision
from facevc_cli.core.devices import resolve_device, seed_everything
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.corpus.store import Store
from facevc_cli.families.checkpoint import Checkpoint, load_checkpoint
from facevc_cli.families.fvmvc.config import CONVERSION_SETTINGS, Config, load_config, preset_names
from facevc_cli.families.fvmvc.face_training import TrainTask
from facevc_cli.families.fvmvc.model import FaceVC, build_model
from facevc_cli.families.fvmvc.training_inputs import FacePairs, read_inputs
from facevc_cli.training.loop import Loop, make_accelerator
from facevc_cli.training.run_folder import RunDirectory, table_hashes

STAGE = "train"
FROM_FACES = ("face_encoder.", "memory.", "face_mean", "face_std")  # what pretraining did not train


@dataclass(frozen=True)
class TrainStageConfig:
    features: Path
    faces: Path
    voices: Path
    init: Path  # a pretraining run or checkpoint
    output: Path
    pairs: Path | None = None  # table: utterance or speaker, face
    preset: str | None = None  # default: the pretraining's
    config_file: Path | None = None
    overrides: tuple[str, ...] = ()
    weights: Path | None = None
    device: str = "auto"
    precision: Precision = "no"
    seed: int = 0
    overwrite: bool = False
    stop_at: int | None = None


def run(stage: TrainStageConfig, reporter: Reporter = SILENT) -> Summary:
    """Trains, or resumes, the run in `output`; writes losses.csv, losses.png and checkpoints that `convert` takes."""
    resolve_device(stage.device)  # wrong values are told before files are read
    load_config("fvmvc" if stage.preset is None else stage.preset, stage.config_file, stage.overrides)
    pretrained = load_checkpoint(stage.init)
    config = _config(stage, pretrained)
    seed_everything(stage.seed)
    accelerator = make_accelerator(stage.device, stage.precision)
    with (
        ExitStack() as locked, Store(stage.features, "extract-features") as features, Store(stage.voices, "extract-spkemb") as voices,
        Store(stage.faces, "extract-face") as faces,
    ):  # fmt: skip
        inputs = read_inputs(
            features, voices, config, config.train, stage.seed, weights=stage.weights, faces=FacePairs(faces, stage.pairs),
            rank=accelerator.process_index, processes=accelerator.num_processes,
        )  # fmt: skip
        if inputs.frontend != pretrained.frontend:
            raise FaceVCError(
                f"{features.path} was extracted as {inputs.frontend}, but {stage.init} was pretrained on {pretrained.frontend}. "
                "Extract the features as for pretraining."
            )
        folder = RunDirectory(stage.output)
        if accelerator.is_main_process:
            locked.enter_context(folder.lock())
        hashes = {s.attributes["stage"]: s.attributes["settings_hash"] for s in (features, voices, faces)}
        hashes |= table_hashes(weights=stage.weights, pairs=stage.pairs)
        with accelerator.main_process_first():
            resume = folder.open(config, STAGE, hashes, stage.seed, stage.overwrite and accelerator.is_main_process)
        if accelerator.is_main_process:
            folder.remove_leftovers()
            folder.describe(stage.seed, str(accelerator.device))
        model = _start(pretrained, config, torch.from_numpy(inputs.voices.dvectors), stage.seed)
        if config.train.standardise_faces:
            model.set_face_statistics(torch.from_numpy(inputs.training.used_faces()))
        checkpoint = Checkpoint(model, config, inputs.frontend, STAGE, embedders={"voice": voices.settings, "face": faces.settings})
        loop = Loop(TrainTask(model, config, stage.seed), config.train, inputs.training, inputs.validation, folder, checkpoint, accelerator)
        tally = Tally(reporter)
        progress = loop.fit(tally, resume, stage.stop_at)
    return tally.summary(
        stage.output, f"facevc convert SOURCE.wav --face FACE.jpg --checkpoint {stage.output} -o out.wav",
        step=progress.step, validation=progress.validation,
    )  # fmt: skip


def _config(stage: TrainStageConfig, pretrained: Checkpoint) -> Config:
    """The pretraining's model with this command's training settings; the memory and the face side may differ from it."""
    name = pretrained.config.name if pretrained.config.name in preset_names() else "fvmvc"
    config = load_config(stage.preset or name, stage.config_file, stage.overrides, None if stage.preset else pretrained.config.model)
    free = ("slots", "temperature", "face_dim", "face_contrast", *CONVERSION_SETTINGS)
    own = dataclasses.replace(config.model, **{name: getattr(pretrained.config.model, name) for name in free})
    if own != pretrained.config.model:
        raise FaceVCError(
            f"{stage.init} was pretrained with another model than preset {config.name!r} and --config/--set say. Leave the model settings "
            f"alone but for {', '.join(free)}, or pretrain again."
        )
    return dataclasses.replace(config, pretrain=pretrained.config.pretrain)


def _start(pretrained: Checkpoint, config: Config, dvectors: torch.Tensor, seed: int) -> FaceVC:
    """A model with the pretrained weights and a new memory, its values at the training voices' centres where asked for."""
    model = build_model(config.model, "the settings")
    known = {k: v for k, v in pretrained.model.state_dict().items() if not k.startswith(FROM_FACES)}
    model.load_state_dict(known, strict=False)
    if config.train.init_memory == "kmeans":
        if config.model.speaker_encoder == "mel":
            raise FaceVCError("train.init_memory kmeans needs a speaker encoder that takes d-vectors. Use random.")
        with torch.no_grad():
            model.memory.init_values(model.embed_voice(dvectors), seed)
    return model
