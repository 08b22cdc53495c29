"""The settings that every training has, and their limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from facevc_cli.core.settings import ABOVE_ZERO, MOST_COUNT, Limits


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    learning_rate: float = 1e-3
    warmup_steps: int = 1000
    schedule: Literal["milestones", "cosine"] = "milestones"  # cosine: falls to 1/50 of the rate
    milestones: tuple[float, ...] = (0.6, 0.8, 1.0)  # shares of the run; the rate is halved after each
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    gradient_clip: float | None = None


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The settings of a training that do not depend on what it trains."""

    steps: int = 100_000
    batch_size: int = 256
    crop_frames: int = 128
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    checkpoint_every: int = 1000  # in steps; a killed run loses at most this many
    validate_every: int = 1000
    validation_batches: int = 8
    keep_best: bool = True  # also keeps the checkpoint with the lowest validation loss and uses it as the run's result
    # decay of the moving average of the weights, which are the run's result; 0: the result are the last step's weights
    average_decay: float = 0.0
    log_every: int = 20
    workers: int = 2  # processes that read crops ahead


_COUNT = (1, MOST_COUNT)
# By setting; other counts begin at 0.
RUN_LIMITS: Mapping[str, Limits] = {
    **dict.fromkeys(("steps", "checkpoint_every", "validate_every", "validation_batches", "log_every"), _COUNT),
    **dict.fromkeys(("batch_size", "crop_frames"), (1, 2**20)),
    "workers": (0, 1024),
    "average_decay": (0, 0.999999),
    "learning_rate": (ABOVE_ZERO, None),
    "weight_decay": (0, None),
    "gradient_clip": (1e-9, None),
    "milestones": (0, 1),
    "betas": (0, 0.999999),  # 1 would never forget old gradients
}
