"""The path against a counted clock: latency, underruns, drops, clicks, other rates, gate, voices."""

import numpy as np
import pytest
from helpers.live import DelayConverter, find_largest_jump, make_tone, run_on_clock

from facevc_cli.live.gate import GateSettings
from facevc_cli.live.path import LivePath

RATE = 16000
OPEN = GateSettings.parse("off")
SMOOTH = 1.3 * 0.3 * 2 * np.pi * 200 / RATE  # of a tone of 200 Hz and .3; a click is more


def make_path(*, gate: GateSettings = OPEN, in_rate: int = RATE, out_rate: int = RATE, **options) -> LivePath:
    return LivePath(DelayConverter(**options), in_rate, out_rate, gate=gate)


def test_a_steady_path_gives_every_sample_in_order():
    path, wav = make_path(), make_tone(2.0)
    played = run_on_clock(path, wav, lambda made: 0.0)
    begun = int(np.flatnonzero(played)[0])
    behind = begun - 1  # the tone begins with a zero
    fade = path.player.fade
    np.testing.assert_array_equal(played[begun + fade :], wav[1 + fade : len(wav) - behind])
    figures = path.figures.describe()
    assert (figures["underruns"], figures["drops"]) == (0, 0)
    # a step of 30 ms and 20 ms ahead are 50 ms, the spare is 20 ms, and a block 10 ms
    assert behind / RATE == pytest.approx(0.07, abs=0.011)
    assert figures["latency_p50_ms"] == pytest.approx(behind * 1000 / RATE, abs=11)


def test_a_latency_is_that_of_the_sound_that_is_heard():
    """A chirp's place in the output tells how late it is, and the figures say the same."""
    path, wav = make_path(), np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32) * 0.1
    played = run_on_clock(path, wav, lambda made: 0.015 if made else 0.0)
    chirp = wav[RATE : RATE + 800]
    late = int(np.argmax(np.correlate(played, chirp, "valid"))) - RATE
    # a block's age is that of its first sample when it is heard, and a block was captured at its end
    assert path.figures.latencies.find_percentile_ms(50) == pytest.approx(late / 16 + 10, abs=1)


def test_a_stutter_makes_one_underrun_and_then_it_is_made_up_for():
    path, wav, count = make_path(), make_tone(10.0), 0

    def cost(made: int) -> float:
        nonlocal count
        count += bool(made)
        return 0.0 if not made else 0.35 if count == 50 else 0.015

    played = run_on_clock(path, wav, cost)
    assert path.figures.underruns == 1 and path.figures.drops >= 1
    assert find_largest_jump(played) < SMOOTH
    assert path.player.spare == round(0.03 * RATE)  # ten more milliseconds than before
    path.figures.latencies.clear()
    run_on_clock(path, make_tone(2.0), lambda made: 0.015 if made else 0.0)
    assert path.figures.latencies.find_percentile_ms(99) < 150


@pytest.mark.parametrize("load", [1.2, 2.0, 5.0])
def test_a_converter_that_is_too_slow_drops_and_never_falls_behind(load):
    path, wav = make_path(), make_tone(20.0)
    played = run_on_clock(path, wav, lambda made: load * made / RATE)
    assert path.figures.drops > 10 and path.figures.underruns > 5
    assert path.figures.dropped_s == pytest.approx(20 * (1 - 1 / load), abs=1.5)
    steps_s = 3 * 0.03  # three steps, at most, are converted at once
    most_s = 0.1 + steps_s + (0.03 + steps_s) * load + 0.05 + 0.03 + 0.12 + 0.1
    assert path.figures.latencies.find_percentile_ms(100) / 1000 < most_s
    assert len(path._captured) + len(path._made) < 0.6 * RATE
    assert find_largest_jump(played) < 1.5 * SMOOTH


def test_a_worker_that_hangs_costs_no_memory():
    path = make_path()
    for i in range(3000):
        path.capture(np.full(160, 0.1, np.float32), i * 0.01)
        path.play(160, i * 0.01)
    assert len(path._captured) == 3 * RATE and path.figures.dropped_s == pytest.approx(27.0)
    step = path.take()
    assert step.captured_s > 2.7  # the oldest second or so is left out, too


def test_a_short_first_piece_leaves_room_for_the_next():
    """A stream's first piece may last a few milliseconds, and the next comes a whole step later."""
    path, sound = make_path(), np.full(480, 0.1, np.float32)
    path.give(sound[:60])
    played = [path.play(160, 0.0)]
    for _ in range(5):
        played += [path.play(160, 0.0), path.play(160, 0.0)]
        path.give(sound)
        played.append(path.play(160, 0.0))
    assert path.figures.underruns == 0
    assert np.count_nonzero(np.concatenate(played)) == 16 * 160 - (480 - 60) - round(0.02 * RATE)


