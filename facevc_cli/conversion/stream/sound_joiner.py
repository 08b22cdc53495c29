"""Joins the pieces that a vocoder makes step by step, and sets their level."""

import numpy as np

LIMIT = 0.99


class SoundJoiner:
    """Crossfades each piece with what the step before had forecast for the same time."""

    def __init__(self, crossfade_samples: int):
        self.crossfade_samples = crossfade_samples
        self.reset()

    def reset(self) -> None:
        self._forecast = np.zeros(0, np.float32)
        self._gain: float | None = None

    def join(self, spoken: np.ndarray, forecast: np.ndarray, *, longest: bool = False) -> np.ndarray:
        """(n,) samples and what follows them, if nothing changes -> (n,) samples without a seam.

        longest: crossfades over the whole forecast, for another voice.
        """
        most = len(self._forecast) if longest else self.crossfade_samples
        count = min(most, len(self._forecast), len(spoken))
        joined = spoken.copy()
        if count:
            share = (np.arange(count, dtype=np.float32) + 0.5) / count
            joined[:count] = (1 - share) * self._forecast[:count] + share * spoken[:count]
        self._forecast = forecast
        return joined

    def match_level(self, joined: np.ndarray, gain: float) -> tuple[np.ndarray, float]:
        """Multiplies (n,) by a gain that is reached within them, and is lower if they would clip: the result, and the
        gain at its end.
        """
        loudest = float(np.abs(joined).max(initial=0.0))
        gain = min(gain, LIMIT / loudest) if loudest > 0 else gain
        before = gain if self._gain is None else self._gain
        self._gain = gain
        ramp = np.linspace(before, gain, len(joined), endpoint=False, dtype=np.float32)
        return np.clip(joined * ramp, -LIMIT, LIMIT), gain
