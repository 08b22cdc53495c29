"""Writes restyled photos, each marked as synthetic, with what it was made from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from facevc_cli.files.hashes import hash_file
from facevc_cli.provenance.pictures import PictureRecord, save_marked_picture, shorten_hash

# counted up when the same inputs give another picture
ENGINES = {"composites": "composites 2", "styles": "styles 1"}
MOST_STRENGTH = 1.5
KEPT_SUFFIXES = (".jpg", ".jpeg", ".webp")  # other photos become PNG


@dataclass(frozen=True)
class Guide:
    """The file that a face is moved towards: a face, a voice, or none. sha256: of the file's bytes."""

    kind: Literal["face", "voice", ""] = ""
    name: str = ""
    sha256: str = ""

    @classmethod
    def of(cls, face: Path | None, voice: Path | None) -> "Guide":
        """FaceVCError if the file cannot be read."""
        file = face or voice
        return cls("face" if face else "voice", file.name, hash_file(file)) if file else cls()


@dataclass(frozen=True, kw_only=True)
class RestyleOrigin:
    """What a restyled photo was made from. settings: register and age, as texts. on_many: as `Restyler` takes it.

    model_sha256: of the composites, or of the weights of a model of styles.
    """

    model_sha256: str
    photo_sha256: str
    model: Literal["composites", "styles"] = "composites"
    guide: Guide = Guide()
    strength: float = 1.0
    settings: Sequence[str] = ()
    on_many: str = "largest"

    @property
    def key(self) -> str:
        """The hash of everything that decides the picture: 16 hex digits."""
        parts = [ENGINES[self.model], self.model_sha256, self.photo_sha256, self.guide.kind, self.guide.sha256]
        parts += [*self.settings, f"{self.strength:g}", self.on_many]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def make_record(self) -> PictureRecord:
        """Describes a picture that is made today."""
        guides = (shorten_hash(self.guide.sha256),)
        return PictureRecord(
            made="restyled",
            key=self.key,
            model=self.model,
            model_sha256=shorten_hash(self.model_sha256),
            photo_sha256=shorten_hash(self.photo_sha256),
            face_sha256=guides if self.guide.kind == "face" else (),
            voice_sha256=guides if self.guide.kind == "voice" else (),
            settings=", ".join([f"strength {self.strength:g}", *self.settings]),
        )


def save_restyled(
    path: Path, picture: np.ndarray, origin: RestyleOrigin, photo: str, icc_profile: bytes | None = None
) -> None:
    """Writes (H, W, 3) uint8 with its mark. The suffix gives the format. photo: its name, for people."""
    record = origin.make_record()
    towards = f" towards {origin.guide.name}" if origin.guide.kind else ""
    said = f"the face in {photo} moved{towards} ({record.settings})"
    save_marked_picture(path, picture, record, said, icc_profile=icc_profile)


def choose_suffix(photo: str) -> str:
    """Returns the suffix of a restyled photo: that of the photo if facevc writes it, else .png."""
    suffix = Path(photo).suffix.lower()
    return suffix if suffix in KEPT_SUFFIXES else ".png"
