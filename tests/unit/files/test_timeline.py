"""files/timeline.py: silence and cuts, by hand."""

import pytest

from facevc_cli.files.timeline import Timeline

RATE = 1000


def place(timeline: Timeline, *frames: tuple[float | None, int]) -> list[tuple[int, int]]:
    return [timeline.place(time_s, samples) for time_s, samples in frames]


def test_frames_in_a_row():
    assert place(Timeline(RATE), (5.0, 100), (5.1, 100), (None, 100), (5.3, 100)) == [(0, 0)] * 4


def test_a_late_beginning_and_a_gap():
    assert place(Timeline(RATE, 0.0, 3.0), (1.0, 100), (1.1, 100), (1.7, 100), (1.8, 100)) == [
        (1000, 0),
        (0, 0),
        (500, 0),
        (0, 0),
    ]


def test_lost_packets_add_up_and_are_made_good():
    lost = [(0.02 * i, 20) for i in range(20) if i % 4]
    timeline = Timeline(RATE, 0.0, 1.0)
    assert sum(silence for silence, _ in place(timeline, *lost)) in range(60, 101)


def test_jitter_is_no_gap():
    assert place(Timeline(RATE), (0.0, 100), (0.13, 100), (0.19, 100), (0.34, 100), (0.40, 100)) == [(0, 0)] * 5


@pytest.mark.parametrize("end_s", [None, 2.0])
def test_a_gap_beyond_the_picture_is_not_believed_and_what_follows_goes_on(end_s):
    timeline = Timeline(RATE, 0.0, end_s)
    assert place(timeline, (0.0, 100), (9000.0, 100), (9000.1, 100), (9000.4, 100)) == [
        (0, 0),
        (0, 0),
        (0, 0),
        (200, 0),
    ]


def test_a_new_beginning_of_a_broadcast_is_no_gap():
    assert place(Timeline(RATE, 0.0, 100.0, discontinuous=True), (0.0, 100), (20.0, 100)) == [(0, 0), (0, 0)]
    assert place(Timeline(RATE, 0.0, 100.0), (0.0, 100), (20.0, 100)) == [(0, 0), (19900, 0)]


def test_overlaps_are_cut_and_jumps_back_are_not():
    timeline = Timeline(RATE, 0.0)
    assert place(timeline, (0.0, 1000), (0.9, 200), (1.1, 100)) == [(0, 0), (0, 100), (0, 0)]
    assert place(timeline, (0.0, 100), (0.1, 100)) == [(0, 0), (0, 0)]  # chained files begin anew


def test_time_stamps_that_stand_still_or_run_slow_cost_no_sound():
    assert place(Timeline(RATE), *[(0.0, 100)] * 30) == [(0, 0)] * 30
    slow = Timeline(RATE)
    cut = sum(cut for _, cut in place(slow, *[(0.05 * i, 100) for i in range(1000)]))
    assert cut < 0.1 * 100 * 1000
