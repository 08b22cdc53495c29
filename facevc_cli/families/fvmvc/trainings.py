"""The two trainings of this family. Each turns a command's request into a task for the loop."""

import dataclasses
from pathlib import Path

import torch

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.families.base import TrainingRequest
from facevc_cli.families.checkpoint import Checkpoint, load_checkpoint, locate
from facevc_cli.families.fvmvc.config import Config
from facevc_cli.families.fvmvc.distilled_content import DistilledContentEncoder
from facevc_cli.families.fvmvc.face_training import TrainTask
from facevc_cli.families.fvmvc.model import FaceVC, build_model
from facevc_cli.families.fvmvc.pretraining import PretrainTask
from facevc_cli.families.fvmvc.training_inputs import FacePairs, read_inputs
from facevc_cli.training.weights import TRAINING, load_weights, read_tensors
from facevc_cli.voices.ctranslate2 import read_ctranslate2

HELPERS = "auxiliary.safetensors"
FROM_FACES = ("face_encoder.", "memory.", "face_mean", "face_std")  # parts that pretraining does not train
FOR_RECORDINGS = ("decoder.recording.", "decoder.attentions.")
FITTED_BATCHES = 48  # of training, to which a bottleneck is fitted
# model settings that may differ between `train` and `pretrain`
FREE = ("slots", "temperature", "face_dim", "face_contrast", "stream_encoder")


class Pretraining:
    """Trains the voice-to-voice model on a features store and a voices store."""

    def __init__(self, request: TrainingRequest):
        if request.features is None or request.voices is None:
            raise UsageError("pretrain needs a store of extract-features and a store of extract-spkemb.")
        self.request, self.run = request, request.config.pretrain
        p = self.run
        aligned = request.files.get("aligned") if p.aligns else None
        if aligned is None and p.aligns:
            raise FaceVCError(
                "pretrain.aligned_voice and pretrain.aligned_content need aligned utterances. Pass --aligned TABLE, or "
                "set both to 0."
            )
        inputs = read_inputs(
            request.features,
            request.voices,
            request.config,
            p,
            request.seed,
            teacher=p.distillation > 0,
            weights=request.sampling_weights,
            more=p.critic_batch if p.cross_voice > 0 else 0,
            aligned=aligned,
            references=request.config.model.decoder.recording_tokens > 0,
            rank=request.rank,
            processes=request.processes,
        )
        self.training, self.validation, self.frontend = inputs.training, inputs.validation, inputs.frontend
        self.statistics = inputs.statistics

    def make_task(self, resume: bool) -> PretrainTask:
        request = self.request
        model = build_model(request.config.model, "the settings")
        model.set_statistics(*map(torch.from_numpy, self.statistics))
        encoder = request.files.get("encoder-init")
        if encoder is not None and not resume:
            _start_from_whisper(model, encoder)
        task = PretrainTask(model, request.config, request.seed)
        if request.init_path is not None and not resume:
            self._start_from_run(task, request.init_path)
        return task

    def _start_from_run(self, task: PretrainTask, init: Path) -> None:
        """Loads another run's model weights and mel statistics, and its helpers that fit (teacher's bottleneck,
        discriminator).

        A checkpoint without helpers, such as the bundled one, gets a bottleneck that fits its content encoder. A
        decoder without recording tokens gets new ones.
        """
        source = load_checkpoint(init)
        if source.frontend != self.frontend:
            raise FaceVCError(
                f"--init {init} was trained on {source.frontend}, but these features are {self.frontend}. Extract the "
                "features as for that run."
            )
        weights = source.model.state_dict()
        if source.config.model.decoder.recording_tokens == 0:
            new = {k: v for k, v in task.model.state_dict().items() if k.startswith(FOR_RECORDINGS)}
            # scaled by zero, what is new changes nothing at first
            weights |= {k: torch.zeros_like(v) if k.endswith(".layer_scale") else v for k, v in new.items()}
        load_weights(task.model, weights, f"--init {init}")
        helpers = locate(init) / TRAINING / HELPERS
        if not helpers.is_file():  # only the last checkpoint has them, not the best
            helpers = Path(init) / "checkpoints" / "last" / TRAINING / HELPERS
        known = read_tensors(helpers) if helpers.is_file() else {}
        task.load_helpers(known)
        if not any(".bottleneck." in name for name in known):
            task.fit_bottleneck(self.training[step] for step in range(FITTED_BATCHES))


