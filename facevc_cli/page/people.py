"""Who is given in a face field: photographs of one person, or a voice card. It knows no Gradio."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facevc_cli.conversion.card import VoiceCard, load_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.voice import Target
from facevc_cli.conversion.voice_spec import is_card
from facevc_cli.core.errors import FaceVCError
from facevc_cli.faces.analyser import FaceObservation
from facevc_cli.files.hashes import file_sha256
from facevc_cli.files.image import load_image
from facevc_cli.page.views import boxed

MOST_PHOTOS = 12
MOST_PIXELS = 64_000_000  # of a photo in the page, where several people may send some at once; telephones take 12 to 50


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture in which a face was found. shown: (h, w, 3) uint8, the picture made small, with a box around the face."""

    name: str
    sha256: str
    face: FaceObservation
    shown: np.ndarray


@dataclass(frozen=True, eq=False)
class Card:
    """A voice card of this model. pitch_hz: the median that the model predicts, None where it predicts none."""

    name: str
    sha256: str
    card: VoiceCard
    target: Target
    pitch_hz: float | None


@dataclass(frozen=True, eq=False)
class Person:
    """One person: some photos, or one card. left_out: what was wrong with the photos that cannot be used."""

    files: tuple[Photo, ...] | tuple[Card]
    left_out: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.files[0].name

    def target(self, converter: Converter) -> Target:
        """The card's voice, or the voice recalled for the mean of the photos' embeddings, as --person has it."""
        first = self.files[0]
        if isinstance(first, Card):
            return first.target
        return converter.target_from_embedding(np.mean([file.face.embedding for file in self.files if isinstance(file, Photo)], axis=0))

    def __str__(self) -> str:
        if len(self.files) > 1:
            return f"person {Path(self.name).stem} ({len(self.files)} pictures)"
        return f"{'card' if isinstance(self.files[0], Card) else 'face'} {self.name}"


def read(converter: Converter, path: Path, name: str) -> Photo | Card:
    """A file of a face field. FaceVCError where it is neither a picture with a face nor a card of this model."""
    if is_card(path):
        target, card = converter.target_from_card(path), load_card(path)
        pitch_hz = math.exp(converter.own_log_f0(target)) if converter.model.pitch_level is not None else None
        return Card(name, file_sha256(path), card, target, pitch_hz)
    image, digest = load_image(path, most_pixels=MOST_PIXELS), file_sha256(path)
    try:
        face = converter.find_face(image)
    except FaceVCError as error:
        raise type(error)(f"{name}: {error}") from error
    return Photo(name, digest, face, boxed(image, face.box))


def person_of(found: Sequence[Photo | Card | FaceVCError]) -> Person:
    """Photos that cannot be used are left out. FaceVCError where none is left, or a card stands beside something else."""
    photos = tuple(one for one in found if isinstance(one, Photo))
    cards = [one for one in found if isinstance(one, Card)]
    failed = [one for one in found if isinstance(one, FaceVCError)]
    if cards and len(found) > 1:
        raise FaceVCError(
            f"expected photos of one person or one voice card, found {cards[0].name} and {len(found) - 1} more: a card holds a voice, which no photo "
            "can be averaged with. Take something away, or give the card in the other face field and mix the two."
        )
    if cards:
        return Person((cards[0],))
    if not photos:
        raise FaceVCError(str(failed[0]) if len(failed) == 1 else f"none of the {len(failed)} photos can be used, the first: {failed[0]}") from failed[0]
    return Person(photos, tuple(map(str, failed)))
