"""What the studio keeps of one open page."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facevc_cli.conversion.speech import Source
from facevc_cli.conversion.voice_reading import VoiceReading
from facevc_cli.core.errors import FaceVCError
from facevc_cli.page.people import Person, UploadResolver
from facevc_cli.page.uploads import Stamp
from facevc_cli.portraits.photo import PhotoFace


@dataclass
class Speech:
    """A readable recording. wav: (n,) float32; rate: Hz; source: the model's analysis, once it is made."""

    name: str
    sha256: str
    wav: np.ndarray
    rate: int
    source: Source | None = None

    @property
    def seconds(self) -> float:
        return len(self.wav) / self.rate


@dataclass(frozen=True, eq=False)
class GivenPhoto:
    """A photo that can be restyled. profile: of its colours. shown: (h, w, 3) uint8, a small copy with a box."""

    name: str
    sha256: str
    face: PhotoFace
    profile: bytes | None
    shown: np.ndarray


@dataclass(frozen=True, eq=False)
class GivenFace:
    """A face that a photo is moved towards. descriptor: (162,) of `fused`. shown, crop: as in `Photo` and its face."""

    name: str
    sha256: str
    descriptor: np.ndarray
    shown: np.ndarray
    crop: np.ndarray


@dataclass(frozen=True)
class ReadText:
    """A text as the engine spoke it last, so that another face needs no new synthesis. fingerprint: of all settings."""

    fingerprint: str
    source: Source


@dataclass(frozen=True)
class Converted:
    """A finished file, its length, and the time that the conversion took."""

    path: Path
    seconds: float
    took_s: float


@dataclass
class PageSession:
    """The uploads and results of one open page. Errors are kept too, so that the button reports them again."""

    resolver: UploadResolver
    speech: Speech | FaceVCError | None = None
    asked: Speech | FaceVCError | None = None  # the voice that faces are imagined for
    imagined: tuple[np.ndarray, ...] = ()  # the faces that were drawn for it
    photo: GivenPhoto | FaceVCError | None = None  # what is restyled
    guide_face: GivenFace | FaceVCError | None = None  # what it is moved towards
    guide_voice: Speech | FaceVCError | None = None
    read_aloud: ReadText | None = None
    people: dict[int, Person | FaceVCError] = field(default_factory=dict)
    faces: dict[int, tuple[Path, ...]] = field(default_factory=dict)  # what a face field holds
    uploads: dict[Path, Stamp] = field(default_factory=dict)
    result: dict[Path, Stamp] = field(default_factory=dict)
    spoken: dict[Path, Stamp] = field(default_factory=dict)  # the result of a text
    drawn: dict[Path, Stamp] = field(default_factory=dict)  # the sheet of imagined faces
    answer: dict[Path, Stamp] = field(default_factory=dict)  # what one of them said
    set_aside: dict[Path, Stamp] = field(default_factory=dict)  # uploads for a photo that is to be restyled
    restyled: dict[Path, Stamp] = field(default_factory=dict)
    card: dict[Path, Stamp] = field(default_factory=dict)
    examples: dict[str, Path] = field(default_factory=dict)  # the last copies of bundled files
    # what the sliders of register and age of these people began at
    readings: dict[tuple[int, ...], VoiceReading | None] = field(default_factory=dict)
    called_s: float = 0.0  # when the page called last, by the monotonic clock

    @property
    def shown(self) -> set[Path]:
        """The files of all face fields."""
        return {path for files in self.faces.values() for path in files}

    @property
    def files(self) -> tuple[dict[Path, Stamp], ...]:
        """All files that are kept for the page."""
        made = (self.result, self.spoken, self.drawn, self.answer, self.restyled, self.card)
        return self.uploads, self.set_aside, *made
