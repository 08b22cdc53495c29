"""The voice gate."""

import numpy as np
import pytest
from helpers.live import make_tone

from facevc_cli.core.errors import UsageError
from facevc_cli.live.gate import GateSettings, VoiceGate

RATE = 16000


def noise(seconds: float, level: float) -> np.ndarray:
    return (level * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


@pytest.mark.parametrize("text", ["loud", "", "nan", "0", "-91", "-9", "-inf"])
def test_wrong_values(text):
    with pytest.raises(UsageError, match="expected auto, off, or a level"):
        GateSettings.parse(text)


def test_values():
    assert GateSettings.parse("auto") == GateSettings()
    assert not GateSettings.parse("off").is_on
    assert GateSettings.parse("-45dB").threshold_db == GateSettings.parse("-45").threshold_db == -45


def test_off_changes_nothing():
    gate = VoiceGate(RATE, GateSettings.parse("off"))
    assert (gate.follow(np.zeros(1600, np.float32)) == 1).all()


def test_silence_and_noise_stay_closed():
    gate = VoiceGate(RATE)
    assert not gate.follow(np.zeros(RATE, np.float32)).any()
    noisy = gate.follow(noise(5.0, 0.003))  # -50 dB, above the least threshold
    assert not noisy[4 * RATE :].any()


def test_speech_opens_at_once_and_closes_after_hold_and_release():
    gate = VoiceGate(RATE)
    wav = np.concatenate([noise(1.0, 1e-4), make_tone(0.5), noise(1.0, 1e-4)])
    gains = gate.follow(wav)
    assert not gains[:RATE].any()
    assert gains[RATE + 160] == 1 and gains[RATE + 159] == pytest.approx(1, abs=0.01)  # an attack of 10 ms
    end = round(1.5 * RATE)
    assert gains[end + round(0.23 * RATE)] == 1  # held for 250 ms
    assert gains[end + round(0.34 * RATE)] == 0  # and released in 80 ms
    assert np.abs(np.diff(gains)).max() <= 1 / 160 + 1e-6


def test_hysteresis():
    """A level between the two thresholds keeps an open gate open, and a closed one closed."""
    settings = GateSettings(threshold_db=-40, hysteresis_db=6, hold_s=0.02)
    between = make_tone(1.0, level=np.sqrt(2) * 10 ** (-43 / 20))
    assert not VoiceGate(RATE, settings).follow(between).any()
    gate = VoiceGate(RATE, settings)
    gate.follow(make_tone(0.1))
    assert (gate.follow(between)[1600:] == 1).all()
    assert gate.follow(make_tone(0.5, level=np.sqrt(2) * 10 ** (-47 / 20)))[-1] == 0


def test_the_sizes_of_pieces_make_no_difference():
    wav = np.concatenate([noise(0.3, 1e-3), make_tone(0.4), noise(0.7, 1e-3)])
    whole, gate = VoiceGate(RATE).follow(wav), VoiceGate(RATE)
    rng, pieces, at = np.random.default_rng(1), [], 0
    while at < len(wav):
        size = int(rng.integers(1, 700))
        pieces.append(gate.follow(wav[at : at + size]))
        at += size
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_the_threshold_rises_with_the_noise():
    gate = VoiceGate(RATE)
    assert gate.threshold_db == -45  # no sound yet: the quietest that may be heard, and 10 dB
    gate.follow(noise(4.0, 0.01))
    assert -33 < gate.threshold_db < -29  # the quietest 10 ms of noise at -40 dB are 1 to 2 dB below it
