"""The manifest (or a folder's names) and the tables beside it -> conversions."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.patterns import rows_by_pattern
from facevc_cli.files.tables import path_from, read_table, resolve
from facevc_cli.manifest.contract import DONE, FAILED, MANIFEST, gender_of, split_files
from facevc_cli.manifest.conversion import Conversion, label_of

SYSTEM = "facevc"  # the name of a system that the manifest does not name
FIELDS = {  # columns that a conversion holds as such; all others go into `about`
    "system", "converted", "status", "source", "source_id", "target", "face", "driver", "gender", "source_gender", "references",
    "transcript", "baseline", "degradation", "parallel", "source_speaker",
}  # fmt: skip
SHOWN = 5  # names in a note

Row = dict[str, str]


@dataclass(frozen=True)
class Conversions:
    """What is to be evaluated, how many rows were no finished conversions, and what the reader should know.

    lost: by label the rows whose conversion failed.
    """

    conversions: list[Conversion]
    excluded: int
    notes: list[str]
    lost: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Table:
    """A table beside the manifest: its rows by the key it is joined on, and where its paths start."""

    path: Path | None
    rows: Mapping[str, list[Row]]
    columns: tuple[str, ...] = ()

    def first(self, key: str, column: str) -> str:
        """The first that the rows of a key say in a column, '' where nothing."""
        return next((text for row in self.rows.get(key, []) if (text := (row.get(column) or "").strip())), "")

    def file(self, key: str, *columns: str) -> str:
        return next((resolve(text, self.path) for column in columns if self.path and (text := self.first(key, column))), "")


def read_conversions(
    manifest: Path, labels: Path | None = None, sources: Path | None = None, limit: int | None = None, pattern: str | None = None
) -> Conversions:
    """The finished conversions of a manifest (or of the folder that holds manifest.csv), or of a folder by the names of its files.

    Columns: converted and target are needed; system, baseline, degradation, source, source_id, face, driver, voice, gender,
    source_gender, source_speaker, references, transcript, parallel and status are used where they are there, others are kept. `labels` is
    joined on target (gender, references, parallel: there also on source_id where it has that), `sources` on source_id (file or path,
    gender, speaker, transcript); what the manifest itself says comes first. Their other columns are kept too; one of `sources` that the manifest or
    `labels` has too is called source_NAME. Paths are relative to their table's folder, or to the working directory. What drove a
    voice-driven conversion is no reference of its target, in any system, where the target has others.
    """
    _resolved.cache_clear()
    notes: list[str] = []
    if pattern is not None:
        rows, notes = rows_by_pattern(manifest, pattern)
        manifest = manifest / MANIFEST  # which need not be there: paths start from its folder
    else:
        manifest = _manifest_file(manifest)
        rows = read_table(manifest, ["converted", "target"])
    done = [row for row in rows if row.get("status", DONE) == DONE]
    if not done:
        raise FaceVCError(
            f"{manifest}: expected conversions with status '{DONE}', found none in {len(rows)} rows. Run 'facevc convert' first."
        )
    people = _join(labels, "target", {row["target"] for row in done})
    spoken = _join(sources, "source_id", {_source_id(row) for row in done})
    conversions = [_conversion(row, manifest, people, spoken) for row in done[:limit]]
    conversions, driving_notes = _without_drivers(conversions)
    if len(done) < len(rows):
        notes.append(f"{len(rows) - len(done)} of {len(rows)} rows are left out: their status is not '{DONE}'")
    unknown = sorted({c.target for c in conversions if not c.gender})
    if unknown and len(unknown) < len({c.target for c in conversions}):
        notes.append(f"no gender (male or female) for {len(unknown)} targets: {_listed(unknown)}")
    lost = Counter(_label(row) for row in rows if row.get("status") == FAILED)
    return Conversions(conversions, len(rows) - len(done), notes + driving_notes, dict(lost))


def _manifest_file(manifest: Path) -> Path:
    if manifest.is_dir() and not (manifest / MANIFEST).is_file():
        raise FaceVCError(
            f"{manifest}: expected {MANIFEST} in this folder, found none. Give the table that names the conversions, or say by --pattern how "
            "the folder's files are named, for example --pattern '{source}__{target}.wav'."
        )
    return manifest / MANIFEST if manifest.is_dir() else manifest


def _conversion(row: Row, manifest: Path, people: _Table, spoken: _Table) -> Conversion:
    target, source_id = row["target"], _source_id(row)

    def own(column: str) -> str:
        return row.get(column, "").strip()

    def file(column: str) -> str:
        return _resolved(own(column), manifest) if own(column) else ""

    references = _references(own("references"), manifest)
    if not references and people.path:
        references = [name for other in people.rows.get(target, []) for name in _references(other.get("references") or "", people.path)]
    return Conversion(
        system=_label(row),
        base=_system(row),
        baseline=own("baseline"),
        degradation=own("degradation"),
        converted=resolve(row["converted"], manifest),
        source_id=_shown_id(row, manifest),
        target=target,
        face=_beside(own("face") or own("voice"), manifest),
        driver=file("driver") or file("voice"),
        source=file("source") or spoken.file(source_id, "file", "path"),
        gender=gender_of(own("gender")) or gender_of(people.first(target, "gender")),
        source_gender=gender_of(own("source_gender")) or gender_of(spoken.first(source_id, "gender")),
        references=tuple(dict.fromkeys(references)),
        transcript=own("transcript") or spoken.first(source_id, "transcript"),
        parallel=file("parallel") or _parallel(target, source_id, people),
        source_speaker=own("source_speaker") or spoken.first(source_id, "speaker"),
        about=_about(row, people, spoken),
    )


def _about(row: Row, people: _Table, spoken: _Table) -> dict[str, str]:
    about = {column: row[column] for column in row if column not in FIELDS}
    about |= {column: about.get(column) or people.first(row["target"], column) for column in people.columns if column not in FIELDS}
    for column in spoken.columns:
        if column not in FIELDS | {"file", "path"}:
            about[f"source_{column}" if column in about else column] = spoken.first(_source_id(row), column)
    return about


def _without_drivers(conversions: Sequence[Conversion]) -> tuple[list[Conversion], list[str]]:
    """Without the recordings that drove a target's conversions among its references, where others are left."""
    place = lru_cache(maxsize=None)(os.path.realpath)
    driving: dict[str, set[str]] = {}
    for c in conversions:
        if c.driver:
            driving.setdefault(c.target, set()).add(place(c.driver))
    dropped: set[str] = set()
    only: set[str] = set()
    left: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
    for c in conversions:
        if c.target in driving and (c.target, c.references) not in left:
            kept = tuple(name for name in c.references if place(name) not in driving[c.target])
            if len(kept) < len(c.references):
                (dropped if kept else only).add(c.target)
            left[c.target, c.references] = kept or c.references
    notes = []
    if dropped:
        notes.append(f"the recording that drove a conversion is none of its target's references, in any system ({len(dropped)} targets)")
    if only:
        notes.append(
            f"the only reference is the recording that drove the conversion for {len(only)} targets, so their consistency flatters "
            f"voice-driven systems: {_listed(sorted(only))}"
        )
    return [replace(c, references=left.get((c.target, c.references), c.references)) for c in conversions], notes


