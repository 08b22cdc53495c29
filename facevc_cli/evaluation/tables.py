"""Read conversions from the manifest (or from a folder's file names) and the tables beside it."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.patterns import read_by_pattern
from facevc_cli.files.tables import make_relative_path, read_table, resolve
from facevc_cli.manifest.contract import DONE, FAILED, MANIFEST, parse_gender, split_files
from facevc_cli.manifest.conversion import Conversion, make_label

SYSTEM = "facevc"  # the system's name if the manifest has none
FIELDS = {  # columns that are fields of a conversion; all others are put into `about`
    "system",
    "converted",
    "status",
    "source",
    "source_id",
    "target",
    "face",
    "driver",
    "gender",
    "source_gender",
    "references",
    "transcript",
    "baseline",
    "degradation",
    "parallel",
    "source_speaker",
}
SHOWN = 5  # names in a note

Row = dict[str, str]


@dataclass(frozen=True)
class Conversions:
    """The conversions to evaluate.

    excluded: number of unfinished rows. notes: for the user. lost: number of failed rows by label.
    """

    conversions: list[Conversion]
    excluded: int
    notes: list[str]
    lost: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Table:
    """A table beside the manifest. rows: by the key of the join. path: its paths are relative to this table."""

    path: Path | None
    rows: Mapping[str, list[Row]]
    columns: tuple[str, ...] = ()

    def find_first(self, key: str, column: str) -> str:
        """Find the first text in a column of a key's rows; '' if there is none."""
        return next((text for row in self.rows.get(key, []) if (text := (row.get(column) or "").strip())), "")

    def find_file(self, key: str, *columns: str) -> str:
        return next(
            (resolve(text, self.path) for column in columns if self.path and (text := self.find_first(key, column))), ""
        )


def read_conversions(
    manifest: Path,
    labels: Path | None = None,
    sources: Path | None = None,
    limit: int | None = None,
    pattern: str | None = None,
) -> Conversions:
    """Read the finished conversions of a manifest, of a folder with manifest.csv, or of a folder by its file names
    (`pattern`).

    The columns converted and target are required. Used if present: system, baseline, degradation, source, source_id,
    face, driver, voice, gender, source_gender, source_speaker, references, transcript, parallel and status. Other
    columns are kept.

    `labels` is joined on target and adds gender, references and parallel. If it has source_id, parallel is joined on
    that too. `sources` is joined on source_id and adds file or path, gender, speaker and transcript. The manifest's own
    values have priority. Other columns of both tables are kept. If a column of `sources` is also in the manifest or in
    `labels`, it becomes source_NAME.

    Paths are relative to their table's folder, or to the working directory. A recording that drove a conversion is not
    used as a reference of its target, in any system, if the target has other references.
    """
    _resolve_cached.cache_clear()
    notes: list[str] = []
    if pattern is not None:
        rows, notes = read_by_pattern(manifest, pattern)
        manifest = manifest / MANIFEST  # it need not exist; paths are relative to its folder
    else:
        manifest = _find_manifest(manifest)
        rows = read_table(manifest, ["converted", "target"])
    done = [row for row in rows if row.get("status", DONE) == DONE]
    if not done:
        raise FaceVCError(
            f"{manifest}: expected conversions with status '{DONE}', found none in {len(rows)} rows. Run 'facevc "
            "convert' first."
        )
    people = _join(labels, "target", {row["target"] for row in done})
    spoken = _join(sources, "source_id", {_read_source_id(row) for row in done})
    conversions = [_make_conversion(row, manifest, people, spoken) for row in done[:limit]]
    conversions, driving_notes = _drop_drivers(conversions)
    if len(done) < len(rows):
        notes.append(f"{len(rows) - len(done)} of {len(rows)} rows are left out: their status is not '{DONE}'")
    unknown = sorted({c.target for c in conversions if not c.gender})
    if unknown and len(unknown) < len({c.target for c in conversions}):
        notes.append(f"no gender (male or female) for {len(unknown)} targets: {_join_names(unknown)}")
    lost = Counter(_read_label(row) for row in rows if row.get("status") == FAILED)
    return Conversions(conversions, len(rows) - len(done), notes + driving_notes, dict(lost))


def _find_manifest(manifest: Path) -> Path:
    if manifest.is_dir() and not (manifest / MANIFEST).is_file():
        raise FaceVCError(
            f"{manifest}: expected {MANIFEST} in this folder, found none. Give the table that names the conversions, "
            "or describe the folder's file names with --pattern, for example --pattern '{source}__{target}.wav'."
        )
    return manifest / MANIFEST if manifest.is_dir() else manifest