def test_what_is_spoken_aside_is_given_by_who_speaks():
    """The samples and their times are the same."""
    wav, runs = make_tone(2.0), []
    for aside in (False, True):
        path = LivePath(DelayConverter(), RATE, 48000, aside=aside)
        played = run_on_clock(path, wav, lambda made: 0.0)
        runs.append((played, path.figures.underruns, path.figures.latencies.find_percentile_ms(50)))
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    assert runs[0][1:] == runs[1][1:] and runs[0][0].any()


@pytest.mark.parametrize("drift", [0.003, -0.003])
def test_two_clocks_that_differ_are_kept_together(drift):
    """The loudspeaker asks for .3 % less or more than the microphone gives."""
    path, wav, rest, played = make_path(), make_tone(60.0), 0.0, []
    for i in range(len(wav) // 160):
        path.capture(wav[i * 160 : (i + 1) * 160], i * 0.01)
        while (step := path.take()) is not None:
            path.give(path.convert(step))
        rest += 160 * (1 - drift)
        played.append(path.play(int(rest), i * 0.01))
        rest -= int(rest)
    figures = path.figures.describe()
    assert figures["latency_p99_ms"] < 220
    assert (figures["drops"] > 2 and not figures["underruns"]) if drift > 0 else 1 <= figures["underruns"] < 10
    assert find_largest_jump(np.concatenate(played)) < SMOOTH


@pytest.mark.parametrize(("in_rate", "out_rate"), [(48000, 48000), (44100, 16000), (16000, 48000), (8000, 44100)])
def test_devices_of_other_rates(in_rate, out_rate):
    path = make_path(in_rate=in_rate, out_rate=out_rate)
    played = run_on_clock(path, make_tone(3.0, in_rate), lambda made: 0.0)
    assert len(played) == 3 * out_rate and not path.figures.underruns
    settled = played[out_rate : 2 * out_rate]
    spectrum = np.abs(np.fft.rfft(settled * np.hanning(len(settled))))
    assert int(np.argmax(spectrum)) == 200 and np.sqrt(2 * np.mean(settled**2)) == pytest.approx(0.3, rel=0.02)
    assert path.figures.latencies.find_percentile_ms(50) < 100


def test_silence_is_silence_and_the_gate_opens_before_the_voice():
    rng = np.random.default_rng(0)
    hiss = 1e-3 * rng.standard_normal(RATE).astype(np.float32)
    wav = np.concatenate([hiss, make_tone(1.0) + 1e-3 * rng.standard_normal(RATE).astype(np.float32), hiss, hiss])
    played = run_on_clock(make_path(gate=GateSettings(), lookahead_samples=1600), wav, lambda made: 0.0)
    loud = np.flatnonzero(np.abs(played) > 0.01)
    behind = int(loud[0]) - RATE - 1  # the tone begins with a zero
    gated = np.flatnonzero(played)
    before_s, after_s = (loud[0] - gated[0]) / RATE, (gated[-1] - loud[-1]) / RATE
    assert 0.04 < before_s < 0.08 and 0.2 < after_s < 0.35 and behind > 1600
    np.testing.assert_array_equal(played[loud[0] : loud[0] + 8000], wav[RATE:][loud[0] - RATE - behind :][:8000])


def test_mute_is_silent_without_a_click():
    path, played = make_path(), []
    wav = make_tone(2.0)
    for i in range(len(wav) // 160):
        path.muted = 60 <= i < 120
        path.capture(wav[i * 160 : (i + 1) * 160], i * 0.01)
        while (step := path.take()) is not None:
            path.give(path.convert(step))
        played.append(path.play(160, i * 0.01))
    whole = np.concatenate(played)
    assert not whole[round(0.75 * RATE) : round(1.15 * RATE)].any() and whole[round(1.4 * RATE) :].any()
    assert find_largest_jump(whole) < SMOOTH


@pytest.mark.parametrize("out_rate", [RATE, 48000])
def test_the_end_comes_out(out_rate):
    path, wav = make_path(out_rate=out_rate), make_tone(0.105)
    path.capture(wav, 0.0)
    parts = []
    while (step := path.take(last=True)) is not None:
        parts.append(path.convert(step))
    parts.append(path.convert_end())
    whole = np.concatenate(parts)
    assert len(whole) == pytest.approx(len(wav) * out_rate / RATE, abs=1)
    if out_rate == RATE:
        np.testing.assert_array_equal(whole, wav)
