"""Whole texts: what is refused, pauses, times, and what is left out."""

import numpy as np
import pytest
from helpers.speech_engines import LETTERS_PER_SECOND, RATE, replace_engine

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.speaking.narrator import MARGIN_S, Cue, Narrator, NarratorSettings, trim_silence
from facevc_cli.speaking.spoken_text import FittedText, make_spoken_text
from facevc_cli.voices.sketch import VoiceSketch


@pytest.fixture
def engine(monkeypatch):
    return replace_engine(monkeypatch)


def make(**settings) -> Narrator:
    return Narrator(NarratorSettings(**settings))


def seconds(wav: np.ndarray) -> float:
    return len(wav) / RATE


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"speed": 0.4}, r"--speed 0\.4: expected a number from 0\.5 to 2"),
        ({"speed": float("nan")}, "--speed nan"),
        ({"pause_s": -1.0}, "--pause -1: expected 0 to 10 seconds"),
        ({"language": "de"}, "no German"),
    ],
)
def test_wrong_settings(engine, settings, said):
    with pytest.raises(UsageError, match=said):
        make(**settings).check()


def test_an_engine_without_a_timbre_for_a_face(engine):
    engine.fits_timbre = False
    with pytest.raises(UsageError, match="--how both: the engine fake has no timbre of its own for a face"):
        make(how="both").check()
    make(how="convert").check()


def test_a_text_without_words(engine):
    with pytest.raises(FaceVCError, match="'你好': nothing in this text can be said in the language en-us"):
        make().narrate([Cue("你好")])
    with pytest.raises(FaceVCError, match="the text is empty"):
        make().narrate([])
    assert engine.said == []


def test_each_sentence_is_spoken_alone_and_as_words(engine):
    wav, rate = make(pause_s=1.0).narrate([Cue("Dr. A paid $5. Why?\n\nHi.")])
    assert engine.said == ["Doctor A paid five dollars.", "Why?", "Hi."] and rate == RATE
    letters = sum(map(len, engine.said))
    expected = letters / LETTERS_PER_SECOND + 0.5 + 1.0 + 3 * 2 * MARGIN_S  # the engine's own silence is cut
    assert seconds(wav) == pytest.approx(expected, abs=0.1)


def test_parts_begin_at_their_times_or_at_once_if_late(engine):
    wav, _ = make().narrate([Cue("x" * 40, 1.0), Cue("Yes.", 2.0), Cue("No.", 5.0)])
    loud = np.abs(wav) > 0.01
    assert not loud[: int(0.99 * RATE)].any() and loud[int(1.05 * RATE) : int(3.2 * RATE)].any()
    assert not loud[int(3.4 * RATE) : int(4.99 * RATE)].any() and loud[int(5.05 * RATE) : int(5.2 * RATE)].any()


def test_what_was_left_out(engine):
    found = make().split("Say xyzzy now, 你好 👍.")
    assert found.left_out == ("👍", "你好", "xyzzy")


def test_the_fingerprint_changes_with_all_that_is_heard(engine):
    cues = [Cue("Hi.")]
    plain = make().fingerprint(cues)
    assert plain == make().fingerprint([Cue("Hi.")]) and len(plain) == 64
    others = [make(speed=1.1), make(voice="b"), make(language="en-gb"), make(pause_s=0.1), make(how="both")]
    prints = {other.fingerprint(cues) for other in others} | {make().fingerprint([Cue("Ho.")]), plain}
    assert len(prints) == 7
    assert make(language="EN_us").fingerprint(cues) == make(language="en").fingerprint(cues) == plain


def test_a_text_for_one_voice(engine):
    sketch = VoiceSketch(200.0)
    text = make_spoken_text("a", "a.txt", (Cue("Hi."),), make(how="timbre"))
    assert isinstance(text, FittedText) and text.is_finished
    text.load_for(sketch)
    assert engine.sketch == [sketch]
    both = make_spoken_text("a", "a.txt", (Cue("Hi."),), make(how="both"))
    assert isinstance(both, FittedText) and not both.is_finished
    plain = make_spoken_text("a", "a.txt", (Cue("Hi."),), make())
    assert not isinstance(plain, FittedText)
    assert plain.about == {"text_sha256": "17f4444f3932f8a1", "engine": "fake", "engine_voice": "buzz"}
    assert {plain: 1}[make_spoken_text("a", "a.txt", (Cue("Hi."),), make())] == 1


def test_trimming():
    wav = np.concatenate([np.zeros(8000), np.ones(8000), np.full(8000, 1e-4)]).astype(np.float32)
    kept = trim_silence(wav, RATE)
    assert len(kept) == pytest.approx(8000 + 2 * MARGIN_S * RATE, abs=2)
    assert len(trim_silence(np.zeros(100, np.float32), RATE)) == 100
