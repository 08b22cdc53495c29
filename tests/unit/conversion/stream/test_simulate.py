"""The simulated clock, with a stream whose times are known."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from facevc_cli.conversion.stream.simulate import simulate_stream


@dataclass
class Delay:
    """Returns its input in steps of 100 samples. Each step takes a time from the list, on a clock of its own."""

    took_s: list[float]
    rate: int = 1000
    latency_samples: int = 100
    step_samples: int = 100
    now: float = 0.0
    held: list[float] = field(default_factory=list)

    def push(self, samples):
        self.held += samples.tolist()
        if len(self.held) < 100:
            return np.zeros(0, np.float32)
        self.now += self.took_s.pop(0)
        ready, self.held = self.held[:100], self.held[100:]
        return np.array(ready, np.float32)

    def flush(self):
        return np.array(self.held, np.float32)


def test_delays_add_the_wait_for_a_worker_that_is_late():
    # Blocks of 50 samples are 50 ms; steps end at .1, .2 and .3 s and take .02, .15 and .02 s.
    stream = Delay([0.02, 0.15, 0.02])
    sound = np.arange(320, dtype=np.float32)
    run = simulate_stream(stream, sound, 1000, block_samples=50, clock=lambda: stream.now)
    np.testing.assert_array_equal(run.samples, sound)
    # done at .12, .35 and .37 s; the first samples were spoken at 0, .1 and .2 s
    np.testing.assert_allclose(run.delays_s, [0.12, 0.25, 0.17])
    np.testing.assert_allclose(run.step_seconds, [0.02, 0.15, 0.02])
    assert len(run.push_seconds) == 7
    assert run.busy == pytest.approx(0.19 / 0.32)


def test_another_rate_is_refused():
    with pytest.raises(ValueError, match="1000 Hz, found 8000 Hz"):
        simulate_stream(Delay([]), np.zeros(10, np.float32), 8000, block_samples=10)
    with pytest.raises(ValueError, match="found 0"):
        simulate_stream(Delay([]), np.zeros(10, np.float32), 1000, block_samples=0)
