"""Reads `portraits.csv`: which picture was imagined for which voice."""

import os
from dataclasses import dataclass
from pathlib import Path

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.association.lists import AssociationList
from facevc_cli.files.tables import read_table, resolve
from facevc_cli.manifest.contract import DONE
from facevc_cli.manifest.portraits import NEEDED, PORTRAITS


@dataclass(frozen=True)
class DrawnPortrait:
    """A finished picture. voice: the file it was imagined for. fits_register: by the judge; None if it is unknown.

    age_error_years: how far the age that the judge sees is from the age that was heard; None if unknown. sample: which
    of the voice's pictures.
    """

    path: Path
    voice: Path
    fits_register: float | None = None
    age_error_years: float | None = None
    sample: str = "1"

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def owner(self) -> str:
        """The voice, whichever way its path is written."""
        return os.path.realpath(self.voice)


def read_portraits(table: Path, limit: int | None = None) -> list[DrawnPortrait]:
    """Reads the finished pictures of a table or of its folder. FaceVCError if there are none."""
    table = table / PORTRAITS if table.is_dir() else table
    rows = [row for row in read_table(table, NEEDED) if row["status"] == DONE][:limit]
    if not rows:
        raise FaceVCError(f"{table}: expected rows of finished pictures, found none. Run 'facevc imagine' first.")
    return [
        DrawnPortrait(
            Path(resolve(row["portrait"], table)),
            Path(resolve(row["voice"], table)),
            _parse(row.get("fits_register", "")),
            _subtract(row.get("looks_age", ""), row.get("age", "")),
            row.get("sample") or "1",
        )
        for row in rows
    ]


def join_people(portraits: list[DrawnPortrait], pairs: AssociationList, table: Path) -> AssociationList:
    """Returns the real faces with the portraits in the place of the voices. A portrait has the person of its voice.

    FaceVCError if fewer than two of the people have a portrait.
    """
    people = {os.path.realpath(pairs.paths[name]): person for name, person in pairs.voices.items()}
    drawn = {one.name: people[one.owner] for one in portraits if one.owner in people}
    if len(set(drawn.values())) < 2:
        raise FaceVCError(
            f"{table}: expected the voices that the pictures were imagined for, found {len(set(drawn.values()))} "
            "people with one. Imagine faces for the voices of this table first."
        )
    faces = {name: pairs.paths[name] for name in pairs.faces}
    paths = faces | {one.name: one.path for one in portraits}
    return AssociationList(pairs.faces, drawn, paths, pairs.people)


def _parse(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _subtract(seen: str, heard: str) -> float | None:
    values = (_parse(seen), _parse(heard))
    return None if values[0] is None or values[1] is None else abs(values[0] - values[1])
