"""The content of a face field: photos of one person, or a voice card. This module does not import Gradio.

The command line's resolver finds the voice. This module adds what only a page needs: the names that people gave
their files, the pixel limit, and the pictures to show.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facevc_cli.conversion.card import VoiceCard, load_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.resolver import VoiceResolver
from facevc_cli.conversion.voice import Target
from facevc_cli.conversion.voice_spec import VoiceSpec, is_card, refuse_cards
from facevc_cli.core.errors import FaceVCError
from facevc_cli.faces.analyser import FaceObservation
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.image import load_image
from facevc_cli.page.views import draw_box

MOST_PHOTOS = 12
MOST_PIXELS = 64_000_000  # per photo, because several people may upload at once; phones take 12 to 50 million


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture in which a face was found. shown: (h, w, 3) uint8, a small copy with a box around the face."""

    name: str
    sha256: str
    face: FaceObservation
    shown: np.ndarray


@dataclass(frozen=True, eq=False)
class Card:
    """A voice card of this model. pitch_hz: the median that the model predicts, None if it predicts none."""

    name: str
    sha256: str
    card: VoiceCard
    pitch_hz: float | None


@dataclass(frozen=True, eq=False)
class Person:
    """One person: some photos, or one card. left_out: why photos cannot be used."""

    spec: VoiceSpec
    described: str  # the spec in words, with the names that people gave their files
    files: tuple[Photo | Card, ...]
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.described


class UploadResolver(VoiceResolver):
    """The voices of one open page.

    Each file is read when it arrives, because it is deleted after use while the field still names it.
    """

    def __init__(self, converter: Converter):
        super().__init__(converter)
        self._names: dict[Path, str] = {}
        self._refused: dict[Path, FaceVCError] = {}
        self._shown: dict[Path, Photo | Card] = {}

    def knows(self, file: Path) -> bool:
        return file in self._names

    def take(self, file: Path, name: str, refused: FaceVCError | None = None) -> None:
        """Read an upload that people call `name`, and keep the result. refused: why it must not be read."""
        self.keep_only(self._names.keys() - {file})
        self._names[file] = name
        if refused is not None:
            self._refused[file] = refused
        with suppress(FaceVCError):  # the error is kept, and reported when the file is used
            self.resolve(VoiceSpec.from_file("card" if is_card(file) else "face", file))

    def keep_only(self, files: Iterable[Path]) -> None:
        kept = set(files)
        super().keep_only(kept)
        self._names = {file: name for file, name in self._names.items() if file in kept}
        self._refused = {file: error for file, error in self._refused.items() if file in kept}
        self._shown = {file: shown for file, shown in self._shown.items() if file in kept}

    def find_person(self, files: Sequence[Path]) -> Person:
        """Find the person that the files of one field show.

        FaceVCError if no file can be used, or a card is not alone.
        """
        if len(files) == 1 and is_card(files[0]):
            spec = VoiceSpec.from_file("card", files[0])
            self.resolve(spec)
            return self._show(spec)
        refuse_cards(
            files,
            "expected photos of one person or one voice card",
            "Remove something, or put the card into the other face field and mix the two.",
            self.name_file,
        )
        given = self._join(files)
        left_out = self.find_left_out(given)
        return self._show(self._join(self.drop_unusable(given).files), tuple(map(str, left_out.values())))

    def weigh_shown(self, spec: VoiceSpec) -> list[tuple[Photo | Card, float]]:
        """List the files that the voice comes from, each with its share."""
        return [(self._shown[file], share) for file, share in self.weigh_files(spec)]

    def embed_picture(self, file: Path, degradation: str = "") -> np.ndarray:
        name = self._check(file)
        with name_in_errors(file, name):
            image, digest = load_image(file, most_pixels=MOST_PIXELS), hash_file(file)
            try:
                face = self.converter.find_face(image)
            except FaceVCError as error:
                raise type(error)(f"{name}: {error}") from error
        self._shown[file] = Photo(name, digest, face, draw_box(image, face.box))
        return np.asarray(face.embedding, dtype=np.float32)

    def read_card(self, file: Path) -> Target:
        name = self._check(file)
        with name_in_errors(file, name):
            card, digest = load_card(file), hash_file(file)
            target = self.converter.target_from_card(file)
        self._shown[file] = Card(name, digest, card, self.converter.find_median_hz(target))
        return target

    def name_file(self, file: Path) -> str:
        return self._names.get(file, file.name)

    def _check(self, file: Path) -> str:
        """The name that people gave a file. FaceVCError if it may not be read."""
        if file in self._refused:
            raise self._refused[file]
        return self._names[file]

    def _join(self, files: Sequence[Path]) -> VoiceSpec:
        """Treat photos as one person, named after the first."""
        return VoiceSpec.from_pictures(Path(self.name_file(files[0])).stem, files)

    def _show(self, spec: VoiceSpec, left_out: tuple[str, ...] = ()) -> Person:
        files = tuple(self._shown[file] for file in spec.files)
        return Person(spec, spec.describe(self.name_file), files, left_out)


@contextmanager
def name_in_errors(path: Path, name: str) -> Iterator[None]:
    """In errors, replace the path on this machine by the name that the person gave the file."""
    try:
        yield
    except FaceVCError as error:
        raise type(error)(str(error).replace(str(path), name)) from error
