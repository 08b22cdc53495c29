"""provenance/watermark.py: heard by nobody, found after what happens to sound files, and not found where it is not."""

import io

import numpy as np
import pytest
import soundfile
from helpers.sounds import make_syllables

from facevc_cli.files.audio import resample
from facevc_cli.provenance import watermark as watermarks
from facevc_cli.provenance.watermark import BANDS, FALSE_ALARMS, KEY, SLOTS, add_watermark, detect, draw_pattern, score

RATE = 22050


@pytest.fixture(scope="module")
def speech():
    return make_syllables(6)


@pytest.fixture(scope="module")
def marked(speech):
    return add_watermark(speech, RATE)


def mp3(wav, rate):
    """128 kbit/s and back: of 8 to 160, libsndfile takes the level as the share of the way down."""
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        wav,
        rate,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=(160 - 128) / (160 - 8),
        bitrate_mode="CONSTANT",
    )
    assert abs(len(buffer.getvalue()) * 8 / (len(wav) / rate) - 128e3) < 10e3
    buffer.seek(0)
    return soundfile.read(buffer, dtype="float32")[0]


def test_the_pattern_is_drawn_from_the_key():
    assert draw_pattern(KEY).shape == (SLOTS, BANDS) and set(np.unique(draw_pattern(KEY))) == {-1.0, 1.0}
    assert abs(draw_pattern(KEY).mean()) < 0.07  # three deviations of 2144 fair signs
    assert abs((draw_pattern(KEY) * draw_pattern(b"another")).mean()) < 0.07
    assert draw_pattern(KEY)[0, :8].tolist() == [
        1,
        1,
        1,
        1,
        1,
        -1,
        -1,
        1,
    ]  # a changed pattern would no longer find old files


def test_found_with_a_likelihood_that_is_the_bound(marked):
    found = detect(marked, RATE)
    assert found.marked is True and found.verdict == "found" and found.share == 1
    assert found.score > 10
    assert found.p_value == pytest.approx(
        128 * np.exp(-(found.score**2) / 2)
    )  # 6 s are one window: 128 beginnings tried


def test_unmarked_speech_and_another_key_give_none(speech, marked):
    for wav, key in ((speech, KEY), (marked, b"another")):
        found = detect(wav, RATE, key)
        assert found.marked is False and found.verdict == "none found" and found.share == 0
        assert found.score < 4.5 and found.p_value > FALSE_ALARMS


def test_inaudible_in_figures(speech, marked):
    assert marked.shape == speech.shape and marked.dtype == np.float32
    change = 10 * np.log10(np.mean(speech**2) / np.mean((marked - speech) ** 2))
    assert 18 < change < 30
    assert abs(10 * np.log10(np.mean(marked**2) / np.mean(speech**2))) < 0.2
    # bins of 1/6 Hz: the mark leaves all below 200 Hz as it was
    below = np.abs(np.fft.rfft(marked - speech))[: 6 * 200]
    assert below.max() < 0.01 * np.abs(np.fft.rfft(speech)).max()


@pytest.mark.parametrize(
    "attack",
    [
        lambda w: (mp3(w, RATE), RATE),
        lambda w: (resample(w, RATE, 16000), 16000),
        lambda w: (resample(resample(w, RATE, 16000), 16000, 48000), 48000),
        lambda w: (mp3(resample(resample(w, RATE, 16000), 16000, RATE), RATE), RATE),
        lambda w: (0.1 * w, RATE),
        lambda w: (-w, RATE),
        lambda w: (np.round(w * 32767).astype(np.float32) / 32768, RATE),
        lambda w: (w + 0.03 * w.std() * np.random.default_rng(0).standard_normal(len(w)).astype(np.float32), RATE),
    ],
    ids=[
        "mp3",
        "to 16 kHz",
        "to 16 and 48 kHz",
        "16 kHz and mp3",
        "quieter",
        "turned over",
        "16 bits",
        "noise 30 dB below",
    ],
)
def test_outlives(marked, attack):
    wav, rate = attack(marked)
    for start_s in (0.0, 1.234, 2.9):
        piece = wav[round(start_s * rate) : round((start_s + 3) * rate)]
        assert detect(piece, rate).marked is True, start_s


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100, 48000])
def test_any_rate(rate):
    wav = make_syllables(4, rate)
    assert detect(add_watermark(wav, rate), rate).marked is True and detect(wav, rate).marked is False


