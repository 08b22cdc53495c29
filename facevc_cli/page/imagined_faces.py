"""Imagines faces for the voice of a page, and lets them answer. This module does not import Gradio."""

import hashlib
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from facevc_cli.conversion.voice import Target
from facevc_cli.core.errors import FaceVCError
from facevc_cli.families.checkpoint import find_bundled_matcher
from facevc_cli.imagining.imaginer import Imaginer
from facevc_cli.imagining.saving import make_record, save_sheet
from facevc_cli.page.session import Converted, PageSession, Speech
from facevc_cli.page.studio import Studio, check_usable
from facevc_cli.page.uploads import Upload, make_stem
from facevc_cli.provenance.metadata import describe_provenance
from facevc_cli.provenance.saving import save_converted

MOST_FACES = 6


@dataclass(frozen=True)
class DrawnFaces:
    """A finished sheet. feminine: the probability of a woman, heard in the voice. age_years: heard, too."""

    path: Path
    count: int
    feminine: float
    age_years: float
    took_s: float


class ImaginedFaces:
    """Any number of pages and one imaginer, which is loaded at first use. All work is done in the studio's turn."""

    def __init__(self, studio: Studio):
        self.studio = studio

    @cached_property
    def imaginer(self) -> Imaginer:
        return Imaginer(find_bundled_matcher(), str(self.studio.converter.device))

    def hear(self, page: str, upload: Upload) -> Speech | None:
        """Takes the voice of a page, or forgets it (None). FaceVCError if it has no sound or is too long."""
        return self.studio.run_in_turn(self._hear, page, upload)

    def imagine(self, page: str, count: int, seed: int = 0) -> DrawnFaces:
        """Draws faces that fit the page's voice. FaceVCError if there is no voice."""
        return self.studio.run_in_turn(self._imagine, page, count, seed)

    def answer(self, page: str, number: int) -> Converted:
        """Says the page's words in the voice that the model recalls for a drawn face. number: from 1.

        FaceVCError if there is no such face.
        """
        return self.studio.run_in_turn(self._answer, page, number)

    def _hear(self, page: str, upload: Upload) -> Speech | None:
        session = self.studio.find_session(page)
        session.asked, session.imagined = None, ()
        if upload is not None:
            try:
                session.asked = self.studio.read_speech(session, upload)
            except FaceVCError as error:
                session.asked = error
                raise
        return session.asked

    def _imagine(self, page: str, count: int, seed: int) -> DrawnFaces:
        started = time.perf_counter()
        if not 1 <= count <= MOST_FACES:
            raise FaceVCError(f"expected 1 to {MOST_FACES} faces, found {count}.")
        session = self.studio.find_session(page)
        voice = self._find_voice(session)
        heard = self.imaginer.listen((voice.wav, voice.rate))
        portraits = self.imaginer.imagine_many(heard, count, seed=seed)
        self.studio.check_open(page, session)
        session.imagined = tuple(portrait.picture for portrait in portraits)
        model = self.imaginer.matcher.checkpoint
        record = make_record("", model.config.name, model.weights_sha256, voice.sha256, f"seed {seed}")
        path = self.studio.choose_path(f"{make_stem(voice.name)}__faces.png")
        captions = [f"Face {number}" for number in range(1, count + 1)]
        save_sheet(path, list(session.imagined), captions, Path(voice.name), record, across=3)
        self.studio.keep_result(page, session, session.drawn, path)
        return DrawnFaces(path, count, heard.feminine, heard.age_years, time.perf_counter() - started)

    def _answer(self, page: str, number: int) -> Converted:
        started = time.perf_counter()
        session, converter = self.studio.find_session(page), self.studio.converter
        if not 1 <= number <= len(session.imagined):
            raise FaceVCError("There are no faces yet. Press Imagine first.")
        voice, picture = self._find_voice(session), session.imagined[number - 1]
        if voice.source is None:
            voice.source = converter.analyse((voice.wav, voice.rate))
        target: Target = converter.target_from_face(picture)
        wav = converter.speak(voice.source, target)
        digest = hashlib.sha256(picture.tobytes()).hexdigest()
        model = converter.checkpoint
        key = hashlib.sha256(f"{model.weights_sha256} {voice.sha256} {digest}".encode()).hexdigest()[:16]
        made = describe_provenance(key, model.config.name, model.weights_sha256, voice.sha256, [digest])
        path = self.studio.choose_path(f"{make_stem(voice.name)}__face-{number}.wav")
        save_converted(path, wav, converter.rate, made, voice.name, "an imagined face")
        self.studio.keep_result(page, session, session.answer, path)
        self.studio.conversions += 1
        return Converted(path, len(wav) / converter.rate, time.perf_counter() - started)

    def _find_voice(self, session: PageSession) -> Speech:
        voice = check_usable(session.asked)
        if voice is None:
            raise FaceVCError("There is no voice yet. Record some speech, or drop a sound file into the field.")
        return voice
