"""Restyles the photo of a page towards a voice, a face, or sliders. This module does not import Gradio."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from facevc_cli.conversion.traits import TraitRule
from facevc_cli.conversion.voice_reading import OLDEST, YOUNGEST
from facevc_cli.core import errors
from facevc_cli.core.errors import FaceVCError
from facevc_cli.faces.reading import FaceReading
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import load_image, read_colour_profile
from facevc_cli.imagining.voice import VoiceDescription, listen
from facevc_cli.page.people import MOST_PIXELS, name_in_errors
from facevc_cli.page.session import GivenFace, GivenPhoto, PageSession, Speech
from facevc_cli.page.studio import Studio, check_usable
from facevc_cli.page.uploads import Upload, delete_files, find_path, make_stem
from facevc_cli.page.views import draw_box
from facevc_cli.portraits.photo import Aim, Restyled, Restyler
from facevc_cli.portraits.saving import MOST_STRENGTH, Guide, RestyleOrigin, choose_suffix, save_restyled
from facevc_cli.voices import dvector

Towards = Literal["sliders", "voice", "face"]
STEPS = 20  # of the slider of the register, from 0 to 1


@dataclass(frozen=True, eq=False)
class RestyledResult:
    """A finished picture. photo: (H, W, 3) uint8, before. made: what was read in both. heard: in the voice, if any."""

    path: Path
    photo: np.ndarray
    made: Restyled
    heard: VoiceDescription | None
    took_s: float


class RestyledPhotos:
    """Any number of pages and one restyler, which is loaded at first use. All work is done in the studio's turn."""

    def __init__(self, studio: Studio):
        self.studio = studio

    @cached_property
    def restyler(self) -> Restyler:
        return Restyler()

    @cached_property
    def _voice_embedder(self) -> dvector.VoiceEmbedder:
        return dvector.VoiceEmbedder()

    def look(self, page: str, uploads: Sequence[Upload]) -> GivenPhoto | None:
        """Takes the photo of a page, or forgets it. FaceVCError if its face cannot be restyled well."""
        return self.studio.run_in_turn(self._look, page, uploads)

    def look_at_guide(self, page: str, uploads: Sequence[Upload]) -> GivenFace | None:
        """Takes the face that the photo is moved towards, or forgets it. FaceVCError if there is no face."""
        return self.studio.run_in_turn(self._look_at_guide, page, uploads)

    def hear(self, page: str, upload: Upload) -> Speech | None:
        """Takes the voice that the photo is moved towards, or forgets it. FaceVCError if it has no sound."""
        return self.studio.run_in_turn(self._hear, page, upload)

    def restyle(
        self, page: str, towards: Towards, register: float = 0.0, age_years: float = 0.0, strength: float = 1.0
    ) -> RestyledResult:
        """Moves the page's photo, then deletes the uploads. The photo stays in memory for another try.

        register, age_years: as the sliders say; they count if they were moved from what the photo is read as.
        FaceVCError if something is missing.
        """
        return self.studio.run_in_turn(self._restyle, page, towards, register, age_years, strength)

    def _look(self, page: str, uploads: Sequence[Upload]) -> GivenPhoto | None:
        session = self.studio.find_session(page)
        session.photo = None
        try:
            if (found := self._read_picture(session, uploads)) is not None:
                name, digest, picture, profile = found
                with errors.name_in_errors(name):
                    face = self.restyler.find_face(picture)
                session.photo = GivenPhoto(name, digest, face, profile, draw_box(face.picture, face.box))
        except FaceVCError as error:
            session.photo = error
            raise
        return session.photo

    def _look_at_guide(self, page: str, uploads: Sequence[Upload]) -> GivenFace | None:
        session = self.studio.find_session(page)
        session.guide_face = None
        try:
            if (found := self._read_picture(session, uploads)) is not None:
                name, digest, picture, _ = found
                with errors.name_in_errors(name):
                    seen = self.restyler.look(picture)
                session.guide_face = GivenFace(name, digest, seen.embedding, draw_box(picture, seen.box), seen.crop)
        except FaceVCError as error:
            session.guide_face = error
            raise
        return session.guide_face

    def _hear(self, page: str, upload: Upload) -> Speech | None:
        session = self.studio.find_session(page)
        session.guide_voice = None
        if upload is not None:
            try:
                session.guide_voice = self.studio.read_speech(session, upload)
            except FaceVCError as error:
                session.guide_voice = error
                raise
            finally:
                _set_aside(session, upload)
        return session.guide_voice

    def _read_picture(
        self, session: PageSession, uploads: Sequence[Upload]
    ) -> tuple[str, str, np.ndarray, bytes | None] | None:
        """Reads the one picture of a field: its name, sha256, pixels and colour profile. None if there is none."""
        given = [upload for upload in uploads if upload]
        if len(given) > 1:
            raise FaceVCError(f"expected one photo, found {len(given)}. Remove one.")
        if not given:
            return None
        path, name = self.studio.receive(session, given[0])
        _set_aside(session, given[0])
        with name_in_errors(path, name):
            return name, hash_file(path), load_image(path, most_pixels=MOST_PIXELS), read_colour_profile(path)

    def _restyle(
        self, page: str, towards: Towards, register: float, age_years: float, strength: float
    ) -> RestyledResult:
        started = time.perf_counter()
        session = self.studio.find_session(page)
        photo = check_usable(session.photo)
        if photo is None:
            raise FaceVCError("There is no photo yet. Take one, or drop one into the first field.")
        if not 0 < strength <= MOST_STRENGTH:
            raise FaceVCError(f"expected a strength above 0 and at most {MOST_STRENGTH:g}, found {strength:g}.")
        rule, heard = TraitRule(), None
        if towards == "voice":
            aim, guide, heard = self._aim_at_voice(session)
        elif towards == "face":
            aim, guide = _aim_at_face(session)
        else:
            rule, guide = _read_sliders(photo.face.reading, register, age_years), Guide()
            aim = Aim(rule.register, rule.age_years)
        made = self.restyler.restyle(photo.face, aim, strength)
        origin = RestyleOrigin(
            model_sha256=self.restyler.composites.sha256,
            photo_sha256=photo.sha256,
            guide=guide,
            strength=strength,
            settings=rule.settings,
        )
        path = self.studio.choose_path(f"{make_stem(photo.name)}__restyled{choose_suffix(photo.name)}")
        save_restyled(path, made.picture, origin, photo.name, photo.profile)
        self.studio.keep_result(page, session, session.restyled, path)
        delete_files(session.set_aside)
        self.studio.conversions += 1
        return RestyledResult(path, photo.face.picture, made, heard, time.perf_counter() - started)

    def _aim_at_voice(self, session: PageSession) -> tuple[Aim, Guide, VoiceDescription]:
        voice = check_usable(session.guide_voice)
        if voice is None:
            raise FaceVCError("There is no voice yet. Record some speech, or drop a sound file into the second field.")
        with errors.name_in_errors(voice.name):
            heard = listen((voice.wav, voice.rate), self._voice_embedder)
        return Aim(heard.feminine, heard.age_years), Guide("voice", voice.name, voice.sha256), heard