def _parallel(target: str, source_id: str, people: _Table) -> str:
    """The target's recording of the source's words: of the row that names the source, else of one that names none."""
    named = [row for row in people.rows.get(target, []) if (row.get("parallel") or "").strip() and row.get("source_id", "") in ("", source_id)]
    best = max(named, key=lambda row: row.get("source_id", "") == source_id, default=None)
    return resolve(best["parallel"], people.path) if best and people.path else ""


def _references(text: str, table: Path) -> list[str]:
    return [_resolved(name, table) for name in split_files(text)]


@lru_cache(maxsize=1 << 16)  # the same references stand in every row of a target
def _resolved(name: str, table: Path) -> str:
    return resolve(name, table)


def _beside(name: str, table: Path) -> str:
    """A face's file where there is one; a mere name stays what it is."""
    found = _resolved(name, table) if name else ""
    return found if found and os.path.isfile(found) else name


def _system(row: Row) -> str:
    return row.get("system", "").strip() or SYSTEM


def _label(row: Row) -> str:
    return label_of(_system(row), row.get("baseline", "").strip(), row.get("degradation", "").strip())


def _shown_id(row: Row, manifest: Path) -> str:
    """The source's id, or its path from the manifest's folder: reports are passed on, and an absolute path names whose computer it was."""
    name = _source_id(row)
    return path_from(manifest.parent, name) if not row.get("source_id") and os.path.isabs(name) else name


def _source_id(row: Row) -> str:
    return row.get("source_id") or row.get("source", "")


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")


def _join(table: Path | None, key: str, wanted: set[str]) -> _Table:
    """A table's rows by key; one that has none of the wanted keys is an error, for it belongs to something else."""
    if table is None:
        return _Table(None, {})
    found: dict[str, list[Row]] = {}
    rows = read_table(table, [key])
    for row in rows:
        name = row[key] if row[key] in wanted else row[key].strip()
        found.setdefault(name, []).append(row)
    if not wanted & set(found):
        raise FaceVCError(
            f"{table}: expected in column {key} names that the manifest has, such as {sorted(wanted)[0]!r}, "
            f"found {', '.join(map(repr, sorted(found)[:3])) or 'no rows'}. Correct the names or leave the table out."
        )
    return _Table(table, found, tuple(rows[0]))
