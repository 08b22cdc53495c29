"""The voice gate: what is no speech comes out as silence."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from facevc_cli.core.errors import UsageError

FRAME_S = 0.01
LOWEST_DB, HIGHEST_DB = -90.0, -10.0


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """When the gate is open. Levels are RMS of 10 ms in dB of full scale.

    threshold_db: opens the gate; None: above the noise that is heard, and above `quietest_db`. The gate closes when the
    level was `hysteresis_db` below it for `hold_s`.
    """

    is_on: bool = True
    threshold_db: float | None = None
    above_noise_db: float = 10.0
    quietest_db: float = -55.0
    hysteresis_db: float = 4.0
    hold_s: float = 0.25
    attack_s: float = 0.01
    release_s: float = 0.08
    noise_s: float = 3.0  # the quietest frame of so long is the noise

    @classmethod
    def parse(cls, text: str) -> "GateSettings":
        """Parses auto, off, or a level such as -45. UsageError if it is something else."""
        if text in ("auto", "off"):
            return cls(is_on=text == "auto")
        try:
            level = float(text.lower().removesuffix("db"))
        except ValueError:
            level = math.nan
        if not LOWEST_DB <= level <= HIGHEST_DB:
            raise UsageError(
                f"--gate {text!r}: expected auto, off, or a level from {LOWEST_DB:g} to {HIGHEST_DB:g} dB, such as -45."
            )
        return cls(threshold_db=level)


class VoiceGate:
    """Follows a stream and returns the gain of each of its samples. The sizes of its pieces make no difference."""

    def __init__(self, rate: int, settings: GateSettings = GateSettings()):
        self.settings, self.rate = settings, rate
        self.is_open = False
        self._frame = max(1, round(FRAME_S * rate))
        self._rest = np.zeros(0, np.float32)
        self._floor: deque[float] = deque(maxlen=max(1, round(settings.noise_s / FRAME_S)))
        self._gain, self._held_s = 0.0, 0.0

    @property
    def threshold_db(self) -> float:
        """The level that opens the gate now."""
        if self.settings.threshold_db is not None:
            return self.settings.threshold_db
        noise = min(self._floor, default=self.settings.quietest_db)
        return max(self.settings.quietest_db, noise + self.settings.above_noise_db)

    def follow(self, samples: np.ndarray) -> np.ndarray:
        """Returns the gains (m,) of the whole frames that are complete now. The rest comes with the next call."""
        heard = np.concatenate([self._rest, samples])
        count = len(heard) // self._frame
        self._rest = heard[count * self._frame :]
        if not self.settings.is_on:
            return np.ones(count * self._frame, np.float32)
        frames = heard[: count * self._frame].reshape(count, self._frame)
        levels = 10 * np.log10(np.mean(np.square(frames, dtype=np.float64), axis=1) + 1e-12)
        gains = [self._follow_frame(float(level)) for level in levels]
        return np.concatenate(gains) if gains else np.zeros(0, np.float32)

    def _follow_frame(self, level_db: float) -> np.ndarray:
        threshold = self.threshold_db
        self._floor.append(level_db)
        if level_db > threshold or (self.is_open and level_db > threshold - self.settings.hysteresis_db):
            self.is_open, self._held_s = True, self.settings.hold_s
        else:
            self._held_s -= FRAME_S
            self.is_open = self._held_s > 1e-9
        towards, time_s = (1.0, self.settings.attack_s) if self.is_open else (0.0, self.settings.release_s)
        step = FRAME_S / max(FRAME_S, time_s)
        reached = min(towards, self._gain + step) if towards else max(towards, self._gain - step)
        gains = np.linspace(self._gain, reached, self._frame + 1, dtype=np.float32)[1:]
        self._gain = reached
        return gains
