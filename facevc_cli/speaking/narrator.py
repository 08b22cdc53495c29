"""Speaks whole texts with an engine: sentence by sentence, with pauses, at the times of subtitles."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from facevc_cli.core.choices import How
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.files.audio import resample
from facevc_cli.synthesis.registry import load_synthesiser
from facevc_cli.synthesis.synthesiser import FASTEST, SLOWEST, Manner, Synthesiser, fits_timbre
from facevc_cli.synthesis.text.sentences import PAUSE_S, SplitText, split_text
from facevc_cli.voices.sketch import VoiceSketch

LONGEST_PAUSE_S = 10.0
SILENT_DB = -45.0  # quieter than the sentence's peak by this: the engine's own silence at both ends
MARGIN_S = 0.03  # kept of that silence
FRAME_S = 0.01
MOST_NAMED = 8  # words of a message about what was left out


@dataclass(frozen=True)
class Cue:
    """A part of a text. start_s: when it begins; None: after the part before it."""

    text: str
    start_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class NarratorSettings:
    """How texts are spoken. engine: as `--engine` takes it. pause_s: after a paragraph; other pauses are shares of it.

    how: which part makes the voice: the conversion, the engine's own timbre, or both.
    """

    engine: str = "kokoro"
    voice: str = ""
    language: str = "en-us"
    speed: float = 1.0
    pause_s: float = PAUSE_S
    how: How = "convert"

    def check(self) -> None:
        """UsageError if a value is wrong."""
        if not SLOWEST <= self.speed <= FASTEST:
            raise UsageError(f"--speed {self.speed:g}: expected a number from {SLOWEST:g} to {FASTEST:g}.")
        if not 0 <= self.pause_s <= LONGEST_PAUSE_S:
            raise UsageError(f"--pause {self.pause_s:g}: expected 0 to {LONGEST_PAUSE_S:g} seconds.")

    @property
    def manner(self) -> Manner:
        language = self.language.lower().replace("_", "-")
        return Manner(
            language={"en": "en-us", "english": "en-us"}.get(language, language),
            voice=self.voice,
            speed=self.speed,
            matched=self.how != "convert",
        )


@dataclass(frozen=True)
class Narrator:
    """An engine with its settings. It loads the engine at first use. Several threads may use it.

    loaded: the engine, if it is loaded already.
    """

    settings: NarratorSettings
    loaded: Synthesiser | None = field(default=None, compare=False)

    @cached_property
    def engine(self) -> Synthesiser:
        return self.loaded or load_synthesiser(self.settings.engine)

    @cached_property
    def voice(self) -> str:
        """The name of the engine's voice, for the metadata."""
        return self.engine.name_voice(self.settings.manner)

    def check(self) -> None:
        """UsageError or FaceVCError if the engine cannot speak in this manner."""
        self.settings.check()
        if self.settings.manner.matched and not fits_timbre(self.engine):
            raise UsageError(
                f"--how {self.settings.how}: the engine {self.engine.name} has no timbre of its own for a face. Choose "
                "--how convert, or --engine kokoro."
            )
        self.engine.check(self.settings.manner)

    def fingerprint(self, cues: Sequence[Cue]) -> str:
        """Hashes all that decides the sound of a text (sha256, 64 hex digits)."""
        parts = (self.engine.fingerprint(), self.settings.manner, self.settings.pause_s, self.settings.how, tuple(cues))
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def split(self, text: str) -> SplitText:
        """Splits a text into sentences. What the engine cannot say of them is among what was left out."""
        manner = self.settings.manner
        found = split_text(text, manner.language, self.settings.pause_s)
        unsayable = [
            word for sentence in found.sentences for word in self.engine.find_unsayable(sentence.text, manner.language)
        ]
        return SplitText(found.sentences, tuple(dict.fromkeys([*found.left_out, *unsayable])))

    def speak_sentences(self, text: str, sketch: VoiceSketch | None = None) -> Iterator[tuple[np.ndarray, int]]:
        """Yields each sentence with the pause after it: (n,) float32, and its rate in Hz.

        FaceVCError if there is nothing to say, or the engine fails.
        """
        sentences = self.split(text).sentences
        if not sentences:
            raise FaceVCError(
                f"{describe_text(text)}: nothing in this text can be said in the language "
                f"{self.settings.manner.language}. Write words, or choose another --language."
            )
        for sentence in sentences:
            wav, rate = self.engine.synthesise(sentence.text, self.settings.manner, sketch)
            pause = np.zeros(round(sentence.pause_s * rate), np.float32)
            yield np.concatenate([trim_silence(wav, rate), pause]), rate

    def narrate(self, cues: Sequence[Cue], sketch: VoiceSketch | None = None) -> tuple[np.ndarray, int]:
        """Speaks all parts of a text: (n,) float32, and its rate in Hz. A part that is late begins at once."""
        sounds: list[np.ndarray] = []
        count = rate = 0
        for cue in cues:
            for wav, own_rate in self.speak_sentences(cue.text, sketch):
                rate = rate or own_rate
                if cue.start_s is not None and (wait := round(cue.start_s * rate) - count) > 0:
                    sounds.append(np.zeros(wait, np.float32))
                    count += wait
                cue = Cue(cue.text)  # only the first sentence has a time
                sounds.append(resample(wav, own_rate, rate))
                count += len(sounds[-1])
        if not sounds:
            raise FaceVCError("the text is empty. Give at least one word.")
        return np.concatenate(sounds), rate


def describe_text(text: str) -> str:
    """Quotes the beginning of a text, for messages."""
    line = " ".join(text.split())
    return repr(line if len(line) <= 40 else f"{line[:37]}...")


def list_left_out(words: Sequence[str]) -> str:
    """Lists the first words of those that were not said, for messages."""
    more = f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else ""
    return f"{', '.join(words[:MOST_NAMED])}{more}"


def trim_silence(wav: np.ndarray, rate: int) -> np.ndarray:
    """Cuts the silence at both ends of (n,), except for a short margin."""
    hop = max(1, round(FRAME_S * rate))
    frames = wav[: len(wav) // hop * hop].reshape(-1, hop)
    levels = np.sqrt((frames.astype(np.float64) ** 2).mean(1)) if len(frames) else np.zeros(0)
    loud = np.flatnonzero(levels > levels.max(initial=0.0) * 10 ** (SILENT_DB / 20))
    if not len(loud):
        return wav
    margin = round(MARGIN_S * rate)
    return wav[max(0, loud[0] * hop - margin) : (loud[-1] + 1) * hop + margin]
