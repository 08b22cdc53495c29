"""What runs beside a system's own conversions, to show what the face did: baselines, and the same faces degraded."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from facevc_cli.data.conversion_targets import Driver, Named
from facevc_cli.data.conversions import Naming, Row, person_of
from facevc_cli.errors import FaceVCError, UsageError
from facevc_cli.metrics.conversion import gender_of
from facevc_cli.progress import SILENT, Reporter

SHUFFLED, WITHIN_GENDER, MEAN_FACE, SOURCE, VOICE = BASELINES = ("shuffled-faces", "shuffled-within-gender", "mean-face", "source", "voice")
About = Mapping[str, Mapping[str, str]]  # target -> the manifest's columns about it, as of data/labels.py
SEPARATOR = "|"  # between reference files


def plan_baselines(names: Sequence[str], rows: Sequence[Row], naming: Naming, about: About, seed: int = 0, reporter: Reporter = SILENT) -> list[Row]:
    """For each of the system's own rows that a face drives, a row a baseline; files that the system makes anyway are shared.

    about: gender for shuffled-within-gender, references (between |) for voice. UsageError for an unknown name, for one output file
    and where there is no face; FaceVCError where the data cannot give a baseline.
    """
    unknown = [name for name in names if name not in BASELINES]
    if unknown:
        raise UsageError(f"--baseline {unknown[0]!r}: expected one of {', '.join(BASELINES)}.")
    rows = _face_driven(rows, naming, "--baseline") if names else []
    planned: list[Row] = []
    for name in dict.fromkeys(names):
        if name == SHUFFLED:
            planned += _shuffled(name, rows, naming, derangement(_faces(rows), f"{seed}"))
        elif name == WITHIN_GENDER:
            planned += _shuffled(name, rows, naming, _within_gender(_faces(rows), about, seed))
        elif name == MEAN_FACE:
            planned += _mean_face(rows, naming)
        elif name == SOURCE:
            planned += [replace(row, job=None, baseline=SOURCE) for row in rows]
        else:
            planned += _voice(rows, naming, about, reporter)
    return planned


def plan_degraded(conditions: Sequence[str], rows: Sequence[Row], naming: Naming) -> list[Row]:
    """The system's own face-driven rows again under each condition of features/degradation.py, below `degraded/<condition>`."""
    rows = _face_driven(rows, naming, "--degrade") if conditions else []
    return [
        replace(row, job=naming.job(row.source, row.source_id, Driver.of("face", row.target, condition), row.target_id, f"degraded/{condition}/"))
        for condition in conditions
        for row in rows
    ]


def derangement(faces: Sequence[Named], seed: str) -> dict[Path, Named]:
    """Every picture -> a picture of somebody else, each used once. With equally many a person, one person's are driven by one other's.

    FaceVCError where there is none: one person alone, or one with more than half of the pictures.
    """
    generator = random.Random(seed)
    people: dict[str, list[Named]] = {}
    for path, identifier in sorted(faces, key=lambda named: named[1]):
        people.setdefault(person_of(path, identifier), []).append((path, identifier))
    largest = max(people, key=lambda person: len(people[person]))
    most = len(people[largest])
    if len(people) < 2 or 2 * most > len(faces):
        raise FaceVCError(
            f"expected at least two targets, none with more than half of the faces, found {len(people)} with {len(faces)} faces, {most} of them of "
            f"{largest!r}: not every face can be driven by another person's. Give more people's faces, or leave this baseline out."
        )
    groups = [generator.sample(people[person], len(people[person])) for person in generator.sample(sorted(people), len(people))]
    order = [named for group in groups for named in group]
    # everybody's pictures stand together, so a step as long as the longest group leads out of each
    return {path: order[(i + most) % len(order)] for i, (path, _) in enumerate(order)}


def _within_gender(faces: Sequence[Named], about: About, seed: int) -> dict[Path, Named]:
    groups: dict[str, list[Named]] = {}
    for named in faces:
        text = about.get(person_of(*named), {}).get("gender", "")
        groups.setdefault(gender_of(text) or text.strip().lower(), []).append(named)
    unlabelled = sorted({person_of(*named) for named in groups.get("", [])})
    if unlabelled:
        raise FaceVCError(
            f"--baseline {WITHIN_GENDER} needs the gender of every target: {len(unlabelled)} have none, such as {unlabelled[0]!r}. "
            "Give --labels TABLE.csv with the columns target and gender."
        )
    drivers: dict[Path, Named] = {}
    for gender, group in groups.items():
        try:
            drivers |= derangement(group, f"{seed} {gender}")
        except FaceVCError as error:
            raise FaceVCError(f"--baseline {WITHIN_GENDER}, of the gender {gender}: {error}") from error
    return drivers


def _shuffled(name: str, rows: Sequence[Row], naming: Naming, drivers: Mapping[Path, Named]) -> list[Row]:
    made = {(row.source, row.target): row.job for row in rows}
    planned = []
    for row in rows:
        other, other_id = drivers[row.target]
        job = made.get((row.source, other)) or naming.job(row.source, row.source_id, Driver.of("face", other), other_id, f"baselines/{name}/")
        planned.append(replace(row, job=job, baseline=name))
    return planned


def _mean_face(rows: Sequence[Row], naming: Naming) -> list[Row]:
    people: dict[str, list[Path]] = {}
    for path, identifier in _faces(rows):
        people.setdefault(person_of(path, identifier), []).append(path)
    mean = Driver("face", tuple(tuple(files) for files in people.values()))
    below = f"baselines/{MEAN_FACE}/"
    return [replace(row, job=naming.job(row.source, row.source_id, mean, MEAN_FACE, below), baseline=MEAN_FACE) for row in rows]


def _voice(rows: Sequence[Row], naming: Naming, about: About, reporter: Reporter) -> list[Row]:
    people = {row.person for row in rows}
    recordings = {person: about.get(person, {}).get("references", "").split(SEPARATOR)[0] for person in people}
    lacking = sorted(person for person in people if not recordings[person])
    if len(lacking) == len(people):
        raise FaceVCError(
            f"--baseline {VOICE} is driven by the targets' real recordings, and none of {len(people)} targets has any. "
            "Give --labels TABLE.csv with the columns target and references (recordings between |)."
        )
    if lacking:
        reporter.note(f"baseline {VOICE}: {len(lacking)} of {len(people)} targets have no real recording and are left out, such as {lacking[0]}")
    planned = []
    for row in rows:
        if recordings[row.person]:
            driver = Driver.of("voice", Path(recordings[row.person]))
            planned.append(replace(row, job=naming.job(row.source, row.source_id, driver, row.person, f"baselines/{VOICE}/"), baseline=VOICE))
    return planned


def _face_driven(rows: Sequence[Row], naming: Naming, option: str) -> list[Row]:
    if naming.single:
        raise UsageError(f"{option} makes several files: expected a folder as --out, found a single file. Name a folder.")
    found = [row for row in rows if row.by == "face"]
    if not found:
        raise UsageError(f"{option} is about faces, and none is given. Pass --face IMAGE_OR_FOLDER.")
    return found


def _faces(rows: Sequence[Row]) -> list[Named]:
    return list(dict.fromkeys((row.target, row.target_id) for row in rows))
