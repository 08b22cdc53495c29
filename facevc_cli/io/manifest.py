"""CSV tables: read with errors that name the line, written atomically; the paths in them."""

import csv
import os
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
                    f"{path}: expected the columns {', '.join(required)} in the first line, found {', '.join(columns)[:200] or 'nothing'}; "
                    f"{', '.join(missing)} is missing. Add it to the table."
                )
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise FaceVCError(
                        f"{path}, line {reader.line_num}: expected {len(columns)} fields, found another number. "
                        "Quote fields that hold commas, and end every line."
                    )
                if any("\0" in cell for cell in row.values()):
                    raise FaceVCError(f"{path}, line {reader.line_num}: a cell holds a NUL character, which no name or path can. Correct the line.")
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
        try:
            writer.writerows(rows)
        except UnicodeEncodeError as error:
            raise FaceVCError(f"{path}: a name in it is no UTF-8 text ({error.object.strip()[:80]!r}), which no table can hold. Rename the file.") from error


def path_from(folder: Path, file: Path | str) -> str:
    """A file's path as a table in `folder` has it: relative, so that the table tells no home folder and may move with its files.

    Absolute only where there is no other way, as between two drives.
    """
    absolute, base = os.path.abspath(file), os.path.abspath(folder)
    real = os.path.join(os.path.realpath(os.path.dirname(absolute)), os.path.basename(absolute))
    try:
        relative = os.path.relpath(absolute, base)
        if os.path.realpath(os.path.join(base, relative)) != os.path.realpath(absolute):  # a link among the folders leads elsewhere
            relative = os.path.relpath(real, os.path.realpath(base))
    except ValueError:
        return absolute
    return Path(relative).as_posix()


def resolve(name: str, table: Path) -> str:
    """A path as a table has it, taken from the table's folder where it is there, else from the working directory."""
    path = Path(name.strip())
    beside = table.parent / path  # an absolute path stays what it is
    return str(beside if beside.exists() or not path.exists() else path)
