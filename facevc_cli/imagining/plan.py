"""Which pictures are made of which voices, what they are called, and what each depends on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facevc_cli.conversion.card import CARD_SUFFIX
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.files.hashes import hash_readable_file
from facevc_cli.files.inputs import AUDIO_SUFFIXES, VIDEO_SUFFIXES, find_files, join_inside
from facevc_cli.provenance.pictures import FORMATS, is_picture_name

VOICE_SUFFIXES = AUDIO_SUFFIXES | VIDEO_SUFFIXES | {CARD_SUFFIX}
PICTURE_SUFFIX = ".png"
METHOD = "1"  # raise it if the same inputs give other pictures
SMALLEST_PX, LARGEST_PX = 64, 2048
MOST_SAMPLES = 100


@dataclass(frozen=True)
class ImaginedVoice:
    """A voice and the files that are made for it, by their names below the output folder."""

    path: Path
    id: str
    portraits: tuple[str, ...]
    sheet: str = ""  # empty: none
    steps: str = ""


@dataclass(frozen=True, kw_only=True)
class PortraitSettings:
    """What every picture depends on besides its voice. register, age: as in TraitRule.parse."""

    seed: int = 0
    size_px: int | None = None
    register: str = "auto"
    age: str = "auto"

    def check(self) -> None:
        """UsageError if a value is wrong."""
        if self.size_px is not None and not SMALLEST_PX <= self.size_px <= LARGEST_PX:
            raise UsageError(f"--size {self.size_px}: expected {SMALLEST_PX} to {LARGEST_PX} pixels.")


def plan_portraits(
    voices: Sequence[str | Path],
    output: Path,
    samples: int,
    with_steps: bool,
    limit: int | None = None,
    reporter: Reporter = SILENT,
) -> list[ImaginedVoice]:
    """Names the files of each voice.

    FaceVCError if a voice is missing, or two files would have one name; UsageError if the output does not fit.
    """
    if not voices:
        raise UsageError("imagine needs a voice: name recordings, voice cards or a folder of them.")
    if not 1 <= samples <= MOST_SAMPLES:
        raise UsageError(f"--samples {samples}: expected 1 to {MOST_SAMPLES}.")
    found = find_files(voices, VOICE_SUFFIXES, reporter)[:limit]
    if is_picture_name(output):
        if len(found) > 1 or samples > 1 or with_steps:
            raise UsageError(f"--out {output} is one picture. Name a folder for several voices, samples or steps.")
        return [ImaginedVoice(found[0][0], found[0][1], (output.name,))]
    if output.suffix and not output.is_dir():
        raise UsageError(f"--out {output}: expected a folder, or a file name that ends in {', '.join(FORMATS)}.")
    planned = [_name_files(path, identifier, samples, with_steps) for path, identifier in found]
    seen: dict[str, ImaginedVoice] = {}
    for one in planned:
        for name in filter(None, (*one.portraits, one.sheet, one.steps)):
            join_inside(output, name)
            other = seen.setdefault(name, one)
            if other is not one:
                raise FaceVCError(f"{other.path} and {one.path} would both be drawn in {name}. Rename one of them.")
    return planned


def _name_files(path: Path, identifier: str, samples: int, with_steps: bool) -> ImaginedVoice:
    if samples == 1:
        portraits: tuple[str, ...] = (f"{identifier}{PICTURE_SUFFIX}",)
    else:
        portraits = tuple(f"{identifier}__{i:02}{PICTURE_SUFFIX}" for i in range(1, samples + 1))
    sheet = f"{identifier}__sheet{PICTURE_SUFFIX}" if samples > 1 else ""
    return ImaginedVoice(path, identifier, portraits, sheet, f"{identifier}__steps{PICTURE_SUFFIX}" * with_steps)


def make_portrait_key(model: str, faces: str, voice: Path, number: int, settings: PortraitSettings) -> str:
    """Hashes everything that a picture depends on: 16 hex digits.

    model, faces: hashes of the weights and of the faces to choose from. number: of the sample, from 0.
    """
    seed = settings.seed if number else "any"  # the best face is drawn by no chance
    asked = f"{settings.size_px} {settings.register} {settings.age}"
    text = f"{METHOD} {model} {faces} {hash_readable_file(voice)} {number} {seed} {asked}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
