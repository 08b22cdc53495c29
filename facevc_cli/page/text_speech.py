"""Speaks the text of a page in the voice of its face. This module does not import Gradio."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from facevc_cli.conversion.traits import TraitRule
from facevc_cli.core.errors import FaceVCError
from facevc_cli.dsp.pitch import PitchRule
from facevc_cli.page.people import Photo
from facevc_cli.page.session import PageSession, ReadText
from facevc_cli.page.studio import Studio, mix_people, name_result
from facevc_cli.page.uploads import delete_files, make_stem
from facevc_cli.provenance.saving import save_converted
from facevc_cli.speaking.narrator import Narrator, NarratorSettings
from facevc_cli.speaking.spoken_text import SpokenText
from facevc_cli.speaking.text_files import NamedText

WHO = 2  # the number of this person in the studio
VOICE = (WHO,)
CHARACTERS_PER_SECOND = 15  # of natural speech
FEWEST_CHARACTERS, MOST_CHARACTERS = 100, 20_000  # between them is the limit of a text
Report = Callable[
    [int, int], None
]  # gets the number of synthesised sentences, and that of all; equal ones: it is converted


@dataclass(frozen=True)
class SpokenResult:
    """A finished file, with what the page shows of it. faces: crops (h, w, 3) uint8. left_out: what was not said."""

    path: Path
    seconds: float
    took_s: float
    text: str
    faces: tuple[np.ndarray, ...]
    left_out: tuple[str, ...]


class TextSpeech:
    """Any number of pages and one engine, which is loaded once. All work is done in the studio's turn."""

    def __init__(self, studio: Studio):
        self.studio = studio
        natural = round(studio.max_seconds * CHARACTERS_PER_SECOND)
        self.most_characters = min(max(FEWEST_CHARACTERS, natural), MOST_CHARACTERS)

    @cached_property
    def narrator(self) -> Narrator:
        """The engine with its default settings. FaceVCError if the engine is not installed."""
        narrator = Narrator(NarratorSettings())
        narrator.check()
        return narrator

    @property
    def is_usable(self) -> bool:
        """Whether the engine is installed."""
        try:
            return bool(self.narrator)
        except FaceVCError:
            return False

    def speak(
        self,
        page: str,
        text: str,
        register: float = 0.0,
        age_years: float = 0.0,
        speed: float = 1.0,
        language: str = "en-us",
        report: Report = lambda done, count: None,
    ) -> SpokenResult:
        """Speaks a text in the voice of the page's person, then deletes the photos.

        The sliders count as in `Studio.convert`. FaceVCError if there is no face, nothing to say, or too much.
        """
        settings = NarratorSettings(language=language, speed=speed)
        settings.check()
        return self.studio.run_in_turn(self._speak, page, text, register, age_years, settings, report)

    def _speak(
        self, page: str, text: str, register: float, age_years: float, settings: NarratorSettings, report: Report
    ) -> SpokenResult:
        started = time.perf_counter()
        studio, converter = self.studio, self.studio.converter
        session = studio.find_session(page)
        named = NamedText.from_words(self._check_text(text))
        narrator = Narrator(settings, self.narrator.engine)
        narrator.check()
        spec = mix_people(session, 0.0, VOICE)
        target, files = session.resolver.resolve(spec), session.resolver.weigh_shown(spec)
        traits, pitch = TraitRule.from_sliders(session.readings.get(VOICE), register, age_years), PitchRule()
        spoken = SpokenText(named.id, named.name, named.cues, narrator)
        if session.read_aloud is None or session.read_aloud.fingerprint != spoken.fingerprint():
            session.read_aloud = self._synthesise(page, session, spoken, report)
        report(1, 1)
        steered = converter.apply_pitch_rule(converter.apply_trait_rule(target, traits), pitch)
        wav = converter.speak(session.read_aloud.source, steered)
        made = studio.describe_result(spoken.fingerprint(), files, pitch, traits, spoken.about)
        path = studio.choose_path(f"{make_stem(named.id)}__{name_result(session, spec)}.wav")
        save_converted(path, wav, converter.rate, made, named.name, spec.describe(session.resolver.name_file))
        studio.keep_result(page, session, session.spoken, path)
        given = session.faces.get(WHO, ())
        delete_files({file: session.uploads.pop(file) for file in given if file in session.uploads})
        studio.conversions += 1
        return SpokenResult(
            path,
            len(wav) / converter.rate,
            time.perf_counter() - started,
            " ".join(spoken.text.split()),
            tuple(file.face.crop for file, _ in files if isinstance(file, Photo)),
            narrator.split(spoken.text).left_out,
        )

    def _synthesise(self, page: str, session: PageSession, spoken: SpokenText, report: Report) -> ReadText:
        """Speaks the sentences one by one. It stops if they become too long, or the page is closed."""
        most_s, seconds = self.studio.max_seconds, 0.0
        count = len(spoken.narrator.split(spoken.text).sentences)
        report(0, count)
        sounds: list[np.ndarray] = []
        rate = 0
        for wav, rate in spoken.narrator.speak_sentences(spoken.text):
            self.studio.check_open(page, session)
            sounds.append(wav)
            seconds += len(wav) / rate
            if seconds > most_s:
                raise FaceVCError(
                    f"expected at most {most_s:g} s of speech, but sentence {len(sounds)} of {count} ends after "
                    f"{seconds:.0f} s. Shorten the text, speak faster, or use 'facevc speak', which has no such limit."
                )
            report(len(sounds), count)
        return ReadText(spoken.fingerprint(), self.studio.converter.analyse((np.concatenate(sounds), rate)))

    def _check_text(self, text: str) -> str:
        """FaceVCError if it is empty or too long."""
        if not text.strip():
            raise FaceVCError("There is no text yet. Write some into the first field.")
        if len(text) > self.most_characters:
            raise FaceVCError(
                f"expected a text of at most {self.most_characters} characters, found {len(text)}. Shorten it, or use "
                "'facevc speak', which has no such limit."
            )
        return text
