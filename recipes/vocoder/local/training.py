"""The training of the light vocoder: its settings, its checkpoints, and one step, for the product's training loop."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from discriminators import Discriminators
from losses import MelLoss, StftLoss, deceive, judge_real, match_features
from pieces import MEL
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from facevc_cli.core.settings import Limits
from facevc_cli.files.atomic import atomic_folder
from facevc_cli.training.config import RUN_LIMITS, OptimiserConfig, RunConfig
from facevc_cli.training.task import (
    Figures,
    compute_learning_rate,
    freeze_during,
    make_generator,
    ramp_up,
    set_learning_rate,
)
from facevc_cli.training.weights import METRICS, TRAINING
from facevc_cli.vocoders.hifigan import HifiganGenerator, HifiganSizes
from facevc_cli.vocoders.light import read_header, read_light_weights, save_light

Batch = dict[str, Tensor]
DISCRIMINATOR_RATE = 0.5  # times the generator's learning rate
HEARD_SALT = 1
EDGE_FRAMES = 8  # of a crop, at each end: HiFi-GAN's waveform hears frames there that the crop lacks


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig):
    steps: int = 700
    batch_size: int = 4
    crop_frames: int = 96
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(
            learning_rate=2e-5, warmup_steps=20, schedule="cosine", betas=(0.9, 0.99), gradient_clip=5.0
        )
    )
    checkpoint_every: int = 50
    validate_every: int = 100
    validation_batches: int = 6
    keep_best: bool = False  # the loss does not hear what discriminators add
    average_decay: float = 0.98
    log_every: int = 10
    workers: int = 0
    phases: float = 1.0  # weights of the losses; magnitudes have 1
    mel: float = 0.3
    adversarial: float = 0.0  # 0: no discriminators, which would take as long again
    features: float = 2.0
    adversarial_from: float = 0.6  # share of the run
    heard_frames: int = 32  # of a crop, by the discriminators
    heard_share: float = 0.5  # of a batch, by the discriminators; all take longer than the rest of a step


@dataclass(frozen=True, kw_only=True)
class Config:
    train: TrainConfig = field(default_factory=TrainConfig)


LIMITS: Mapping[str, Limits] = {
    **RUN_LIMITS,
    **dict.fromkeys(("phases", "mel", "adversarial", "features"), (0, None)),
    **dict.fromkeys(("adversarial_from", "heard_share"), (0, 1)),
    "heard_frames": (16, 2**20),
    "crop_frames": (2 * EDGE_FRAMES + 8, 2**20),
}


class LightCheckpoints:
    """Saves a folder that `--vocoder` loads, with what a resumed training needs."""

    def __init__(self, stage: str, sizes: HifiganSizes):
        self.stage, self.sizes = stage, sizes

    def save_step(
        self,
        folder: Path,
        model: nn.Module,
        step: int,
        metrics: dict[str, Any],
        training: Mapping[str, Mapping[str, Tensor]] | None,
    ) -> None:
        with atomic_folder(folder) as temporary:
            save_light(temporary, model, self.sizes, MEL.name, step, torch.float32, f"recipes/vocoder, {self.stage}")
            (temporary / METRICS).write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
            for name, tensors in (training or {}).items():
                (temporary / TRAINING).mkdir(exist_ok=True)
                kept = {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}
                save_file(kept, temporary / TRAINING / f"{name}.safetensors")

    def read_weights(self, folder: Path) -> dict[str, Tensor]:
        return read_light_weights(folder, read_header(folder))


class LightTask:
    """One step: STFT and mel losses; from a share of the run on, discriminators too."""

    def __init__(self, config: Config, sizes: HifiganSizes, seed: int):
        self.t, self.seed = config.train, seed
        self.model: nn.Module = HifiganGenerator(sizes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.stft, self.mel = StftLoss(), MelLoss()
        self.auxiliary = nn.ModuleDict()
        o = self.t.optimiser
        self.optimisers: dict[str, Optimizer] = {
            "model": AdamW(self.model.parameters(), o.learning_rate, o.betas, weight_decay=o.weight_decay)
        }
        if self.t.adversarial > 0:
            self.auxiliary["discriminators"] = Discriminators()
            self.optimisers["discriminators"] = AdamW(
                self.auxiliary["discriminators"].parameters(), o.learning_rate, (0.5, 0.9)
            )

    def prepare(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.model = accelerator.prepare(self.model)
        for name in self.auxiliary:
            self.auxiliary[name] = accelerator.prepare(self.auxiliary[name])
        self.optimisers = {name: accelerator.prepare(o) for name, o in self.optimisers.items()}
        self.stft, self.mel = self.stft.to(accelerator.device), self.mel.to(accelerator.device)

    def step(self, batch: Batch, step: int) -> Figures:
        rate = compute_learning_rate(self.t.optimiser, step, self.t.steps)
        set_learning_rate(self.optimisers["model"], rate)
        batch, made = self._speak(batch)
        loss, figures = self._compare(made, batch)
        ramp = ramp_up(step, self.t, self.t.adversarial_from, 0.05) if self.auxiliary else 0.0
        if ramp > 0:
            set_learning_rate(self.optimisers["discriminators"], DISCRIMINATOR_RATE * rate)
            own, wanted = self._cut(made, batch["teacher"], step)
            figures["discriminators"] = self._train_discriminators(own.detach(), wanted)
            adversarial, features = self._judge(own, wanted)
            figures |= {"adversarial": adversarial.detach(), "features": features.detach()}
            loss = loss + ramp * (self.t.adversarial * adversarial + self.t.features * features)
        self.optimisers["model"].zero_grad()
        self.accelerator.backward(loss)
        if self.t.optimiser.gradient_clip is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.t.optimiser.gradient_clip)
        self.optimisers["model"].step()
        return {**figures, "learning_rate": torch.tensor(rate)}

    @torch.no_grad()
    def validate(self, batch: Batch, step: int) -> Figures:
        batch, made = self._speak(batch)
        return self._compare(made, batch)[1]

    def _speak(self, batch: Batch) -> tuple[Batch, Tensor]:
        """Returns the batch and what the generator speaks, (B, n), both without the edges of the crops."""
        edge = EDGE_FRAMES * MEL.hop_samples
        made = self.model(batch["log_mel"].transpose(1, 2))[:, 0, edge:-edge]
        return batch | {name: batch[name][:, edge:-edge] for name in ("teacher", "real")}, made

    def _compare(self, made: Tensor, batch: Batch) -> tuple[Tensor, Figures]:
        magnitudes, phases = self.stft(made, batch["teacher"])
        mel = self.mel(made, batch["real"], batch["is_real"])
        loss = magnitudes + self.t.phases * phases + self.t.mel * mel
        parts = {"loss": loss, "magnitudes": magnitudes, "phases": phases, "mel": mel}
        return loss, {name: value.detach() for name, value in parts.items()}

    def _cut(self, made: Tensor, wanted: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Cuts the same part out of the first crops of both, which the discriminators hear."""
        heard = min(self.t.heard_frames * MEL.hop_samples, made.shape[1])
        spare = made.shape[1] - heard + 1
        start = int(torch.randint(spare, (1,), generator=make_generator(self.seed, step, HEARD_SALT)))
        part = slice(max(1, round(self.t.heard_share * len(made)))), slice(start, start + heard)
        return made[part], wanted[part]

    def _train_discriminators(self, made: Tensor, wanted: Tensor) -> Tensor:
        judge = self.auxiliary["discriminators"]
        loss = judge_real(judge(wanted), judge(made))
        self.optimisers["discriminators"].zero_grad()
        self.accelerator.backward(loss)
        self.optimisers["discriminators"].step()
        return loss.detach()

    def _judge(self, made: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        judge = self.auxiliary["discriminators"]
        with torch.no_grad():
            real = judge(wanted)
        with freeze_during([judge]):
            judged = judge(made)
        return deceive(judged), match_features(real, judged)
