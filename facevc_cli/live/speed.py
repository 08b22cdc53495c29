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
LATE = 95  # per cent of the steps come at most as late as counts


@dataclass(frozen=True)
class Speed:
    """load: the time of a step, as a share of its sound's. spare_s: how much later than the first a step may come.

    aside: a step is spoken while the next is heard.
    """

    stream: VoiceStream
    frames: int
    step_s: float
    load: float
    spare_s: float
    aside: bool = False

    @property
    def is_enough(self) -> bool:
        return self.load <= 1.0


def choose_speed(
    open_stream: OpenStream, steps: Sequence[int] = STEPS_FRAMES, clock: Callable[[], float] = time.perf_counter
) -> Speed:
    """Does `choose_step` with two threads if there are two CPUs. Each of them runs torch on one CPU: it waits for no
    other after every layer, also if another program occupies a CPU.

    spare_s of the result has room for a step that comes a block later, because it is not a whole number of blocks.
    """
    import torch

    torch.set_num_threads(1)
    speed = choose_step(open_stream, steps, clock, aside=count_usable_cpus() > 1)
    return replace(speed, spare_s=speed.spare_s + BLOCK_S)


def choose_step(
    open_stream: OpenStream,
    steps: Sequence[int] = STEPS_FRAMES,
    clock: Callable[[], float] = time.perf_counter,
    *,
    aside: bool = False,
) -> Speed:
    """Tries steps from the shortest on, and takes the first that needs at most 70 % of its time.

    open_stream: makes a stream with steps of so many frames. The longest is taken if none is quick enough. The
    stream that is returned is new. aside: a step is spoken while the next is heard.
    """
    *shorter, longest = sorted(steps)
    for frames in shorter:
        speed = measure_speed(open_stream(frames), frames, clock, aside=aside, most_load=MOST_LOAD)
        if speed.load <= MOST_LOAD:
            break
    else:
        speed = measure_speed(open_stream(longest), longest, clock, aside=aside)
    return speed


def measure_speed(
    stream: VoiceStream,
    frames: int,
    clock: Callable[[], float] = time.perf_counter,
    *,
    aside: bool = False,
    most_load: float = math.inf,
) -> Speed:
    """Measures steps of one stream. The first second does not count: its window fills.

    A few steps are tried before, because something is loaded late. most_load: above it, the load of the quickest of
    these will do.
    """
    spoken_s: list[float] = []
    if aside:
        stream.speak_into(lambda samples: spoken_s.append(clock()))
    step_s = stream.step_samples / stream.rate
    silent = math.ceil(stream.latency_samples / stream.step_samples)
    _, tried = _time_pushes(stream, silent + FEWEST, clock)
    if (quickest := float(tried[silent:].min()) / step_s) > most_load:
        return Speed(stream, frames, step_s, quickest, 0.0, aside)
    spoken_s.clear()
    warm_up = silent + math.ceil(WARM_UP_S / step_s)
    begun_s, seconds = _time_pushes(stream, warm_up + min(MOST, max(FEWEST, math.ceil(TRIED_S / step_s))), clock)
    delays = spoken_s - begun_s[-len(spoken_s) :] if spoken_s else seconds[silent:]
    load, late_s = np.percentile(seconds[warm_up:], USUAL) / step_s, np.percentile(delays, LATE) - delays[0]
    return Speed(stream, frames, step_s, float(load), max(0.0, float(late_s)), aside)


def _time_pushes(stream: VoiceStream, count: int, clock: Callable[[], float]) -> tuple[np.ndarray, np.ndarray]:
    """Converts noise that swells like syllables. Returns when each step was pushed, and how long that took."""
    noise = np.random.default_rng(0).standard_normal(stream.step_samples * count)
    swell = 0.1 * np.sin(np.pi * 4 * np.arange(len(noise)) / stream.rate) ** 2
    begun_s, seconds = np.zeros(count), np.zeros(count)
    for i, piece in enumerate(np.split((noise * swell).astype(np.float32), count)):
        begun_s[i] = clock()
        stream.push(piece)
        seconds[i] = clock() - begun_s[i]
    stream.reset()  # after the last step is spoken
    return begun_s, seconds
