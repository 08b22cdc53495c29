"""Plans baselines and damaged faces beside a system's own conversions. They show the effect of the face.

Baselines need targets that are persons: a picture, several pictures of one person, or a voice card. A mix is no person,
and a recording shows no face.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from facevc_cli.batch.jobs import Naming, Row
from facevc_cli.conversion.voice_spec import VoiceSpec
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.manifest.contract import SEPARATOR, parse_gender

SHUFFLED, WITHIN_GENDER, MEAN_FACE, SOURCE, VOICE = BASELINES = (
    "shuffled-faces",
    "shuffled-within-gender",
    "mean-face",
    "source",
    "voice",
)
About = Mapping[str, Mapping[str, str]]  # target -> the manifest's columns about it, made by benchmark/labels.py
NOUNS = {"face": "face", "person": "person", "card": "voice card", "mix": "mix", "voice": "recording"}


@dataclass(frozen=True)
class Somebody:
    """A target that can replace another: its voice spec, the id that files are named after, and the person."""

    voice_spec: VoiceSpec
    id: str
    person: str


def plan_baselines(
    names: Sequence[str], rows: Sequence[Row], naming: Naming, about: About, seed: int = 0, reporter: Reporter = SILENT
) -> list[Row]:
    """Plans one row per baseline for each of the system's own rows whose target is a person.

    Files that the system makes anyway are shared.

    about: has `gender` for shuffled-within-gender, and `references` (separated by |) for voice.
    UsageError if a name is unknown, if the output is a single file, or if no row is left. FaceVCError if the data do
    not allow a baseline.
    """
    unknown = [name for name in names if name not in BASELINES]
    if unknown:
        raise UsageError(f"--baseline {unknown[0]!r}: expected one of {', '.join(BASELINES)}.")
    if not names:
        return []
    _check_folder(naming, "--baseline")
    needs = "--baseline needs targets that are somebody, so that somebody else can replace them"
    rows = _keep_rows(rows, lambda row: row.kind in ("face", "person", "card"), needs, reporter)
    planned: list[Row] = []
    for name in dict.fromkeys(names):
        if name == SHUFFLED:
            planned += _plan_shuffled(name, rows, naming, draw_derangement(_list_people(rows), f"{seed}"))
        elif name == WITHIN_GENDER:
            planned += _plan_shuffled(name, rows, naming, _pair_within_gender(_list_people(rows), about, seed))
        elif name == MEAN_FACE:
            planned += _plan_mean_face(rows, naming, reporter)
        elif name == SOURCE:
            planned += [replace(row, job=None, baseline=SOURCE) for row in rows]
        else:
            planned += _plan_voice(rows, naming, about, reporter)
    return planned


def plan_degraded(
    conditions: Sequence[str], rows: Sequence[Row], naming: Naming, reporter: Reporter = SILENT
) -> list[Row]:
    """Plans the system's own rows with pictures again for each condition of faces/degradation.py, in
    `degraded/<condition>`.

    All pictures of a person or a mix are damaged. Other parts of a mix stay as they are.
    """
    if not conditions:
        return []
    _check_folder(naming, "--degrade")
    rows = _keep_rows(
        rows,
        lambda row: row.job is not None and row.job.voice_spec.has_pictures,
        "--degrade needs pictures to degrade",
        reporter,
    )
    return [
        replace(
            row,
            job=naming.make_job(
                row.source, row.job.voice_spec.degrade(condition), row.target_id, f"degraded/{condition}/"
            ),
        )
        for condition in conditions
        for row in rows
        if row.job is not None
    ]


def draw_derangement(people: Sequence[Somebody], seed: str) -> dict[VoiceSpec, Somebody]:
    """Replaces each target by a target of another person, each used once.

    If all persons have equally many pictures, one person's pictures are all replaced by pictures of one other person.
    FaceVCError if that is impossible: with one person, or with a person who has more than half of the targets.
    """
    generator = random.Random(seed)
    named: dict[str, list[Somebody]] = {}
    for one in sorted(people, key=lambda one: one.id):
        named.setdefault(one.person, []).append(one)
    largest = max(named, key=lambda person: len(named[person]))
    most = len(named[largest])
    if len(named) < 2 or 2 * most > len(people):
        raise FaceVCError(
            f"expected at least two targets, none with more than half of the faces, found {len(named)} with "
            f"{len(people)} faces, {most} of them of {largest!r}: not every face can be replaced by another person's. "
            "Give faces of more people, or leave this baseline out."
        )
    groups = [
        generator.sample(named[person], len(named[person])) for person in generator.sample(sorted(named), len(named))
    ]
    order = [one for group in groups for one in group]
    # the pictures of each person are adjacent, so a step as long as the longest group leads out of every group
    return {one.voice_spec: order[(i + most) % len(order)] for i, one in enumerate(order)}


def _pair_within_gender(people: Sequence[Somebody], about: About, seed: int) -> dict[VoiceSpec, Somebody]:
    groups: dict[str, list[Somebody]] = {}
    for one in people:
        text = about.get(one.person, {}).get("gender", "")
        groups.setdefault(parse_gender(text) or text.strip().lower(), []).append(one)
    unlabelled = sorted({one.person for one in groups.get("", [])})
    if unlabelled:
        raise FaceVCError(
            f"--baseline {WITHIN_GENDER} needs the gender of every target. {len(unlabelled)} have none, such as "
            f"{unlabelled[0]!r}. Pass --labels TABLE.csv with the columns target and gender."
        )
    specs: dict[VoiceSpec, Somebody] = {}
    for gender, group in groups.items():
        try:
            specs |= draw_derangement(group, f"{seed} {gender}")
        except FaceVCError as error:
            raise FaceVCError(f"--baseline {WITHIN_GENDER}, of the gender {gender}: {error}") from error
    return specs


def _plan_shuffled(name: str, rows: Sequence[Row], naming: Naming, specs: Mapping[VoiceSpec, Somebody]) -> list[Row]:
    made = {(row.source, row.job.voice_spec): row.job for row in rows if row.job is not None}
    planned = []
    for row in rows:
        if row.job is not None:
            other = specs[row.job.voice_spec]
            job = made.get((row.source, other.voice_spec)) or naming.make_job(
                row.source, other.voice_spec, other.id, f"baselines/{name}/"
            )
            planned.append(replace(row, job=job, baseline=name))
    return planned


def _plan_mean_face(rows: Sequence[Row], naming: Naming, reporter: Reporter) -> list[Row]:
    """Plans the mean face: the mean over people of each person's mean over all pictures."""
    rows = _keep_rows(
        rows, lambda row: row.kind != "card", f"--baseline {MEAN_FACE} needs pictures to take the mean of", reporter
    )
    people: dict[str, dict[Path, None]] = {}
    for one in _list_people(rows):
        people.setdefault(one.person, {}).update(dict.fromkeys(one.voice_spec.files))
    mean = VoiceSpec.from_people(tuple(tuple(files) for files in people.values()))
    below = f"baselines/{MEAN_FACE}/"
    return [replace(row, job=naming.make_job(row.source, mean, MEAN_FACE, below), baseline=MEAN_FACE) for row in rows]