def test_part_of_a_long_recording(speech):
    long = make_syllables(30, seed=1)
    long[10 * RATE : 20 * RATE] = add_watermark(long[10 * RATE : 20 * RATE], RATE)
    found = detect(long, RATE)
    assert found.marked is True
    assert (
        2 / 9 <= found.share <= 5 / 9
    )  # of nine windows of 6 s, beginning at 0, 3, ... 24 s: two lie within, three more overlap by half or more


@pytest.mark.parametrize("seconds", [0.001, 0.2, 0.99])
def test_too_short_to_tell(seconds):
    wav = add_watermark(make_syllables(2), RATE)[: round(seconds * RATE)]
    found = detect(wav, RATE)
    assert found.marked is None and found.verdict == "too short to tell" and found.p_value == 1


def test_silence_stays_silence_and_tells_nothing():
    silence = np.zeros(3 * RATE, np.float32)
    assert not add_watermark(silence, RATE).any()
    assert detect(silence, RATE).marked is None and detect(silence + 0.5, RATE).marked is not True
    assert score(np.zeros(16000)) == 0


def test_nothing_and_almost_nothing():
    assert add_watermark(np.zeros(0, np.float32), RATE).shape == (0,)
    assert add_watermark(np.array([0.5], np.float32), RATE) == pytest.approx([0.5], abs=0.07)
    assert detect(np.zeros(0, np.float32), RATE).marked is None


@pytest.mark.parametrize("kind", ["white", "brown", "hum", "clicks", "modulated"])
def test_other_sounds_raise_no_alarm(kind):
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(7 * RATE)
    t = np.arange(len(noise)) / RATE
    sounds = {
        "white": noise,
        "brown": np.cumsum(noise) * 0.01,
        "hum": sum(np.sin(2 * np.pi * 50 * k * t) for k in range(1, 100)) + 0.01 * noise,
        "clicks": (noise > 4).astype(float),
        "modulated": noise * (1 + np.sign(np.sin(2 * np.pi * t / 0.768))),  # at the pattern's own period
    }
    assert detect((0.05 * sounds[kind]).astype(np.float32), RATE).marked is False


def test_scores_of_unmarked_sound_stay_below_the_bound():
    """Sixty keys on one piece: as Hoeffding has it, fewer than 128 exp(-z^2/2) of them score above z; by far the fewest
    do.
    """
    piece = resample(make_syllables(3), RATE, 16000)
    scores = np.array([score(piece, b"%d" % i) for i in range(60)])
    for z in (3.5, 4.0):
        assert (scores > z).mean() <= 128 * np.exp(-(z**2) / 2)
    assert 2 < np.median(scores) < 3.2 and scores.max() < 4.9


def test_full_scale_is_not_exceeded():
    loud = make_syllables(3)
    loud *= 0.999 / np.abs(loud).max()
    assert np.abs(add_watermark(loud, RATE)).max() <= 1
    assert (
        np.abs(add_watermark(3 * loud, RATE)).max() <= 3 * 0.999 + 1e-6
    )  # louder than full scale already: no louder yet


def test_pieces_are_joined_as_if_there_were_none(monkeypatch, speech):
    whole = add_watermark(speech, RATE)
    monkeypatch.setattr("facevc_cli.provenance.watermark.CHUNK_FRAMES", 37)
    assert np.abs(add_watermark(speech, RATE) - whole).max() < 1e-6


def test_unit_gains_give_the_sound_back(monkeypatch, speech):
    monkeypatch.setattr("facevc_cli.provenance.watermark.GAIN_DB", 0.0)
    assert np.abs(add_watermark(speech, RATE) - speech).max() < 1e-6


@pytest.mark.parametrize("frames", [2, 40, 997])
def test_the_local_mean_is_scipys(frames):
    uniform_filter = pytest.importorskip("scipy.ndimage").uniform_filter
    cells = 30 * np.random.default_rng(0).standard_normal((frames, BANDS))
    np.testing.assert_allclose(watermarks._compute_local_mean(cells), uniform_filter(cells, (9, 5)), rtol=0, atol=1e-12)
