"""Converts a recording through a stream against a simulated clock: what would a microphone and a speaker have heard?

The clock is simulated, the work is not: each push is really done and timed. A block arrives when its last sample is
spoken. One worker takes the blocks in order, each when it is there and the one before is done.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facevc_cli.conversion.stream.voice_stream import VoiceStream


@dataclass(frozen=True)
class SimulatedRun:
    """The output of a stream and its times. n: pushes, the flush not included; m: pushes that returned samples."""

    samples: np.ndarray  # (total,) float32, as long as the input
    rate: int  # Hz
    latency_samples: int  # of the stream, without computing
    push_seconds: np.ndarray  # (n,) time of each push
    step_seconds: np.ndarray  # (m,) time of the pushes that returned samples
    delays_s: np.ndarray  # (m,) from speaking the first returned sample until the push returned it
    busy: float  # computing time as a share of the recording's length


def simulate_stream(
    stream: VoiceStream,
    samples: np.ndarray,
    rate: int,
    *,
    block_samples: int,
    clock: Callable[[], float] = time.perf_counter,
) -> SimulatedRun:
    """Pushes (n,) at `rate` Hz, which must be the stream's, in blocks, then flushes.

    clock: gives the time in seconds; time.process_time counts the process's own work on a busy machine.
    """
    if rate != stream.rate:
        raise ValueError(f"expected sound at the stream's rate of {stream.rate} Hz, found {rate} Hz")
    if block_samples < 1:
        raise ValueError(f"expected blocks of at least one sample, found {block_samples}")
    parts, push_seconds, step_seconds, delays = [], [], [], []
    returned, free_at = 0, 0.0  # samples so far; when the worker is done with the blocks so far
    for start in range(0, len(samples), block_samples):
        block = samples[start : start + block_samples]
        began = clock()
        part = stream.push(block)
        took = clock() - began
        free_at = max(free_at, (start + len(block)) / rate) + took
        push_seconds.append(took)
        if len(part):
            step_seconds.append(took)
            delays.append(free_at - returned / rate)
            parts.append(part)
            returned += len(part)
    parts.append(stream.flush())
    busy = sum(push_seconds) * rate / max(1, len(samples))
    return SimulatedRun(
        np.concatenate(parts),
        rate,
        stream.latency_samples,
        np.array(push_seconds),
        np.array(step_seconds),
        np.array(delays),
        busy,
    )
