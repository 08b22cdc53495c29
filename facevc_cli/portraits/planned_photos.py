"""Photos to restyle: the names of their pictures, which of them wait, and what the table says of a finished one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import Reporter
from facevc_cli.files.inputs import IMAGE_SUFFIXES, find_files
from facevc_cli.manifest.restyled import RestyledTable
from facevc_cli.portraits.photo import Restyled
from facevc_cli.portraits.saving import MOST_STRENGTH, choose_suffix
from facevc_cli.provenance.pictures import find_format, is_picture_name, read_picture_mark


@dataclass(frozen=True)
class PlannedPhoto:
    path: Path
    id: str
    name: str  # of the picture below the output folder


def check_strength(strength: float) -> None:
    """Raises UsageError for a wrong value of --strength."""
    if not (math.isfinite(strength) and 0 < strength <= MOST_STRENGTH):
        raise UsageError(
            f"--strength {strength:g}: expected a number above 0, and at most {MOST_STRENGTH:g}. 1 moves the face the "
            "whole way."
        )


def plan_photos(
    photos: Sequence[str | Path], output: Path, limit: int | None, reporter: Reporter, suffix: str | None = None
) -> list[PlannedPhoto]:
    """Finds the photos, and names their pictures. suffix: of all pictures in a folder. None: as the photo's, if it can.

    UsageError if one picture is asked for and there are more photos, or facevc does not write its format.
    """
    found = find_files(photos, IMAGE_SUFFIXES, reporter)[:limit]
    if is_picture_name(output):
        if len(found) > 1:
            raise UsageError(f"--out {output}: expected a folder for {len(found)} photos, found a file's name.")
        return [PlannedPhoto(found[0][0], found[0][1], output.name)]
    if output.suffix.lower() in IMAGE_SUFFIXES:
        find_format(output.suffix)
    return [PlannedPhoto(path, i, f"{i}__restyled{suffix or choose_suffix(path.name)}") for path, i in found]


def is_waiting(photo: PlannedPhoto, key: str, folder: Path, table: RestyledTable, overwrite: bool) -> bool:
    """Says whether the picture has to be made. FaceVCError if another picture is in its place."""
    path = folder / photo.name
    if path.exists() and path.resolve() == photo.path.resolve():
        raise FaceVCError(f"{path} is the photo itself. Choose another output.")
    if overwrite or not path.exists() or not path.stat().st_size:
        return True
    mark = read_picture_mark(path)
    if mark is None or mark.key != key:
        raise FaceVCError(
            f"{path} is there already, made from another photo, face, voice, model or setting, or not by this command. "
            "Pass --overwrite to make it anew, or choose another output."
        )
    return table.path is not None and not table.is_done(photo.name, key)


def describe_restyled(made: Restyled) -> dict[str, str]:
    """Returns the columns of the table about a finished picture."""
    return {
        "register": f"{made.before.feminine:.3f}",
        "age": f"{made.before.age_years:.0f}",
        "register_made": f"{made.after.feminine:.3f}",
        "age_made": f"{made.after.age_years:.0f}",
        "distance": f"{made.distance:.3f}",
        "reason": "",
    }
