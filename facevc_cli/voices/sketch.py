"""What is known about a voice without hearing it: enough to choose speech that is near it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VoiceSketch:
    """f0_hz: the mean F0. dvector: (256,) float32, or None if the model does not know it."""

    f0_hz: float
    dvector: np.ndarray | None = None
