"""Reads which faces and voices belong to whom: a table of pairs, or a list of trials as VoxCeleb's.

| file | a line | tells |
| --- | --- | --- |
| table | columns face, voice (or wav), person (or speaker), and optional gender, age | who has which faces and voices |
| verification list | `label path path`, label 1: one person, 0: two people | trials |
| matching list | `path path path ...`: a probe, the right answer, wrong answers | trials |
| matching list | `label path path path ...`: label is the place of the right answer, counted from 0 | trials |
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.inputs import AUDIO_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES
from facevc_cli.files.tables import decode_text, read_table, resolve
from facevc_cli.manifest.contract import parse_gender

COLUMNS = {"voice": ("voice", "wav"), "person": ("person", "speaker")}
GENDER_COLUMNS, AGE_COLUMNS = ("gender", "face_gender_estimate"), ("age", "face_age_estimate")
AGE_GROUPS = ((20, "0-19"), (40, "20-39"), (60, "40-59"))  # years below, and the group's name
OLDEST = "60+"
VOXCELEB_PERSON = re.compile(r"id\d{5}")
ADVICE = "See 'Association' in docs/evaluation.md for the formats."


@dataclass(frozen=True)
class Person:
    """gender: male, female or ''. age: a group of ages or ''."""

    gender: str = ""
    age: str = ""


@dataclass(frozen=True)
class Trial:
    """A probe and its candidates. A verification has one candidate, and `same` says whether it is the same person."""

    probe: str
    candidates: tuple[str, ...]
    right: int = 0  # the place of the right candidate
    same: bool = True


@dataclass(frozen=True)
class AssociationList:
    """Files by the names in the list, with their paths and people."""

    faces: dict[str, str]  # name -> person
    voices: dict[str, str]
    paths: dict[str, Path]
    people: dict[str, Person]
    trials: list[Trial] = field(default_factory=list)  # empty for a table: every face meets every voice


def read_association(path: Path) -> AssociationList:
    """Reads a table or a list. FaceVCError says in which line it is neither."""
    first = next((line for line in decode_text(path, "list", ADVICE).splitlines() if line.strip()), "")
    is_table = "face" in {name.strip().strip('"').lower() for name in re.split(r"[,;\t]", first)}
    return _read_table(path) if is_table else _read_trials(path)


def _read_table(path: Path) -> AssociationList:
    rows = read_table(path, ["face"])
    named = {what: next((c for c in columns if c in rows[0]), "") for what, columns in COLUMNS.items()} if rows else {}
    missing = [" or ".join(COLUMNS[what]) for what, column in named.items() if not column]
    if missing or not rows:
        found = ", ".join(rows[0]) if rows else "no rows"
        raise FaceVCError(f"{path}: expected the columns face, {', '.join(missing)}, found {found}. {ADVICE}")
    faces: dict[str, str] = {}
    voices: dict[str, str] = {}
    paths: dict[str, Path] = {}
    people: dict[str, Person] = {}
    for row in rows:
        person = row[named["person"]].strip()
        for files, name in ((faces, row["face"].strip()), (voices, row[named["voice"]].strip())):
            if files.setdefault(name, person) != person:
                raise FaceVCError(f"{path}: {name} belongs to {files[name]} and to {person}. Name one person.")
            paths[name] = Path(resolve(name, path))
        known = people.get(person, Person())
        gender = next((found for column in GENDER_COLUMNS if (found := parse_gender(row.get(column, "")))), "")
        age = next((found for column in AGE_COLUMNS if (found := group_age(row.get(column, "")))), "")
        people[person] = Person(known.gender or gender, known.age or age)
    return AssociationList(faces, voices, paths, people)


def group_age(text: str) -> str:
    """Returns the group of an age in years. A text that is no number is a group of its own."""
    try:
        years = float(text)
    except ValueError:
        return text.strip()
    return next((name for below, name in AGE_GROUPS if years < below), OLDEST)


def _read_trials(path: Path) -> AssociationList:
    faces: dict[str, str] = {}
    voices: dict[str, str] = {}
    trials = []
    for number, line in enumerate(decode_text(path, "list", ADVICE).splitlines(), 1):
        if fields := line.split():
            where = f"{path}, line {number}"
            trials.append(_parse_trial(fields, where))
            sides = [_is_voice(name, where) for name in (trials[-1].probe, *trials[-1].candidates)]
            if sides[0] == sides[1] or len(set(sides[1:])) > 1:
                raise FaceVCError(
                    f"{where}: expected a face and voices, or a voice and faces, found {' '.join(fields)[:200]}. "
                    f"{ADVICE}"
                )
            for name, is_voice in zip((trials[-1].probe, *trials[-1].candidates), sides, strict=True):
                (voices if is_voice else faces)[name] = find_person(name)
    kinds = {min(2, len(trial.candidates)) for trial in trials}
    if len(kinds) != 1:
        found = "no line" if not trials else "lines of both kinds"
        raise FaceVCError(f"{path}: expected verifications or matchings, found {found}. {ADVICE}")
    paths = {name: Path(resolve(name, path)) for name in [*faces, *voices]}
    people = {person: Person() for person in [*faces.values(), *voices.values()]}
    return AssociationList(faces, voices, paths, people, trials)


def _parse_trial(fields: Sequence[str], where: str) -> Trial:
    label = int(fields[0]) if re.fullmatch(r"\d+", fields[0]) else None
    names = tuple(fields if label is None else fields[1:])
    if label is not None and len(names) == 2 and label in (0, 1):
        return Trial(names[0], names[1:], same=label == 1)
    if len(names) >= 3 and (label or 0) < len(names) - 1:
        return Trial(names[0], names[1:], right=label or 0)
    raise FaceVCError(
        f"{where}: expected 'label path path', or a probe and at least two candidates, found "
        f"{' '.join(fields)[:200]}. {ADVICE}"
    )


def _is_voice(name: str, where: str) -> bool:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return False
    if suffix in AUDIO_SUFFIXES - VIDEO_SUFFIXES:
        return True
    raise FaceVCError(f"{where}: expected pictures and sound files, found {name}. {ADVICE}")


def find_person(name: str) -> str:
    """Finds whose file it is in its path: VoxCeleb's id12345, else the first folder, else the name itself."""
    parts = PurePosixPath(name.replace(os.sep, "/")).parts
    found = [part for part in parts[:-1] if VOXCELEB_PERSON.fullmatch(part)]
    folders = [part for part in parts[:-1] if part not in ("/", "..", ".")]
    return (found or folders or [PurePosixPath(name).stem])[0]
