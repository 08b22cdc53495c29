"""Reads CSV tables as spreadsheets write them, with errors that name the line.

Writes them atomically. Resolves paths in them.
"""

import codecs
import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.atomic import atomic_path
from facevc_cli.files.names import find_real_path, normalise_name

SEPARATORS = (",", ";", "\t")  # Excel writes semicolons if the comma is the decimal sign, and tabs as "Unicode text"
# Columns with names of utterances and people. Their cells match whichever way accents are written.
NAME_COLUMNS = frozenset({"utterance", "speaker", "target", "source_id", "source_speaker", "face_id"})
# The columns that a table from a spreadsheet may have; they are known with capitals and blanks too. All others keep
# their names.
KNOWN_COLUMNS = NAME_COLUMNS | {
    "source",
    "face",
    "voice",
    "split",
    "gender",
    "source_gender",
    "references",
    "transcript",
    "parallel",
    "weight",
    "file",
    "path",
    "converted",
}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, .xls


def decode_text(path: Path, what: str, advice: str) -> str:
    """Decodes a text file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    FaceVCError if it cannot be read or has another encoding.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FaceVCError(f"{path}: the {what} cannot be read ({error.strerror}). Check the path.") from error
    except ValueError as error:  # a zero byte in the path
        raise FaceVCError(f"{str(path)!r}: the {what} cannot be read ({error}). Check the path.") from error
    if data.startswith(_WORKBOOKS):
        raise FaceVCError(f"{path}: expected a {what} as text, found a workbook of a spreadsheet program. {advice}")
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FaceVCError(
            f"{path}: not a {encoding.removesuffix('-sig').upper()} {what} (line {line}: {error.reason}). {advice}"
        ) from error
    if "\0" in text:
        raise FaceVCError(
            f"{path}: the {what} cannot be read: line {text.count(chr(10), 0, text.index(chr(0))) + 1} holds a zero "
            f"byte, so it is no text or is UTF-16 without its mark. {advice}"
        )
    return text


def read_table(path: Path, required: Sequence[str] = ()) -> list[dict[str, str]]:
    """Reads the rows of a CSV file with a header line. FaceVCError says what is missing, and in which line.

    Fields are separated by commas, semicolons or tabs. Rows of empty fields and columns without a name are skipped.
    Names of columns that facevc knows may have capitals and blanks. Fields remain unchanged text.
    """
    text = decode_text(path, "CSV table", "Save it as CSV in UTF-8 (in Excel: 'CSV UTF-8').")
    try:
        first, text = _cut_separator_line(text)
        separator = first or _find_separator(text, required)
        lines = _iterate_filled_rows(text, separator)
        names = _name_columns(next(lines, (0, []))[1], required)
        _check_columns(path, names, required)
        return [_make_row(path, number, names, fields) for number, fields in lines]
    except csv.Error as error:
        raise FaceVCError(f"{path}: not a UTF-8 CSV table ({error}). Save it as CSV in UTF-8.") from error


def _cut_separator_line(text: str) -> tuple[str, str]:
    """Returns ('', text), or the separator of Excel's first line 'sep=;' and the text after that line."""
    found = re.match(r'\s*"?sep=(.)"?[,;\t ]*(\r\n|\r|\n)', text, re.IGNORECASE)
    return (found[1], text[found.end() :]) if found else ("", text)


def _find_separator(text: str, required: Sequence[str]) -> str:
    """Returns the separator that gives the header the most required columns, then the most columns.

    In a tie it is the comma.
    """
    headers = {
        separator: _name_columns(next(_iterate_filled_rows(text, separator), (0, []))[1], required)
        for separator in SEPARATORS
    }
    return max(
        SEPARATORS, key=lambda separator: (len(set(required) & set(headers[separator])), len(headers[separator]))
    )


def _iterate_filled_rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yields (line number, fields) of the rows that are not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return ((reader.line_num, fields) for fields in reader if any(field.strip() for field in fields))


def _name_columns(header: Sequence[str], required: Sequence[str]) -> list[str]:
    """Returns the column names without blanks around them.

    Known columns get facevc's spelling, unless the table has them twice.
    """
    plain = [name.strip() for name in header]
    known = KNOWN_COLUMNS | set(required)
    called = [re.sub(r"[\s-]+", "_", name.casefold()) for name in plain]
    return [
        own if own in known and (name == own or own not in plain) else name
        for name, own in zip(plain, called, strict=True)
    ]


def _check_columns(path: Path, names: Sequence[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in names]
    if missing:
        column = "column" if len(required) == 1 else "columns"
        lacks = "is missing. Add it" if len(missing) == 1 else "are missing. Add them"
        raise FaceVCError(
            f"{path}: expected the {column} {', '.join(required)} in the first line, found "
            f"{', '.join(filter(None, names))[:200] or 'nothing'}; {', '.join(missing)} {lacks} to the table."
        )
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise FaceVCError(
            f"{path}: the first line names the column {', '.join(twice)} more than once. Rename or remove one."
        )


def _make_row(path: Path, number: int, names: Sequence[str], fields: list[str]) -> dict[str, str]:
    if len(fields) < len(names) or any(field.strip() for field in fields[len(names) :]):
        raise FaceVCError(
            f"{path}, line {number}: expected {len(names)} fields, found {len(fields)}. Quote fields that hold "
            "commas, and end every line."
        )
    row = {name: field for name, field in zip(names, fields, strict=False) if name}
    return {name: normalise_name(field) if name in NAME_COLUMNS else field for name, field in row.items()}


def write_table(path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] | None = None) -> None:
    """Writes rows as CSV, atomically. Without `columns`, they are in order of first appearance."""
    names = list(columns) if columns else list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        # the csv module leaves a lone carriage return unquoted, and then reads it as a line's end
        quote_all = any("\r" in str(value) for row in rows for value in row.values())
        writer = csv.DictWriter(
            file,
            names,
            lineterminator="\n",
            extrasaction="ignore",
            quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL,
        )
        writer.writeheader()
        try:
            writer.writerows(rows)
        except UnicodeEncodeError as error:
            raise FaceVCError(
                f"{path}: a name in it is no UTF-8 text ({error.object.strip()[:80]!r}), which no table can hold. "
                "Rename the file."
            ) from error


def make_relative_path(folder: Path, file: Path | str) -> str:
    """Returns a file's path relative to `folder`, for a table in it.

    So the table shows no home folder, and may move with its files.

    The path is absolute only if there is no relative one, for example between two drives.
    """
    absolute, base = os.path.abspath(file), os.path.abspath(folder)
    real = os.path.join(os.path.realpath(os.path.dirname(absolute)), os.path.basename(absolute))
    try:
        relative = os.path.relpath(absolute, base)
        if os.path.realpath(os.path.join(base, relative)) != os.path.realpath(
            absolute
        ):  # a link among the folders leads elsewhere
            relative = os.path.relpath(real, os.path.realpath(base))
    except ValueError:
        return absolute
    return Path(relative).as_posix()


def resolve(name: str, table: Path) -> str:
    """Returns a path from a table: relative to the table's folder if the file exists there, else to the working
    directory.
    """
    path = find_real_path(Path(name.strip()))
    beside = find_real_path(table.parent / path)  # an absolute path stays what it is
    return str(beside if os.path.exists(beside) or not os.path.exists(path) else path)
