"""Stand-ins for what a live session needs: converters, and a device with a clock of its own."""

import time
from collections.abc import Callable

import numpy as np

from facevc_cli.conversion.stream.voice_stream import Sink
from facevc_cli.live.path import LivePath


class DelayConverter:
    """Returns what it gets, in whole steps, each when what it looks ahead is there. takes_s: sleeps in each push."""

    def __init__(self, rate: int = 16000, step_samples: int = 480, lookahead_samples: int = 320, takes_s: float = 0.0):
        self.rate, self.step_samples, self.takes_s = rate, step_samples, takes_s
        self.latency_samples, self.lookahead_samples = step_samples + lookahead_samples, lookahead_samples
        self.voices: list[object] = []
        self.resets = 0
        self.sink: Sink | None = None
        self.pushed: list[np.ndarray] = []
        self.reset()

    def push(self, samples: np.ndarray) -> np.ndarray:
        time.sleep(self.takes_s)
        self.pushed.append(samples)
        self._kept = np.concatenate([self._kept, samples])
        ready = max(0, len(self._kept) - self.lookahead_samples) // self.step_samples * self.step_samples
        made, self._kept = self._kept[:ready], self._kept[ready:]
        if self.sink is None:
            return made
        self.sink(made)
        return made[:0]

    def speak_into(self, sink: Sink) -> None:
        self.sink = sink

    def flush(self) -> np.ndarray:
        made, self._kept = self._kept, self._kept[:0]
        return made

    def reset(self) -> None:
        self.resets += 1
        self._kept = np.zeros(0, np.float32)

    def set_voice(self, target: object) -> None:
        self.voices.append(target)

    def calibrate(self, recording: object) -> None: ...


def run_on_clock(path: LivePath, wav: np.ndarray, cost_s: Callable[[int], float], block_s: float = 0.01) -> np.ndarray:
    """Runs a path against a clock that is only counted: what was played (n,).

    cost_s: the seconds that the worker needs for so many samples that it returns. No thread is involved, so every run
    is the same.
    """
    size, free_at = round(block_s * path.in_rate), 0.0
    played, pending = [], None
    for i in range(len(wav) // size):
        now = (i + 1) * block_s
        while free_at <= now:
            if pending is not None:
                path.give(pending)
                pending = None
            step = path.take()
            if step is None:
                break
            pending = path.convert(step)
            free_at = max(free_at, now - block_s) + cost_s(len(pending))
        path.capture(wav[i * size : (i + 1) * size], now)
        played.append(path.play(round(block_s * path.out_rate), now))
    return np.concatenate(played)


def make_tone(seconds: float, rate: int = 16000, hz: float = 200.0, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def find_largest_jump(wav: np.ndarray) -> float:
    """The largest difference between two neighbours."""
    return float(np.abs(np.diff(wav)).max())
