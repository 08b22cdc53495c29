"""The choice of the step from the measured speed."""

import pytest
import torch
from helpers.live import DelayConverter

from facevc_cli.live.speed import STEPS_FRAMES, choose_speed, choose_step, measure_speed

HOP = 256


class Timed(DelayConverter):
    """Takes a time for each step, on a clock of its own: some milliseconds, and a share of the sound's time.

    Aside, it takes half of the time before the push returns, and half after it. late_s: one step takes so much more.
    later_s: every step but the first eight does.
    """

    now = 0.0

    def __init__(self, frames: int, fixed_s: float, share: float, late_s: float = 0.0, later_s: float = 0.0):
        super().__init__(22050, frames * HOP, 4 * HOP)
        self.cost_s, self.late_s, self.later_s = fixed_s + share * frames * HOP / 22050, late_s, later_s
        self.count = 0

    def reset(self):
        super().reset()
        self.since_reset = 0

    def push(self, samples):
        sink, self.sink = self.sink, None
        made, self.sink = super().push(samples), sink
        if not len(made):
            return made
        self.count, self.since_reset = self.count + 1, self.since_reset + 1
        cost_s = self.cost_s + self.late_s * (self.count == 40) + self.later_s * (self.since_reset > 8)
        Timed.now += cost_s
        if sink is None:
            return made
        sink(made)
        Timed.now -= cost_s / 2
        return made[:0]


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
    assert speed.stream.resets == 3  # at its beginning, and after each of two measurings
    assert not speed.stream._kept.size


def test_a_machine_that_is_too_slow_gets_the_longest_step_and_hears_so():
    speed, _ = choose(0.0, 1.4)
    assert speed.step_s == pytest.approx(32 * HOP / 22050) and not speed.is_enough
    assert choose(0.0, 0.9)[0].is_enough


def test_a_step_that_is_too_slow_from_the_start_is_given_up_at_once():
    slow, slow_later = Timed(4, 0.0, 0.8), Timed(4, 0.0, 0.6, late_s=0.5)
    assert measure_speed(slow, 4, lambda: Timed.now, most_load=0.7).load == pytest.approx(0.8)
    assert measure_speed(slow_later, 4, lambda: Timed.now, most_load=0.7).load == pytest.approx(0.6)
    assert slow.count < 10 < 30 < slow_later.count
    assert measure_speed(alone := Timed(4, 0.0, 0.8), 4, lambda: Timed.now).load == pytest.approx(0.8)
    assert alone.count == slow_later.count


def test_the_spare_is_how_much_later_than_the_first_a_step_may_be():
    for aside in (False, True):
        speed = measure_speed(Timed(4, 0.01, 0.1, later_s=0.025), 4, lambda: Timed.now, aside=aside)
        assert speed.spare_s == pytest.approx(0.025)
    speed = measure_speed(Timed(4, 0.01, 0.1, late_s=0.025), 4, lambda: Timed.now)
    assert speed.spare_s == pytest.approx(0.0, abs=1e-9)  # nor does one late step change the spare
    assert speed.load == pytest.approx(0.01 / speed.step_s + 0.1, rel=0.01)  # one late step in twenty changes nothing


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("cpus", "frames"), [(1, 12), (2, 6), (64, 6)])
def test_a_second_cpu_speaks_aside(cpus, frames, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("facevc_cli.live.speed.count_usable_cpus", lambda: cpus)
    torch.set_num_threads(2)

    def open_stream(frames: int) -> Timed:
        assert torch.get_num_threads() == 1
        return Timed(frames, 0.08, 0.0)

    speed = choose_speed(open_stream, clock=lambda: Timed.now)
    assert (speed.aside, speed.frames, torch.get_num_threads()) == (cpus > 1, frames, 1)
    assert speed.spare_s == pytest.approx(0.01)  # a block of the device


def test_a_given_step_is_kept():
    speed = choose_speed(lambda frames: Timed(frames, 0.15, 0.0), (6,), lambda: Timed.now)
    assert (speed.frames, speed.is_enough) == (6, False)
