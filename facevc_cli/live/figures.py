"""What a live session measures of itself, in constant memory."""

import time
from collections import deque
from typing import Any

import numpy as np

LONGEST_MS = 4000  # a longer latency counts as this one
KEPT_SECONDS = 24 * 3600  # of the course of the latency


class Latencies:
    """A histogram in steps of 1 ms."""

    def __init__(self) -> None:
        self._counts = np.zeros(LONGEST_MS + 1, np.int64)

    def add(self, seconds: float) -> None:
        self._counts[min(LONGEST_MS, max(0, round(seconds * 1000)))] += 1

    def find_percentile_ms(self, percent: float) -> int | None:
        """The smallest latency that so many per cent do not exceed. None if there are none yet."""
        total = int(self._counts.sum())
        if not total:
            return None
        return int(np.searchsorted(np.cumsum(self._counts), np.ceil(total * percent / 100)))

    def clear(self) -> None:
        self._counts[:] = 0


class LiveFigures:
    """Counts of a session. The device's thread and the worker write different ones.

    A latency is the time from the microphone's membrane to the loudspeaker's, as far as the devices tell it.
    """

    def __init__(self) -> None:
        self.latencies, self.recent = Latencies(), Latencies()
        self.course: deque[tuple[float, int, int]] = deque(maxlen=KEPT_SECONDS)  # second, p50 and p99 in ms
        self.underruns = self.drops = self.device_faults = 0
        self.dropped_s = self.converted_s = self.busy_s = 0.0
        self._began_s, self._began_cpu_s = time.monotonic(), time.process_time()

    def begin(self) -> None:
        """Counts from now on. What was measured while the model was loaded does not count."""
        self._began_s, self._began_cpu_s = time.monotonic(), time.process_time()

    def count_latency(self, seconds: float) -> None:
        self.latencies.add(seconds)
        self.recent.add(seconds)

    def count_drop(self, seconds: float) -> None:
        if seconds > 0:
            self.drops += 1
            self.dropped_s += seconds

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began_s

    def finish_second(self) -> dict[str, float | str]:
        """Ends a stretch of the course, and returns its figures for people."""
        p50, p99 = self.recent.find_percentile_ms(50), self.recent.find_percentile_ms(99)
        self.recent.clear()
        if p50 is not None and p99 is not None:
            self.course.append((self.seconds, p50, p99))
        told: dict[str, float | str] = {} if p50 is None else {"latency": f"{p50} ms (p99 {p99})"}
        return {**told, "underruns": str(self.underruns), "drops": str(self.drops), "CPU": f"{self.cpu_percent:.0f} %"}

    @property
    def cpu_percent(self) -> float:
        """The CPU time of this process, in per cent of one CPU core."""
        return 100 * (time.process_time() - self._began_cpu_s) / max(1e-9, self.seconds)

    def describe(self) -> dict[str, Any]:
        return {
            "seconds": round(self.seconds, 2),
            "latency_p50_ms": self.latencies.find_percentile_ms(50),
            "latency_p99_ms": self.latencies.find_percentile_ms(99),
            "underruns": self.underruns,
            "drops": self.drops,
            "dropped_s": round(self.dropped_s, 3),
            "device_faults": self.device_faults,
            "real_time_factor": round(self.busy_s / self.converted_s, 3) if self.converted_s else None,
            "cpu_percent": round(self.cpu_percent, 1),
        }
