"""The manifest and the tables beside it -> conversions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facevc_cli.errors import FaceVCError
from facevc_cli.io.manifest import read_table
from facevc_cli.metrics.conversion import Conversion, gender_of

MANIFEST = "manifest.csv"
DONE = "done"
SYSTEM = "facevc"  # the name of a system that the manifest does not name
SEPARATOR = "|"  # between reference files

Row = dict[str, str]


@dataclass(frozen=True)
class Conversions:
    """What is to be evaluated: conversions, how many rows were no finished conversions, and what the reader should know."""

    conversions: list[Conversion]
    excluded: int
    notes: list[str]


def read_conversions(
    manifest: Path, labels: Path | None = None, sources: Path | None = None, limit: int | None = None
) -> Conversions:
    """The finished conversions of a manifest (or of the folder that holds manifest.csv), joined with the tables.

    Columns: converted and target are needed; system, source, source_id, face, voice, gender, source_gender, references,
    transcript and status are used where they are there. `labels` is joined on target (gender, references), `sources` on
    source_id (gender, transcript); what the manifest itself says comes first. Paths are relative to their table's folder,
    or to the working directory.
    """
    manifest = manifest / MANIFEST if manifest.is_dir() else manifest
    rows = read_table(manifest, ["converted", "target"])
    done = [row for row in rows if row.get("status", DONE) == DONE]
    if not done:
        raise FaceVCError(
            f"{manifest}: expected conversions with status '{DONE}', found none in {len(rows)} rows. Run 'facevc convert' first."
        )
    by_target = _join(labels, "target", {row["target"] for row in done})
    by_source = _join(sources, "source_id", {_source_id(row) for row in done})
    conversions = [_conversion(row, manifest, by_target, by_source, labels) for row in done[:limit]]
    notes = (
        [f"{len(rows) - len(done)} of {len(rows)} rows are left out: their status is not '{DONE}'"]
        if len(done) < len(rows)
        else []
    )
    unknown = sorted({c.target for c in conversions if not c.gender})
    if unknown and len(unknown) < len({c.target for c in conversions}):
        notes.append(
            f"no gender (male or female) for {len(unknown)} targets: {', '.join(unknown[:5])}{' ...' if len(unknown) > 5 else ''}"
        )
    return Conversions(conversions, len(rows) - len(done), notes)


def _conversion(
    row: Row, manifest: Path, by_target: dict[str, list[Row]], by_source: dict[str, list[Row]], labels: Path | None
) -> Conversion:
    about, spoken = by_target.get(row["target"], []), by_source.get(_source_id(row), [])
    references = [resolve(name, manifest) for name in row.get("references", "").split(SEPARATOR) if name.strip()]
    if not references and labels:
        references = [
            resolve(n, labels) for other in about for n in (other.get("references") or "").split(SEPARATOR) if n.strip()
        ]
    source = row.get("source", "").strip()
    return Conversion(
        system=row.get("system", "").strip() or SYSTEM,
        converted=resolve(row["converted"], manifest),
        source_id=_source_id(row),
        target=row["target"],
        face=row.get("face", "").strip() or row.get("voice", "").strip(),
        source=resolve(source, manifest) if source else "",
        gender=gender_of(row.get("gender", "")) or _first(about, "gender"),
        source_gender=gender_of(row.get("source_gender", "")) or _first(spoken, "gender"),
        references=tuple(dict.fromkeys(references)),
        transcript=row.get("transcript", "").strip()
        or next((r["transcript"].strip() for r in spoken if r.get("transcript")), ""),
    )


def _source_id(row: Row) -> str:
    return row.get("source_id") or row.get("source", "")


def _first(rows: Sequence[Row], column: str) -> str:
    return next((gender for row in rows if (gender := gender_of(row.get(column) or ""))), "")


def _join(table: Path | None, key: str, wanted: set[str]) -> dict[str, list[Row]]:
    """A table's rows by key; one that has none of the wanted keys is an error, for it belongs to something else."""
    if table is None:
        return {}
    found: dict[str, list[Row]] = {}
    for row in read_table(table, [key]):
        found.setdefault(row[key], []).append(row)
    if not wanted & set(found):
        raise FaceVCError(
            f"{table}: expected in column {key} names that the manifest has, such as {sorted(wanted)[0]!r}, "
            f"found {', '.join(map(repr, sorted(found)[:3])) or 'no rows'}. Correct the names or leave the table out."
        )
    return found


def resolve(name: str, table: Path) -> str:
    """A path as written, taken from the table's folder where it is there, else from the working directory."""
    path = Path(name.strip())
    beside = table.parent / path  # an absolute path stays what it is
    return str(beside if beside.exists() or not path.exists() else path)
