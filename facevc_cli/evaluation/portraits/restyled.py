"""The figures of restyled photos, each with its 95 % interval over photos, beside those of the photos themselves.

| figure | what it is |
| --- | --- |
| identity kept | share of pictures nearer than .6 to their photo by dlib, as two photos of one person usually are |
| distance to the photo | by dlib. Of the photos themselves: to another photo |
| register as asked | share of pictures that gender-v1 takes for the asked register |
| register moved | the same, of photos that gender-v1 takes for the other register |
| years from the asked age | between the age that `fused` sees in the picture and the one that was asked for |
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.association.measures import average
from facevc_cli.evaluation.bootstrap import Figure
from facevc_cli.evaluation.portraits.results import Figures
from facevc_cli.files.tables import read_table, resolve
from facevc_cli.imagining.judge import Judgement
from facevc_cli.manifest.contract import DONE
from facevc_cli.manifest.restyled import NEEDED, RESTYLED

SAME = 0.6  # dlib's distance below which two faces are usually one person's
MIDDLE = 0.5
MADE, PHOTOS = "restyled", "photos"
BETTER = {
    "identity kept": "higher",
    "distance to the photo": "lower",
    "register as asked": "higher",
    "register moved": "higher",
    "years from the asked age": "lower",
}


@dataclass(frozen=True)
class RestyledPicture:
    """A finished picture. register, age_years: what was asked for; None: nothing. strength: as text."""

    path: Path
    photo: Path
    register: float | None
    age_years: float | None
    strength: str


@dataclass(frozen=True, eq=False)
class JudgedPicture:
    """before, after: what is seen in the photo and in the picture. after.distance is from the photo."""

    asked: RestyledPicture
    before: Judgement
    after: Judgement


def find_restyled(table: Path) -> Path | None:
    """Returns the restyled.csv that a path names. None if it names something else."""
    path = table / RESTYLED if table.is_dir() else table
    return path if path.name == RESTYLED and path.is_file() else None


def read_restyled(table: Path, limit: int | None = None) -> list[RestyledPicture]:
    """Reads the finished pictures. FaceVCError if there are none."""
    rows = [row for row in read_table(table, (*NEEDED, "photo")) if row["status"] == DONE][:limit]
    if not rows:
        raise FaceVCError(f"{table}: expected rows of finished pictures, found none. Run 'facevc restyle' first.")
    return [
        RestyledPicture(
            Path(resolve(row["picture"], table)),
            Path(resolve(row["photo"], table)),
            _parse(row.get("register_asked", ""), table),
            _parse(row.get("age_asked", ""), table),
            row.get("strength") or "1",
        )
        for row in rows
    ]


def measure_restyled(pictures: Sequence[JudgedPicture], seed: int = 0) -> dict[str, Figures]:
    """Returns the figures by strength."""
    groups = {}
    for strength in sorted({one.asked.strength for one in pictures}):
        part = [one for one in pictures if one.asked.strength == strength]
        groups[f"strength {strength}"] = {
            MADE: _measure(part, lambda one: one.after, [one.after.distance for one in part], seed),
            PHOTOS: _measure(part, lambda one: one.before, _compare_others(part), seed),
        }
    return groups


def _measure(
    part: list[JudgedPicture], look: Callable[[JudgedPicture], Judgement], distances: Sequence[float], seed: int
) -> dict[str, Figure]:
    owners = np.unique([str(one.asked.photo) for one in part], return_inverse=True)[1]
    asked = [one.asked.register for one in part]
    fits = [_agree(look(one).feminine, register) for one, register in zip(part, asked, strict=True)]
    was = [_agree(one.before.feminine, register) for one, register in zip(part, asked, strict=True)]
    values: dict[str, list[float | None]] = {
        "identity kept": [float(distance < SAME) for distance in distances],
        "distance to the photo": list(distances),
        "register as asked": fits,
        "register moved": [fit if before == 0 else None for fit, before in zip(fits, was, strict=True)],
        "years from the asked age": [
            None if one.asked.age_years is None else abs(look(one).age_years - one.asked.age_years) for one in part
        ],
    }
    figures = {}
    for name, found in values.items():
        known = np.array([value is not None and np.isfinite(value) for value in found])
        if known.any():
            figures[name] = average(np.array(found, float)[known], owners[known], seed)
    return figures


def _compare_others(part: list[JudgedPicture]) -> list[float]:
    """Distances of the photos to the next other photo. NaN if there is no other."""
    seen = {str(one.asked.photo): one.before.descriptor for one in part}
    following = dict(zip(seen, [*list(seen)[1:], next(iter(seen))], strict=True))
    if len(seen) < 2:
        return [float("nan")] * len(part)
    names = [str(one.asked.photo) for one in part]
    return [float(np.linalg.norm(seen[name] - seen[following[name]])) for name in names]


def _agree(feminine: float, register: float | None) -> float | None:
    return None if register is None else float((feminine > MIDDLE) == (register > MIDDLE))


def _parse(text: str, table: Path) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise FaceVCError(f"{table}: expected a number for what was asked, found {text!r}.") from None
