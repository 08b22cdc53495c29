"""Describes which voice is meant: the files of a person, a recording, a voice card, or a mix. It opens no file."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Literal

from facevc_cli.conversion.card import CARD_SUFFIX
from facevc_cli.core.errors import FaceVCError

VoiceKind = Literal["face", "voice", "card", "mix"]
NameFile = Callable[[Path], str]  # returns the name of a file in messages
FILE_NAME: NameFile = attrgetter("name")


@dataclass(frozen=True)
class VoiceSpec:
    """The voice of a recording, of a card, or the one recalled for pictures. Equal specs give the same voice."""

    kind: VoiceKind
    people: tuple[tuple[Path, ...], ...]  # each person's files; one person with one file, except for pictures
    degradation: str = ""  # applied to every picture, as in faces/degradation.py
    name: str = ""  # name of a person with several pictures
    parts: tuple[tuple["VoiceSpec", float], ...] = ()  # parts of a mix, with shares that sum to 1

    @classmethod
    def from_file(cls, kind: VoiceKind, file: Path, degradation: str = "") -> "VoiceSpec":
        return cls(kind, ((file,),), degradation)

    @classmethod
    def from_pictures(cls, name: str, files: Sequence[Path]) -> "VoiceSpec":
        """Makes the spec of one person with one or more pictures."""
        return cls("face", (tuple(files),), name=name) if len(files) > 1 else cls.from_file("face", files[0])

    @classmethod
    def from_people(cls, people: Sequence[Sequence[Path]]) -> "VoiceSpec":
        """Makes the spec of the mean face of several people, each with one or more pictures."""
        return cls("face", tuple(tuple(files) for files in people))

    @classmethod
    def from_mix(cls, parts: Sequence[tuple["VoiceSpec", float]]) -> "VoiceSpec":
        """Makes the spec of a mix. The weights may have any sum above 0."""
        total = math.fsum(weight for _, weight in parts)
        return cls("mix", (), parts=tuple((part, weight / total) for part, weight in parts))

    def degrade(self, degradation: str) -> "VoiceSpec":
        """Returns the spec with every picture degraded. Cards and recordings are unchanged."""
        parts = tuple((part.degrade(degradation), share) for part, share in self.parts)
        return replace(self, parts=parts, degradation=degradation if self.has_pictures else self.degradation)

    def leave_out(self, files: Collection[Path]) -> "VoiceSpec":
        """Returns the spec without these files. `people` is empty if no file is left."""
        people = (tuple(file for file in kept if file not in files) for kept in self.people)
        return replace(self, people=tuple(kept for kept in people if kept))

    @property
    def files(self) -> tuple[Path, ...]:
        own = tuple(file for files in self.people for file in files)
        return own + tuple(file for part, _ in self.parts for file in part.files)

    @property
    def file(self) -> Path | None:
        """The one file that the voice comes from; None for several pictures and for a mix."""
        return self.files[0] if len(self.files) == 1 and not self.parts else None

    @property
    def has_pictures(self) -> bool:
        """True if there are pictures, which need the face networks."""
        return self.kind == "face" or any(part.has_pictures for part, _ in self.parts)

    def describe(self, name_file: NameFile = FILE_NAME) -> str:
        """Describes the spec in words, such as "face a.jpg" or "mix of a.jpg 0.60 and person anna (3
        pictures) 0.40".
        """
        if self.parts:
            what = (
                f"mix of {' and '.join(f'{part._describe_part(name_file)} {share:.2f}' for part, share in self.parts)}"
            )
        elif self.name:
            what = f"person {self.name} ({len(self.files)} pictures)"
        else:
            what = f"{self.kind} {name_file(self.file)}" if self.file else f"mean of {len(self.files)} faces"
        return f"{what} ({self.degradation})" if self.degradation else what

    def _describe_part(self, name_file: NameFile) -> str:
        """Describes a part without its degradation, because the mix names it once."""
        return name_file(self.file) if self.file else replace(self, degradation="").describe(name_file)

    def __str__(self) -> str:
        return self.describe()


def is_card(path: Path) -> bool:
    return path.suffix.lower() == CARD_SUFFIX


def refuse_cards(files: Sequence[Path], expected: str, advice: str, name_file: NameFile = FILE_NAME) -> None:
    """Raises FaceVCError if a voice card is among a person's pictures.

    The text begins with `expected` and ends with `advice`.
    """
    cards = [name_file(file) for file in files if is_card(file)]
    if cards:
        beside = f" and {len(files) - 1} more" if len(files) > 1 else ""
        raise FaceVCError(
            f"{expected}, found {cards[0]}{beside}: a card holds a voice, which cannot be averaged with pictures. "
            f"{advice}"
        )
