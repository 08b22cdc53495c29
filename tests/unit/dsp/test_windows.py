"""dsp/windows.py: every frame once, with its context."""

import pytest

from facevc_cli.dsp.windows import place_windows


def test_one_window_where_all_fits():
    assert list(place_windows(10, 10, 3)) == list(place_windows(10, 64, 3)) == [(0, 0, 10)]
    assert list(place_windows(0, 8, 2)) == []


def test_windows_by_hand():
    # 8 frames, 2 of context: 0..8 gives 0..6; then 4..12 gives 6..10; the last one lies against the end
    assert list(place_windows(13, 8, 2)) == [(0, 0, 6), (4, 6, 10), (5, 10, 13)]
    assert list(place_windows(12, 8, 2)) == [(0, 0, 6), (4, 6, 12)]


@pytest.mark.parametrize("total", range(1, 60))
def test_every_frame_once_with_its_context(total):
    size, context = 11, 4
    at = 0
    for first, start, end in place_windows(total, size, context):
        last = min(first + size, total)
        assert start == at and first <= start < end <= last
        assert first >= 0 and (total <= size or first + size <= total)
        assert first == 0 or start - first >= context  # enough to look back at,
        assert last == total or last - end >= context  # and ahead
        at = end
    assert at == total
