"""Learning rate: linear warm-up, then a constant rate cut at milestones."""

from collections.abc import Sequence
from dataclasses import dataclass

from facevc_cli.core.errors import FaceVCError


@dataclass(frozen=True)
class WarmupMilestones:
    """Rate by step: rises from `start` to `peak` over `warmup` steps, then is multiplied by `factor` at each of
    `milestones` (steps).
    """

    start: float = 1e-6
    peak: float = 1e-3
    warmup: int = 0
    milestones: tuple[int, ...] = ()
    factor: float = 0.5

    def __post_init__(self) -> None:
        if self.peak <= 0 or self.start < 0 or self.warmup < 0:
            raise FaceVCError(
                f"A learning rate schedule needs peak > 0, start >= 0 and warm-up >= 0 steps; "
                f"found peak {self.peak}, start {self.start}, warm-up {self.warmup}."
            )

    @classmethod
    def from_fractions(
        cls, total: int, peak: float, warmup: int, fractions: Sequence[float], start: float = 1e-6, factor: float = 0.5
    ) -> "WarmupMilestones":
        """Makes the schedule of a run of `total` steps. Milestones are fractions of the run."""
        milestones = tuple(round(fraction * total) for fraction in fractions)
        return cls(start=start, peak=peak, warmup=min(warmup, total), milestones=milestones, factor=factor)

    def compute_rate(self, step: int) -> float:
        """Learning rate at `step`, counted from 0."""
        if step < self.warmup:
            return self.start + (self.peak - self.start) * step / self.warmup
        return self.peak * self.factor ** sum(step >= milestone for milestone in self.milestones)