def _plan_voice(rows: Sequence[Row], naming: Naming, about: About, reporter: Reporter) -> list[Row]:
    people = {row.person for row in rows}
    recordings = {person: about.get(person, {}).get("references", "").split(SEPARATOR)[0] for person in people}
    lacking = sorted(person for person in people if not recordings[person])
    if len(lacking) == len(people):
        raise FaceVCError(
            f"--baseline {VOICE} uses real recordings of the targets, and none of {len(people)} targets has any. "
            "Pass --labels TABLE.csv with the columns target and references (recordings separated by |)."
        )
    if lacking:
        reporter.note(
            f"baseline {VOICE}: {len(lacking)} of {len(people)} targets have no real recording and are left out, such "
            f"as {lacking[0]}"
        )
    planned = []
    for row in rows:
        if recordings[row.person]:
            spec = VoiceSpec.from_file("voice", Path(recordings[row.person]))
            planned.append(
                replace(row, job=naming.make_job(row.source, spec, row.person, f"baselines/{VOICE}/"), baseline=VOICE)
            )
    return planned


def _check_folder(naming: Naming, option: str) -> None:
    if naming.single:
        raise UsageError(
            f"{option} makes several files. Expected a folder as --out, found a single file. Pass a folder."
        )


def _keep_rows(rows: Sequence[Row], wanted: Callable[[Row], bool], needs: str, reporter: Reporter) -> list[Row]:
    """Keeps the rows that `wanted` accepts, and reports the others. UsageError if no row is left."""
    kept = [row for row in rows if wanted(row)]
    left = list(dict.fromkeys(f"the {NOUNS[row.kind]} {row.target_id}" for row in rows if not wanted(row)))
    such = f"{left[0]}{f' and {len(left) - 1} more' if len(left) > 1 else ''}" if left else "nothing"
    if not kept:
        raise UsageError(
            f"{needs}, and found {such}: a mix is nobody, a voice card keeps no picture, a recording no face. Pass "
            "--face or --person."
        )
    if left:
        reporter.note(f"{needs}: {such} left out")
    return kept


def _list_people(rows: Sequence[Row]) -> list[Somebody]:
    """Lists every target once. Targets that share a picture are one person, whatever their names."""
    owners: dict[Path, str] = {}
    found: dict[VoiceSpec, str] = {}
    for row in sorted(rows, key=lambda row: -len(row.job.voice_spec.files) if row.job else 0):
        if row.job is not None and row.job.voice_spec not in found:
            files = row.job.voice_spec.files
            found[row.job.voice_spec] = next((owners[file] for file in files if file in owners), row.person)
            owners |= dict.fromkeys(files, found[row.job.voice_spec])
    specs = {row.job.voice_spec: row.target_id for row in reversed(rows) if row.job is not None}
    return [Somebody(spec, specs[spec], person) for spec, person in found.items()]
