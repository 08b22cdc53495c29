"""Choose the conversions to hear on a page: faces x sources, spread over both genders, all systems in one cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from facevc_cli.evaluation.evaluation import Evaluation
from facevc_cli.evaluation.metrics.people import average_voices, find_real_voices
from facevc_cli.evaluation.report.media import MediaTable
from facevc_cli.files.inputs import AUDIO_SUFFIXES
from facevc_cli.manifest.contract import GENDERS
from facevc_cli.manifest.conversion import Conversion

SOURCE = "source"  # the baseline whose files are the sources
GROUPS = (*GENDERS, "")


@dataclass(frozen=True)
class Source:
    name: str
    gender: str
    audio: str  # key in the media table; "" if there is no recording


@dataclass(frozen=True)
class Face:
    target: str
    gender: str
    picture: str  # data URI
    face: str  # the file's name without folders, because pages are shared
    spoken: str  # its key, if the face is a recording
    reference: str  # key of a real recording of the target; "" if there is none
    expected: bool  # whether a reference was named


@dataclass(frozen=True)
class Take:
    """One system's conversion: key of its sound, mean cosine to the target's real voice, and the gender heard."""

    system: int
    audio: str
    cosine: float | None
    heard: str
    right: bool | None  # None if the target's gender is unknown


@dataclass(frozen=True)
class Grid:
    systems: tuple[str, ...]
    faces: list[Face]
    rows: list[tuple[Source, list[list[Take]]]]  # takes by face, then by system
    of: tuple[int, int]  # the numbers of all faces and sources


def list_clean_labels(conversions: Sequence[Conversion]) -> list[str]:
    """List the labels of systems, each followed by its baselines. Degraded faces are left out."""
    about = {c.system: c for c in conversions if not c.degradation}
    bases = list(dict.fromkeys(c.base for c in about.values()))
    return sorted(about, key=lambda label: (bases.index(about[label].base), bool(about[label].baseline)))


def make_grid(evaluation: Evaluation, size: int, media: MediaTable) -> Grid | None:
    """Make a grid of up to `size` x `size` conversions of every system and baseline on clean faces.

    None if there are none.
    """
    shown = [c for c in evaluation.conversions if not c.degradation and c.baseline != SOURCE]
    if not shown or size < 1:
        return None
    systems = tuple(list_clean_labels(shown))
    sources = _choose_evenly({c.source_id: c.source_gender for c in shown}, size)
    faces = _choose_faces([c for c in shown if c.source_id in sources], size)
    takes: dict[tuple[str, str, str, str], Conversion] = {}
    for c in shown:
        takes.setdefault((c.system, c.source_id, c.target, c.face), c)
        takes.setdefault(
            (c.system, c.source_id, c.target, ""), c
        )  # for a system that names faces differently, or not at all
    named = {(c.system, c.target, c.face) for c in shown}
    evidence = evaluation.evidence
    centre = average_voices(find_real_voices(evaluation.conversions, evidence.voices))
    references = {c.target: c.references for c in reversed(evaluation.conversions) if c.references}
    about = {c.target: c for c in reversed(shown)}

    def make_take(c: Conversion) -> Take:
        voice = evidence.voices[c.converted]
        heard = evidence.gender_judge.hear((evidence.gender_voices or evidence.voices)[c.converted])
        near = float(voice.embedding @ centre[c.target]) if c.target in centre else None
        return Take(
            systems.index(c.system), media.add_audio(c.converted), near, heard, heard == c.gender if c.gender else None
        )

    def make_cell(source: str, target: str, face: str) -> list[Take]:
        keys = [(name, source, target, face if (name, target, face) in named else "") for name in systems]
        return [make_take(takes[key]) for key in keys if key in takes]

    spoken = {c.source_id: c for c in reversed(shown)}
    rows = []
    for name in sources:
        recording = spoken[name].source
        about_source = Source(name, spoken[name].source_gender, media.add_audio(recording) if recording else "")
        rows.append((about_source, [make_cell(name, target, face) for target, face in faces]))
    columns = [_make_face(about[target], face, references.get(target, ()), media) for target, face in faces]
    return Grid(systems, columns, rows, (len({(c.target, c.face) for c in shown}), len({c.source_id for c in shown})))


def _make_face(c: Conversion, face: str, references: Sequence[str], media: MediaTable) -> Face:
    recording = Path(face).suffix.lower() in AUDIO_SUFFIXES
    return Face(
        target=c.target,
        gender=c.gender,
        picture=media.add_image(face) if face and not recording else "",
        face=Path(face).name,
        spoken=media.add_audio(face) if recording else "",
        reference=next((key for path in references if (key := media.add_audio(path))), ""),
        expected=bool(references),
    )


def _choose_faces(conversions: Sequence[Conversion], size: int) -> list[tuple[str, str]]:
    """Choose (target, face): one face per target, then second faces if there is room.

    Women come first, then order by name.
    """
    genders = {c.target: c.gender for c in conversions}
    faces: dict[str, dict[str, None]] = {}
    for c in sorted(conversions, key=lambda c: bool(c.baseline)):  # the faces of the systems themselves first
        faces.setdefault(c.target, {})[c.face] = None
    targets = _choose_evenly(genders, size)
    rounds = zip_longest(*([(target, face) for face in faces[target]] for target in targets))
    chosen = [pair for several in rounds for pair in several if pair is not None][:size]
    return sorted(chosen, key=lambda pair: (GROUPS.index(genders[pair[0]]), pair))


def _choose_evenly(genders: Mapping[str, str], size: int) -> list[str]:
    """Choose up to `size` names: equally many of each gender if possible, spread evenly over the sorted names."""
    groups = [sorted(name for name, gender in genders.items() if gender == wanted) for wanted in GROUPS]
    counts = [0] * len(groups)
    for _ in range(min(size, len(genders))):
        open_groups = [i for i, group in enumerate(groups) if counts[i] < len(group)]
        counts[min(open_groups, key=lambda i: counts[i])] += 1
    picks = (
        np.linspace(0, len(group) - 1, count).round().astype(int) for group, count in zip(groups, counts, strict=True)
    )
    return [group[i] for group, indices in zip(groups, picks, strict=True) for i in indices]
