"""The training of the causal content encoder: it learns to hear what the model's own content encoder hears.

All else of the model is frozen and comes out as it went in, so the result converts files as before, and streams too.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.corpus.crops import Batch
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.families.base import TrainingRequest
from facevc_cli.families.fvmvc.config import Config
from facevc_cli.families.fvmvc.model import FaceVC, build_model
from facevc_cli.families.fvmvc.recording_conditions import RecordingConditions, degrade_share
from facevc_cli.families.fvmvc.training_inputs import read_inputs
from facevc_cli.training.task import Figures, compute_learning_rate, freeze, make_generator, set_learning_rate

if TYPE_CHECKING:
    from accelerate import Accelerator

STUDENT = "stream_encoder"
UNHEARD_FRAMES = 12  # of content at a crop's beginning: their past is missing, so they do not count
CONDITIONS_SALT = 7


class Distillation:
    """Trains the causal content encoder of a finished model on a store of features."""

    def __init__(self, request: TrainingRequest):
        if request.features is None or request.init is None:
            raise UsageError("distill needs a store of extract-features, and --init with the model that is to stream.")
        self.request, self.teacher, self.run = request, request.init, request.config.distill
        if not request.config.model.stream_encoder.width:
            raise UsageError(
                "model.stream_encoder.width is 0, so there is no causal content encoder to train. Pass --set "
                "model.stream_encoder.width=320."
            )
        least = 2 * UNHEARD_FRAMES + request.config.model.stream_encoder.lookahead_frames + 2
        if self.run.crop_frames < least:
            raise UsageError(
                f"distill.crop_frames={self.run.crop_frames}: expected at least {least}, because a crop's first frames "
                "do not count."
            )
        inputs = read_inputs(
            request.features,
            None,
            request.config,
            self.run,
            request.seed,
            weights=request.sampling_weights,
            rank=request.rank,
            processes=request.processes,
        )
        self.training, self.validation, self.frontend = inputs.training, inputs.validation, inputs.frontend
        if self.frontend != request.init.frontend:
            raise FaceVCError(
                f"{request.features.path} was extracted as {self.frontend}, but {request.init_path} works on "
                f"{request.init.frontend}. Extract the features as for that model."
            )

    def make_task(self, resume: bool) -> "DistillTask":
        config = self.request.config
        model = build_model(config.model, "the settings")
        known = {k: v for k, v in self.teacher.model.state_dict().items() if not k.startswith(STUDENT)}
        wrong = model.load_state_dict(known, strict=False)
        missing = [name for name in wrong.missing_keys if not name.startswith(STUDENT)]
        if missing or wrong.unexpected_keys:
            raise FaceVCError(
                f"{self.request.init_path} and the settings describe different models "
                f"({(missing + wrong.unexpected_keys)[0]}). Change nothing of model but model.stream_encoder."
            )
        return DistillTask(model, config, self.request.seed)


class ContentDistance(nn.Module):
    """The distance of the student's estimates from the content. One module, so that several devices can share it."""

    def __init__(self, model: FaceVC):
        super().__init__()
        self.model = model

    def forward(self, heard: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised log-mels (B, n_mels, T), of which the first may be degraded -> for each lag the mean squared
        error and the cosine, (1 + lags,) each.
        """
        with torch.no_grad():
            content = self.model.hear_content(mel)
        made = self.model.get_stream_encoder()(heard)[0]
        errors, cosines = [], []
        for lag in range(made.shape[2]):
            wanted = content[:, UNHEARD_FRAMES : content.shape[1] - lag]
            found = made[:, UNHEARD_FRAMES + lag :, lag]
            errors.append(F.mse_loss(found, wanted))
            cosines.append(F.cosine_similarity(found, wanted, dim=-1).mean())
        return torch.stack(errors), torch.stack(cosines)


class DistillTask:
    def __init__(self, model: FaceVC, config: Config, seed: int):
        self.model, self.d, self.seed = model, config.distill, seed
        for name, module in model.named_children():
            if name != STUDENT:
                freeze(module)
        self.conditions = RecordingConditions(MEL_DEFINITIONS[config.model.mel])
        self.auxiliary = nn.ModuleDict({"distance": ContentDistance(model)})
        o = self.d.optimiser
        self.optimisers: dict[str, Optimizer] = {
            "model": AdamW(
                model.get_stream_encoder().parameters(), o.learning_rate, o.betas, weight_decay=o.weight_decay
            )
        }

    def prepare(self, accelerator: "Accelerator") -> None:
        self.accelerator = accelerator
        self.model.to(accelerator.device)
        self.auxiliary["distance"] = accelerator.prepare(self.auxiliary["distance"])
        self.optimisers = {name: accelerator.prepare(o) for name, o in self.optimisers.items()}

    def step(self, batch: Batch, step: int) -> Figures:
        d = self.d
        set_learning_rate(self.optimisers["model"], compute_learning_rate(d.optimiser, step, d.steps))
        figures = self._measure(self._degrade(batch["mel"], step), batch["mel"])
        self.optimisers["model"].zero_grad()
        self.accelerator.backward(figures["loss"])
        if d.optimiser.gradient_clip is not None:
            self.accelerator.clip_grad_norm_(self.model.get_stream_encoder().parameters(), d.optimiser.gradient_clip)
        self.optimisers["model"].step()
        return {name: value.detach() for name, value in figures.items()}

    @torch.no_grad()
    def validate(self, batch: Batch, step: int) -> Figures:
        return self._measure(batch["mel"], batch["mel"])

    def _measure(self, heard: Tensor, mel: Tensor) -> Figures:
        errors, cosines = self.auxiliary["distance"](heard.transpose(1, 2), mel.transpose(1, 2))
        loss = errors.mean() + self.d.cosine * (1 - cosines.mean())
        return {"loss": loss, "cosine_at_once": cosines[0], "cosine": cosines[-1]}

    def _degrade(self, mel: Tensor, step: int) -> Tensor:
        """What the student hears: some crops with another room, noise and microphone."""
        draw = make_generator(self.seed, step, CONDITIONS_SALT)
        return degrade_share(self.conditions, self.model, mel, self.d.degrade_recordings, draw)
