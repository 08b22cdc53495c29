"""The interface between the loop and a training: modules, optimisers and one step."""

import contextlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from facevc_cli.corpus.crops import Batch
from facevc_cli.training.config import OptimiserConfig, RunConfig
from facevc_cli.training.schedule import WarmupMilestones

if TYPE_CHECKING:
    from accelerate import Accelerator

Figures = dict[str, Tensor]


class Task(Protocol):
    """One kind of training. `auxiliary` modules are trained too, but are not part of the model."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def auxiliary(self) -> nn.ModuleDict: ...

    @property
    def optimisers(self) -> dict[str, Optimizer]: ...

    def prepare(self, accelerator: "Accelerator") -> None:
        """Wraps modules and optimisers for the accelerator."""

    def step(self, batch: Batch, step: int) -> Figures:
        """Runs one optimisation step. Returns the figures to log, as detached scalars."""

    def validate(self, batch: Batch, step: int) -> Figures:
        """Returns the same figures without learning. `loss` decides which checkpoint is best."""


class Checkpoints(Protocol):
    """Saves and reads the trained model for the loop. Every family uses the one in families/checkpoint.py."""

    stage: str

    def save_step(
        self,
        folder: Path,
        model: nn.Module,
        step: int,
        metrics: dict[str, Any],
        training: Mapping[str, Mapping[str, Tensor]] | None,
    ) -> None:
        """Writes the model at a step, and the state that only training needs.

        A crash leaves the old checkpoint or the new one.
        """

    def read_weights(self, folder: Path) -> dict[str, Tensor]:
        """Reads the weights that `save_step` wrote. FaceVCError if they are damaged."""


def compute_learning_rate(config: OptimiserConfig, step: int, steps: int) -> float:
    """Returns the learning rate at a step, counted from 0, of a run of `steps` steps."""
    if config.schedule == "cosine":
        warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
        return config.learning_rate * warm * (0.49 * (1 + math.cos(math.pi * min(1.0, step / steps))) + 0.02)
    return WarmupMilestones.from_fractions(
        steps, config.learning_rate, config.warmup_steps, config.milestones
    ).compute_rate(step)


def set_learning_rate(optimiser: Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)


def ramp_up(step: int, config: RunConfig, start: float, length: float = 0.1) -> float:
    """Returns 0 before the share `start` of the run, then rises to 1 over the share `length`."""
    return min(1.0, max(0.0, (step / config.steps - start) / length))


@contextlib.contextmanager
def freeze_during(modules: Iterable[nn.Module]):
    """Switches off gradients of the modules' parameters inside the block."""
    parameters = [p for m in modules for p in m.parameters() if p.requires_grad]
    for p in parameters:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)


def freeze(module: nn.Module) -> None:
    """Freezes a module for good: no gradients, and always eval mode, also if its parent trains."""
    module.requires_grad_(False)
    module.eval()
    module.train = lambda mode=True: module  # type: ignore[method-assign]


def make_generator(seed: int, step: int, salt: int = 0) -> torch.Generator:
    """Makes a CPU generator that depends only on the seed, the step and the salt."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 8 + salt)
