"""CSV tables: read with errors that name the line, written atomically; the paths in them."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from facevc_cli.errors import FaceVCError
from facevc_cli.io.atomic import atomic_path


def read_table(path: Path, required: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a UTF-8 CSV file with a header line; FaceVCError names what is missing and where."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            missing = [c for c in required if c not in columns]
            if missing:
                raise FaceVCError(
                    f"{path}: expected the columns {', '.join(required)} in the first line, found {', '.join(columns) or 'nothing'}; "
                    f"{', '.join(missing)} is missing. Add it to the table."
                )
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise FaceVCError(
                        f"{path}, line {reader.line_num}: expected {len(columns)} fields, found another number. "
                        "Quote fields that hold commas, and end every line."
                    )
                rows.append(dict(row))
            return rows
    except OSError as error:
        raise FaceVCError(f"{path}: the table cannot be read ({error.strerror}). Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FaceVCError(f"{path}: not a UTF-8 CSV table ({error}). Save it as CSV in UTF-8.") from error


def write_table(path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] | None = None) -> None:
    """Rows as CSV, atomically; columns in order of first appearance unless given."""
    names = list(columns) if columns else list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        # the csv module leaves a lone carriage return unquoted, and then reads it as a line's end
        quote_all = any("\r" in str(value) for row in rows for value in row.values())
        writer = csv.DictWriter(file, names, lineterminator="\n", extrasaction="ignore", quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL)
        writer.writeheader()
        writer.writerows(rows)


def resolve(name: str, table: Path) -> str:
    """A path as a table has it, taken from the table's folder where it is there, else from the working directory."""
    path = Path(name.strip())
    beside = table.parent / path  # an absolute path stays what it is
    return str(beside if beside.exists() or not path.exists() else path)
