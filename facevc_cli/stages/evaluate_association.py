"""`evaluate --association`: measures how well models tell which face and which voice belong to one person."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.evaluation.association.embedding import FilePlacer
from facevc_cli.evaluation.association.lists import AssociationList, read_association
from facevc_cli.evaluation.association.measures import BETTER, Scorer, measure_protocol
from facevc_cli.evaluation.association.protocols import NumberedFiles, make_protocols, number_files
from facevc_cli.evaluation.association.systems import (
    GENDER_ALONE,
    SHUFFLED,
    PlacesScorer,
    make_gender_control,
    shuffle_people,
)
from facevc_cli.evaluation.bootstrap import Figure
from facevc_cli.evaluation.cache import choose_cache_folder
from facevc_cli.families.checkpoint import find_bundled_matcher
from facevc_cli.families.matching import Matcher
from facevc_cli.files.atomic import check_writable, write_text
from facevc_cli.files.tables import write_table

BUNDLED = "facevc"  # the name of the bundled model
COLUMNS = ["system", "group", "figure", "value", "n", "low", "high"]
Figures = dict[str, dict[str, Figure]]  # by group and name


@dataclass(frozen=True, kw_only=True)
class AssociationConfig:
    table: Path  # a table of pairs, or a list of trials
    systems: tuple[str, ...] = ()  # NAME=CHECKPOINT each; none: the bundled model
    output: Path | None = None
    device: str = "auto"
    seed: int = 0
    jobs: int = 0  # processes; 0: one per CPU


def run(config: AssociationConfig, reporter: Reporter = SILENT) -> Summary:
    """Measures every system and the controls. Writes association.json and association.csv into the output folder.

    Summary.data has the content of association.json: `systems` (name -> group -> figure -> value, n, low, high),
    `better`, and the numbers of `faces`, `voices` and `people`. A file that cannot be read is a failure.
    """
    named = parse_systems(config.systems)
    association = read_association(config.table)
    if config.output is not None:
        check_writable(config.output)  # before any work
    matchers = {name: Matcher(folder, config.device) for name, folder in named.items()}
    tally = Tally(reporter)
    placer = FilePlacer(association.paths, choose_cache_folder(config.table, config.output), tally, config.jobs)
    placed = {
        name: (placer.place_faces(association.faces, matcher), placer.place_voices(association.voices, matcher))
        for name, matcher in matchers.items()
    }
    # A clip may be a face and a voice. It is left out if either cannot be used.
    unusable = {name for faces, _ in placed.values() for name in association.faces.keys() - faces.keys()}
    unusable |= {name for _, voices in placed.values() for name in association.voices.keys() - voices.keys()}
    files = number_files(association, lambda name: name not in unusable)
    protocols = make_protocols(association, files, config.seed)
    _check_trials(config.table, association, files, protocols, tally)
    scorers: dict[str, Scorer] = {}
    for name, (faces, voices) in placed.items():
        places = PlacesScorer(
            np.stack([faces[file] for file in files.faces]), np.stack([voices[file] for file in files.voices])
        )
        scorers[name] = places
        scorers[f"{name}/{SHUFFLED}"] = shuffle_people(places, files, config.seed)
    gender = make_gender_control(association, files)
    if gender is not None:
        scorers[GENDER_ALONE] = gender
    reporter.begin(len(scorers) * len(protocols), "groups", "measuring")
    systems: dict[str, Figures] = {name: {} for name in scorers}
    for name, scorer in scorers.items():
        for group, protocol in protocols.items():
            systems[name][group] = measure_protocol(protocol, scorer, config.seed)
            reporter.advance(f"{name}, {group}")
    data = _describe(systems, files)
    if config.output is not None:
        write_text(config.output / "association.json", json.dumps(data, indent=2, ensure_ascii=False) + "\n")
        write_table(config.output / "association.csv", _list_rows(systems), COLUMNS)
    return tally.summarise(config.output, None, **data)


def parse_systems(texts: Sequence[str]) -> dict[str, Path | None]:
    """Parses NAME=CHECKPOINT, or a checkpoint whose folder gives the name. UsageError if a name is there twice."""
    if not texts:
        return {BUNDLED: find_bundled_matcher()}
    named: dict[str, Path | None] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        path = Path(folder if equals else text)
        name = name if equals else path.resolve().name
        if not name or not (folder or not equals):
            raise UsageError(f"--system {text!r}: expected NAME=CHECKPOINT, such as cmpc=runs/cmpc.")
        if name in named:
            raise UsageError(f"--system {text!r}: another system is called {name!r}. Name them as NAME=CHECKPOINT.")
        named[name] = path
    return named


def _check_trials(
    table: Path, association: AssociationList, files: NumberedFiles, protocols: Mapping[str, Any], tally: Tally
) -> None:
    """Raises FaceVCError if nothing can be compared."""
    measurable = any(one.verification is not None or one.matchings for one in protocols.values())
    if len(files.people) < 2 or not files.faces or not files.voices or not measurable:
        first = f" The first file that could not be used: {tally.failures[0][1]}" if tally.failures else ""
        raise FaceVCError(
            f"{table}: expected faces and voices of at least two people, found {len(files.faces)} of "
            f"{len(association.faces)} faces and {len(files.voices)} of {len(association.voices)} voices that can be "
            f"used, of {len(files.people)} people.{first}"
        )


def _describe(systems: Mapping[str, Figures], files: NumberedFiles) -> dict[str, Any]:
    names = dict.fromkeys(name for groups in systems.values() for figures in groups.values() for name in figures)
    return {
        "systems": {
            system: {group: {name: f.to_json() for name, f in figures.items()} for group, figures in groups.items()}
            for system, groups in systems.items()
        },
        "better": {name: BETTER.get(name, "higher") for name in names},
        "faces": len(files.faces),
        "voices": len(files.voices),
        "people": len(files.people),
    }


def _list_rows(systems: Mapping[str, Figures]) -> list[dict[str, object]]:
    return [
        {"system": system, "group": group, "figure": name, **figure.to_json()}
        for system, groups in systems.items()
        for group, figures in groups.items()
        for name, figure in figures.items()
    ]
