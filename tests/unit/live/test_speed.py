"""The choice of the step from the measured speed."""

import pytest
import torch
from helpers.live import DelayConverter

from facevc_cli.live.speed import STEPS_FRAMES, choose_speed, choose_step, measure_speed

HOP = 256


class Timed(DelayConverter):
    """Takes a time for each step, on a clock of its own: some milliseconds, and a share of the sound's time."""

    now = 0.0

    def __init__(self, frames: int, fixed_s: float, share: float, late_s: float = 0.0):
        super().__init__(22050, frames * HOP, 4 * HOP)
        self.cost_s, self.late_s, self.count = fixed_s + share * frames * HOP / 22050, late_s, 0

    def push(self, samples):
        made = super().push(samples)
        self.count += bool(len(made))
        if len(made):
            Timed.now += self.cost_s + (self.late_s if self.count == 30 else 0)
        return made


def choose(fixed_s: float, share: float):
    tried = []

    def open_stream(frames: int) -> Timed:
        tried.append(frames)
        return Timed(frames, fixed_s, share)

    return choose_step(open_stream, clock=lambda: Timed.now), tried


@pytest.mark.parametrize(
    ("fixed_s", "share", "frames"),
    [(0.001, 0.1, 2), (0.020, 0.1, 4), (0.030, 0.2, 6), (0.080, 0.1, 12), (0.0, 0.71, 32), (0.0, 0.69, 2)],
)
def test_the_shortest_step_that_is_quick_enough(fixed_s, share, frames):
    """A step of n frames lasts n * 11.6 ms; at most 70 % of it may be needed."""
    speed, tried = choose(fixed_s, share)
    assert speed.step_s == pytest.approx(frames * HOP / 22050)
    assert tried == list(STEPS_FRAMES[: STEPS_FRAMES.index(frames) + 1])
    assert speed.load == pytest.approx(fixed_s / speed.step_s + share, rel=0.01)
    assert speed.stream.resets == 2  # at its beginning, and after it was measured


def test_a_machine_that_is_too_slow_gets_the_longest_step_and_hears_so():
    speed, _ = choose(0.0, 1.4)
    assert speed.step_s == pytest.approx(32 * HOP / 22050) and not speed.is_enough
    assert choose(0.0, 0.9)[0].is_enough


def test_the_spare_is_how_late_a_step_may_be():
    speed = measure_speed(Timed(4, 0.01, 0.1, late_s=0.025), 4, lambda: Timed.now)
    assert speed.spare_s == pytest.approx(0.025)
    assert speed.load == pytest.approx(0.01 / speed.step_s + 0.1, rel=0.01)  # one late step in twenty changes nothing


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("cpus", "threads", "frames"), [(1, 1, 12), (2, 2, 6), (64, 2, 6)])
def test_a_second_cpu_speaks_aside(cpus, threads, frames, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("facevc_cli.live.speed.count_usable_cpus", lambda: cpus)
    torch.set_num_threads(2)

    def open_stream(frames: int, aside: bool) -> Timed:
        assert torch.get_num_threads() == 1
        return Timed(frames, 0.04 if aside else 0.08, 0.0)

    speed = choose_speed(open_stream, clock=lambda: Timed.now)
    assert (speed.threads, speed.frames, torch.get_num_threads()) == (threads, frames, 1)


def test_a_given_step_is_kept():
    speed = choose_speed(lambda frames, aside: Timed(frames, 0.09, 0.0), (6,), lambda: Timed.now)
    assert (speed.frames, speed.is_enough) == (6, False)
