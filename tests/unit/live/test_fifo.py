"""The FIFO: order, room, dropping without a click; and the timeline."""

import threading

import numpy as np
import pytest
from helpers.live import find_largest_jump, make_tone

from facevc_cli.live.fifo import SampleFifo, Timeline, make_fade

RATE = 16000


def test_what_does_not_fit_is_refused():
    fifo = SampleFifo(4)
    assert fifo.write(np.arange(3, dtype=np.float32)) == 3
    assert fifo.write(np.arange(3, dtype=np.float32)) == 1
    assert fifo.take(9).tolist() == [0, 1, 2, 0] and len(fifo) == 0


def test_too_little_for_a_crossfade_drops_nothing():
    fifo = SampleFifo(100)
    fifo.write(np.arange(50, dtype=np.float32))
    assert fifo.drop(40, 11) == 0 and fifo.drop(0, 5) == 0 and fifo.drop(-3, 5) == 0
    assert fifo.take(50).tolist() == list(range(50))


def test_samples_keep_their_order_around_the_ring():
    fifo, got, rng = SampleFifo(50), [], np.random.default_rng(0)
    sent = 0
    while sent < 1000:
        sent += fifo.write(np.arange(sent, min(1000, sent + int(rng.integers(1, 40))), dtype=np.float32))
        got.extend(fifo.take(int(rng.integers(0, 40))).tolist())
    got.extend(fifo.take(50).tolist())
    assert got == list(range(1000)) and fifo.read == fifo.written == 1000


def test_a_writer_and_a_reader_at_once():
    fifo, got = SampleFifo(64), []

    def write():
        sent = 0
        while sent < 20_000:
            sent += fifo.write(np.arange(sent, min(sent + 17, 20_000), dtype=np.float32))

    writer = threading.Thread(target=write)
    writer.start()
    while len(got) < 20_000:
        got.extend(fifo.take(23).tolist())
    writer.join()
    assert got == list(range(20_000))


def test_a_drop_is_a_crossfade():
    fifo = SampleFifo(100)
    fifo.write(np.concatenate([np.full(20, 1.0), np.full(60, 3.0)]).astype(np.float32))
    assert fifo.drop(30, 10) == 30
    kept = fifo.take(100)
    assert len(kept) == 50
    np.testing.assert_allclose(kept[:10], 1 + 2 * make_fade(10), rtol=1e-6)
    assert (kept[10:] == 3).all() and fifo.read == 80


@pytest.mark.parametrize("start", [0, 90, 777])
def test_dropping_from_a_tone_makes_no_click(start):
    """The largest jump of a tone of 200 Hz is 2 pi 200 / 16000 times its level."""
    fifo, tone = SampleFifo(1000), make_tone(1.0)
    fifo.write(np.zeros(start, np.float32))
    fifo.take(start)
    fifo.write(tone[:900])
    before = fifo.take(100)
    gap = fifo.drop(337, 160, 80)
    after = fifo.take(1000)
    whole = np.concatenate([before, after])
    assert 337 <= gap <= 417 and len(after) == 800 - gap
    assert gap % 80 in (0, 1, 79)  # whole periods, so the tone goes on in step
    assert find_largest_jump(whole) < 1.1 * 0.3 * 2 * np.pi * 200 / RATE
    assert np.abs(whole).max() <= 0.3001
    np.testing.assert_array_equal(after[160:], tone[100 + gap + 160 : 900])


def test_a_drop_from_silence_takes_what_was_asked():
    fifo = SampleFifo(100)
    fifo.write(np.zeros(100, np.float32))
    assert fifo.drop(50, 10, 20) == 50


def test_a_timeline_follows_a_gap():
    times = Timeline(100)
    assert times.find(0) is None
    times.mark(0, 10.0)
    times.mark(50, 20.0)
    assert times.find(0) == 10.0 and times.find(49) == pytest.approx(10.49)
    assert times.find(50) == 20.0 and times.find(150) == 21.0


def test_a_timeline_forgets():
    times = Timeline(100)
    for i in range(10_000):
        times.mark(i * 10, i * 0.1)
        assert times.find(i * 10) == pytest.approx(i * 0.1)
    assert len(times._marks) == 1
