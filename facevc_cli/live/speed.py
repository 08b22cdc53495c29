"""How much is converted at once: the least that this machine converts in time."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facevc_cli.conversion.stream.voice_stream import VoiceStream
from facevc_cli.core.tuning import count_usable_cpus
from facevc_cli.live.path import BLOCK_S

STEPS_FRAMES = (2, 4, 6, 8, 12, 16, 24, 32)  # of the log-mel
MOST_LOAD = 0.7  # of the step's time; the rest is for what else the machine does
FEWEST, MOST = 6, 20  # steps of one length that are tried
TRIED_S = 0.6  # of sound, if that is a number of steps between the two
WARM_UP_S = 1.0  # of sound that does not count: a stream hears less than its window at first
OpenStream = Callable[[int], VoiceStream]
USUAL = 90  # per cent of the steps take at most the time that counts


@dataclass(frozen=True)
class Speed:
    """load: the time of a step, as a share of its sound's. spare_s: how much later than usual a step may come."""

    stream: VoiceStream
    frames: int
    step_s: float
    load: float
    spare_s: float
    threads: int = 1

    @property
    def is_enough(self) -> bool:
        return self.load <= 1.0


def choose_speed(
    open_stream: Callable[[int, bool], VoiceStream],
    steps: Sequence[int] = STEPS_FRAMES,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Does `choose_step` with two threads if there are two CPUs: a step is spoken while the next is heard.

    open_stream: makes a stream with steps of so many frames; whether it speaks aside. Each of the threads runs torch on
    one CPU: it waits for no other after every layer, also if another program occupies a CPU. What is spoken aside comes
    up to a block later.
    """
    import torch

    torch.set_num_threads(1)
    aside = count_usable_cpus() > 1
    speed = choose_step(lambda frames: open_stream(frames, aside), steps, clock)
    return replace(speed, threads=1 + aside, spare_s=speed.spare_s + aside * BLOCK_S)


def choose_step(
    open_stream: OpenStream, steps: Sequence[int] = STEPS_FRAMES, clock: Callable[[], float] = time.perf_counter
) -> Speed:
    """Tries steps from the shortest on, and takes the first that needs at most 70 % of its time.

    open_stream: makes a stream with steps of so many frames. The longest is taken if none is quick enough. The
    stream that is returned is new.
    """
    for frames in sorted(steps):
        speed = measure_speed(open_stream(frames), frames, clock)
        if speed.load <= MOST_LOAD:
            break
    speed.stream.reset()
    return speed


def measure_speed(stream: VoiceStream, frames: int, clock: Callable[[], float] = time.perf_counter) -> Speed:
    """Measures steps of one stream. The first second does not count: its window fills, and something is loaded late."""
    step_s = stream.step_samples / stream.rate
    count = min(MOST, max(FEWEST, math.ceil(TRIED_S / step_s)))
    warm_up = math.ceil((stream.latency_samples + WARM_UP_S * stream.rate) / stream.step_samples)
    seconds = _time_steps(stream, warm_up + count, clock)[warm_up:]
    usual = float(np.percentile(seconds, USUAL))
    return Speed(stream, frames, step_s, usual / step_s, max(0.0, float(seconds.max() - np.median(seconds))))


def _time_steps(stream: VoiceStream, count: int, clock: Callable[[], float]) -> np.ndarray:
    """Converts noise that swells like syllables, and returns the seconds of each step."""
    noise = np.random.default_rng(0).standard_normal(stream.step_samples * count)
    swell = 0.1 * np.sin(np.pi * 4 * np.arange(len(noise)) / stream.rate) ** 2
    seconds = []
    for piece in np.split((noise * swell).astype(np.float32), count):
        began = clock()
        stream.push(piece)
        seconds.append(clock() - began)
    return np.array(seconds)