class FaceTraining:
    """Trains the face-voice memory of a pretrained model on features, faces and voices stores."""

    def __init__(self, request: TrainingRequest):
        given = {
            "features.h5": request.features,
            "--faces STORE": request.faces,
            "--voices STORE": request.voices,
            "--init RUN": request.init,
        }
        if request.features is None or request.faces is None or request.voices is None or request.init is None:
            missing = [name for name, found in given.items() if found is None]
            raise UsageError(
                f"preset {request.config.name!r} trains on a pretrained model, with stores of features, faces and "
                f"voices. Missing: {', '.join(missing)}. Presets of the family cmpc need no --init."
            )
        self.request, self.pretrained, self.run = request, request.init, request.config.train
        _check_model(request.config, self.pretrained, request.init_path)
        inputs = read_inputs(
            request.features,
            request.voices,
            request.config,
            self.run,
            request.seed,
            weights=request.sampling_weights,
            faces=FacePairs(request.faces, request.pairs),
            rank=request.rank,
            processes=request.processes,
        )
        self.training, self.validation, self.frontend = inputs.training, inputs.validation, inputs.frontend
        self.dvectors = torch.from_numpy(inputs.voices.dvectors)
        if self.frontend != self.pretrained.frontend:
            raise FaceVCError(
                f"{request.features.path} was extracted as {self.frontend}, but {request.init_path} was pretrained on "
                f"{self.pretrained.frontend}. Extract the features as for pretraining."
            )

    def make_task(self, resume: bool) -> TrainTask:
        config = self.request.config
        model = self._start()
        if config.train.standardise_faces:
            model.set_face_statistics(torch.from_numpy(self.training.list_used_faces()))
        return TrainTask(model, config, self.request.seed)

    def _start(self) -> FaceVC:
        """Builds a model with the pretrained weights and a new memory.

        If `init_memory` is kmeans, its values are centres of the training voices.
        """
        config = self.request.config
        model = build_model(config.model, "the settings")
        known = {k: v for k, v in self.pretrained.model.state_dict().items() if not k.startswith(FROM_FACES)}
        model.load_state_dict(known, strict=False)
        if config.train.init_memory == "kmeans":
            if config.model.speaker_encoder == "mel":
                raise FaceVCError("train.init_memory kmeans needs a speaker encoder that takes d-vectors. Use random.")
            with torch.no_grad():
                model.memory.initialise_values(model.embed_voice(self.dvectors), self.request.seed)
        return model


def _check_model(config: Config, pretrained: Checkpoint, init: Path | None) -> None:
    """Raises FaceVCError if the model settings differ from the pretraining's.

    Settings of memory and face (FREE) may differ.
    """
    own = dataclasses.replace(config.model, **{name: getattr(pretrained.config.model, name) for name in FREE})
    if own != pretrained.config.model:
        raise FaceVCError(
            f"{init} was pretrained with another model than preset {config.name!r} and --config/--set say. Leave the "
            f"model settings alone but for {', '.join(FREE)}, or pretrain again."
        )


def _start_from_whisper(model: FaceVC, folder: Path) -> None:
    encoder = model.content_encoder
    if not isinstance(encoder, DistilledContentEncoder):
        raise FaceVCError(
            "--encoder-init needs a distilled content encoder, but this configuration has another kind. Use preset "
            "starter."
        )
    arrays = {
        name: torch.from_numpy(array.astype("float32")) for name, array in read_ctranslate2(folder, "encoder/").items()
    }
    encoder.encoder.load_ctranslate2(arrays)