def _aim_at_face(session: PageSession) -> tuple[Aim, Guide]:
    face = check_usable(session.guide_face)
    if face is None:
        raise FaceVCError("There is no other face yet. Take a photo, or drop one into the second field.")
    return Aim(descriptor=face.descriptor), Guide("face", face.name, face.sha256)


def find_slider_register(reading: FaceReading) -> float:
    """The register of a face on its slider."""
    return round(round(reading.feminine * STEPS) / STEPS, 2)


def find_slider_age(reading: FaceReading) -> float:
    """The age of a face on its slider, in years."""
    return float(round(min(max(reading.age_years, YOUNGEST), OLDEST)))


def _read_sliders(reading: FaceReading, register: float, age_years: float) -> TraitRule:
    """FaceVCError if no slider was moved from what the face is read as."""
    rule = TraitRule(
        None if register == find_slider_register(reading) else register,
        None if age_years == find_slider_age(reading) else age_years,
    )
    if rule == TraitRule():
        raise FaceVCError("The sliders say what the face is read as already. Move one, or choose a voice or a face.")
    return rule


def _set_aside(session: PageSession, upload: Upload) -> None:
    """Keeps an upload that was read until the photo is restyled, and not until the next conversion."""
    path = find_path(upload or {})
    if path in session.uploads:
        session.set_aside[path] = session.uploads.pop(path)