def _make_conversion(row: Row, manifest: Path, people: _Table, spoken: _Table) -> Conversion:
    target, source_id = row["target"], _read_source_id(row)

    def read_own(column: str) -> str:
        return row.get(column, "").strip()

    def find_file(column: str) -> str:
        return _resolve_cached(read_own(column), manifest) if read_own(column) else ""

    references = _split_references(read_own("references"), manifest)
    if not references and people.path:
        references = [
            name
            for other in people.rows.get(target, [])
            for name in _split_references(other.get("references") or "", people.path)
        ]
    return Conversion(
        system=_read_label(row),
        base=_read_system(row),
        baseline=read_own("baseline"),
        degradation=read_own("degradation"),
        converted=resolve(row["converted"], manifest),
        source_id=_make_shown_id(row, manifest),
        target=target,
        face=_find_face_file(read_own("face") or read_own("voice"), manifest),
        driver=find_file("driver") or find_file("voice"),
        source=find_file("source") or spoken.find_file(source_id, "file", "path"),
        gender=parse_gender(read_own("gender")) or parse_gender(people.find_first(target, "gender")),
        source_gender=parse_gender(read_own("source_gender")) or parse_gender(spoken.find_first(source_id, "gender")),
        references=tuple(dict.fromkeys(references)),
        transcript=read_own("transcript") or spoken.find_first(source_id, "transcript"),
        parallel=find_file("parallel") or _find_parallel(target, source_id, people),
        source_speaker=read_own("source_speaker") or spoken.find_first(source_id, "speaker"),
        about=_collect_about(row, people, spoken),
    )


def _collect_about(row: Row, people: _Table, spoken: _Table) -> dict[str, str]:
    about = {column: row[column] for column in row if column not in FIELDS}
    about |= {
        column: about.get(column) or people.find_first(row["target"], column)
        for column in people.columns
        if column not in FIELDS
    }
    for column in spoken.columns:
        if column not in FIELDS | {"file", "path"}:
            about[f"source_{column}" if column in about else column] = spoken.find_first(_read_source_id(row), column)
    return about


def _drop_drivers(conversions: Sequence[Conversion]) -> tuple[list[Conversion], list[str]]:
    """Move a target's driving recordings out of its references, if others remain. Return notes too."""
    place = lru_cache(maxsize=None)(os.path.realpath)
    driving: dict[str, set[str]] = {}
    for c in conversions:
        if c.driver:
            driving.setdefault(c.target, set()).add(place(c.driver))
    dropped: set[str] = set()
    only: set[str] = set()
    left: dict[tuple[str, tuple[str, ...]], tuple[tuple[str, ...], tuple[str, ...]]] = {}  # references, driving
    for c in conversions:
        if c.target in driving and (c.target, c.references) not in left:
            kept = tuple(name for name in c.references if place(name) not in driving[c.target])
            if len(kept) < len(c.references):
                (dropped if kept else only).add(c.target)
            gone = tuple(name for name in c.references if name not in kept)
            left[c.target, c.references] = (kept, gone) if kept else (c.references, ())
    notes = []
    if dropped:
        notes.append(
            "recordings that drove a conversion are not used as references of its target, in any system "
            f"({len(dropped)} targets)"
        )
    if only:
        notes.append(
            f"the only reference is the recording that drove the conversion for {len(only)} targets, so their "
            f"consistency flatters voice-driven systems: {_join_names(sorted(only))}"
        )
    parted = [left.get((c.target, c.references), (c.references, ())) for c in conversions]
    return [
        replace(c, references=kept, driving=gone) for c, (kept, gone) in zip(conversions, parted, strict=True)
    ], notes


def _find_parallel(target: str, source_id: str, people: _Table) -> str:
    """Find the target's recording of the source's words. A row that names the source has priority."""
    named = [
        row
        for row in people.rows.get(target, [])
        if (row.get("parallel") or "").strip() and row.get("source_id", "") in ("", source_id)
    ]
    best = max(named, key=lambda row: row.get("source_id", "") == source_id, default=None)
    return resolve(best["parallel"], people.path) if best and people.path else ""


def _split_references(text: str, table: Path) -> list[str]:
    return [_resolve_cached(name, table) for name in split_files(text)]


@lru_cache(maxsize=1 << 16)  # every row of a target has the same references
def _resolve_cached(name: str, table: Path) -> str:
    return resolve(name, table)


def _find_face_file(name: str, table: Path) -> str:
    """Find the face's file. A name without a file is returned unchanged."""
    found = _resolve_cached(name, table) if name else ""
    return found if found and os.path.isfile(found) else name


def _read_system(row: Row) -> str:
    return row.get("system", "").strip() or SYSTEM


def _read_label(row: Row) -> str:
    return make_label(_read_system(row), row.get("baseline", "").strip(), row.get("degradation", "").strip())


def _make_shown_id(row: Row, manifest: Path) -> str:
    """The source's id, or its path relative to the manifest's folder.

    Reports are shared, and an absolute path may name a person.
    """
    name = _read_source_id(row)
    return make_relative_path(manifest.parent, name) if not row.get("source_id") and os.path.isabs(name) else name


def _read_source_id(row: Row) -> str:
    return row.get("source_id") or row.get("source", "")


def _join_names(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")


def _join(table: Path | None, key: str, wanted: set[str]) -> _Table:
    """Read a table's rows by key. FaceVCError if it has none of the wanted keys: it belongs to something else."""
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
