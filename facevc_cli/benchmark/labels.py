"""Turns tables about targets and sources into columns of the manifest."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.files.tables import resolve
from facevc_cli.manifest.contract import SEPARATOR, split_files

# column of the sources' table -> column of the manifest
TAKEN = {"gender": "source_gender", "speaker": "source_speaker", "transcript": "transcript"}
Columns = dict[str, str]
Found = Sequence[Mapping[str, str]]  # a table's rows


def describe_targets(
    table: Path, rows: Found, targets: Collection[str], own: Collection[str], reporter: Reporter = SILENT
) -> dict[str, Columns]:
    """Returns target -> gender, references (absolute paths separated by |) and every other column of the labels.

    Two kinds of columns are left out: those that convert itself writes (`own`), and `parallel`, which depends on a
    target and a source. If a target has several rows, their references are joined. Of every other column the first
    non-empty value counts. FaceVCError if the table has none of the targets.
    """
    found = _group_rows(rows, "target", targets, table)
    lacking = sorted(set(targets) - set(found))
    if lacking:
        reporter.note(f"{table}: no row for {len(lacking)} of {len(set(targets))} targets, such as {lacking[0]}")
    columns = [name for name in (rows[0] if rows else ()) if name != "target"]
    ignored = [name for name in columns if name in own or name == "parallel"]
    if ignored:
        reporter.note(f"{table}: not taken into the manifest: {', '.join(ignored)}")
    about = {}
    for target, several in found.items():
        about[target] = {name: _find_first(several, name) for name in columns if name not in ignored}
        if "references" in columns:
            about[target]["references"] = _join_references(several, table)
    return about


def describe_sources(
    table: Path, rows: Found, source_ids: Collection[str], reporter: Reporter = SILENT
) -> dict[str, Columns]:
    """Returns source id -> source_gender, source_speaker and transcript, if the table has them.

    FaceVCError if it has none of the sources.
    """
    found = _group_rows(rows, "source_id", source_ids, table)
    lacking = sorted(set(source_ids) - set(found))
    if lacking:
        reporter.note(f"{table}: no row for {len(lacking)} of {len(set(source_ids))} sources, such as {lacking[0]}")
    return {
        source: {column: _find_first(several, name) for name, column in TAKEN.items() if name in several[0]}
        for source, several in found.items()
    }


def _group_rows(rows: Found, key: str, wanted: Collection[str], table: Path) -> dict[str, list[Mapping[str, str]]]:
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        name = row[key] if row[key] in wanted else row[key].strip()
        if name in wanted:
            found.setdefault(name, []).append(row)
    if not found:
        names = sorted({row[key] for row in rows})
        raise FaceVCError(
            f"{table}: expected in column {key} names such as {sorted(wanted)[0]!r}, found "
            f"{', '.join(map(repr, names[:3])) or 'no rows'}. The name of a target is its folder, or its file if it "
            "is in no folder. The name of a source is its path below the given folder. Correct the names, or leave "
            "the table out."
        )
    return found


def _find_first(rows: Found, column: str) -> str:
    return next((text for row in rows if (text := row[column].strip())), "")


def _join_references(rows: Found, table: Path) -> str:
    names = [name for row in rows for name in split_files(row["references"])]
    return SEPARATOR.join(dict.fromkeys(str(Path(resolve(name, table)).absolute()) for name in names))
