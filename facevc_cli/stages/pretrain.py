"""`pretrain`: the voice-to-voice model out of a features store and a voices store."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from facevc_cli.core.choices import Precision
from facevc_cli.core.devices import seed_everything
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.corpus.store import Store
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.families.checkpoint import TRAINING, Checkpoint, load_checkpoint, load_weights, locate, read_tensors
from facevc_cli.families.fvmvc.config import load_config
from facevc_cli.families.fvmvc.distilled_content import DistilledContentEncoder
from facevc_cli.families.fvmvc.model import FaceVC, build_model
from facevc_cli.families.fvmvc.pretraining import PretrainTask
from facevc_cli.families.fvmvc.training_inputs import read_inputs
from facevc_cli.training.loop import Loop, make_accelerator
from facevc_cli.training.run_folder import RunDirectory, table_hashes
from facevc_cli.voices.ctranslate2 import read_ctranslate2
from facevc_cli.voices.teachers.campplus import VoiceVerifier

STAGE = "pretrain"
HELPERS = "auxiliary.safetensors"


@dataclass(frozen=True)
class PretrainStageConfig:
    features: Path
    voices: Path
    output: Path
    preset: str = "fvmvc"
    config_file: Path | None = None
    overrides: tuple[str, ...] = ()
    encoder_init: Path | None = None  # folder of a CTranslate2 Whisper model: the distilled encoder starts from its first layers
    init: Path | None = None  # a run or checkpoint of this stage whose weights to start from
    verifier: Path | None = None  # safetensors of a CAM++ network
    weights: Path | None = None  # table: utterance, weight
    device: str = "auto"
    precision: Precision = "no"
    seed: int = 0
    overwrite: bool = False
    stop_at: int | None = None


def run(stage: PretrainStageConfig, reporter: Reporter = SILENT) -> Summary:
    """Trains, or resumes, the run in `output`; writes losses.csv, losses.png and checkpoints."""
    config = load_config(stage.preset, stage.config_file, stage.overrides)
    p = config.pretrain
    seed_everything(stage.seed)
    accelerator = make_accelerator(stage.device, stage.precision)
    with ExitStack() as locked, Store(stage.features, "extract-features") as features, Store(stage.voices, "extract-spkemb") as voices:
        inputs = read_inputs(
            features, voices, config, p, stage.seed, teacher=p.distillation > 0, weights=stage.weights, more=p.critic_batch if p.cross_voice > 0 else 0,
            rank=accelerator.process_index, processes=accelerator.num_processes,
        )  # fmt: skip
        folder = RunDirectory(stage.output)
        if accelerator.is_main_process:
            locked.enter_context(folder.lock())
        hashes = {"features": features.attributes["settings_hash"], "voices": voices.attributes["settings_hash"]}
        with accelerator.main_process_first():
            resume = folder.open(config, STAGE, hashes | table_hashes(weights=stage.weights), stage.seed, stage.overwrite and accelerator.is_main_process)
        if accelerator.is_main_process:
            folder.remove_leftovers()
            folder.describe(stage.seed, str(accelerator.device))
        model = build_model(config.model, "the settings")
        model.set_statistics(*map(torch.from_numpy, inputs.statistics))
        if stage.encoder_init is not None and not resume:
            _start_from_whisper(model, stage.encoder_init)
        task = PretrainTask(model, config, stage.seed, _verifier(stage.verifier, model) if p.verify_voice > 0 and stage.verifier is not None else None)
        if stage.init is not None and not resume:
            _start_from_run(task, stage.init, inputs.frontend)
        checkpoint = Checkpoint(model, config, inputs.frontend, STAGE, embedders={"voice": voices.settings})
        loop = Loop(task, p, inputs.training, inputs.validation, folder, checkpoint, accelerator)
        tally = Tally(reporter)
        progress = loop.fit(tally, resume, stage.stop_at)
    return tally.summary(
        stage.output, f"facevc train {stage.features} --faces faces.h5 --voices {stage.voices} --init {stage.output} -o runs/train",
        step=progress.step, validation=progress.validation,
    )  # fmt: skip


def _start_from_run(task: PretrainTask, init: Path, frontend: Frontend) -> None:
    """The model's weights and mel statistics of another run, and of its helpers (the teacher's bottleneck, the discriminator) those that fit."""
    source = load_checkpoint(init)
    if source.frontend != frontend:
        raise FaceVCError(f"--init {init} was trained on {source.frontend}, these features are {frontend}. Extract the features as for that run.")
    load_weights(task.model, source.model.state_dict(), f"--init {init}")
    helpers = locate(init) / TRAINING / HELPERS
    if not helpers.is_file():  # the best checkpoint travels without them; the last has them
        helpers = Path(init) / "checkpoints" / "last" / TRAINING / HELPERS
    if helpers.is_file():
        task.load_helpers(read_tensors(helpers))


def _verifier(path: Path, model: FaceVC) -> VoiceVerifier:
    verifier = VoiceVerifier(MEL_DEFINITIONS[model.config.mel])
    load_weights(verifier.network, read_tensors(path), f"--verifier {path}")
    return verifier


def _start_from_whisper(model: FaceVC, folder: Path) -> None:
    encoder = model.content_encoder
    if not isinstance(encoder, DistilledContentEncoder):
        raise FaceVCError("--encoder-init starts a distilled content encoder, but this configuration's is of another kind. Use preset starter.")
    arrays = {name: torch.from_numpy(array.astype("float32")) for name, array in read_ctranslate2(folder, "encoder/").items()}
    encoder.encoder.load_ctranslate2(arrays)
