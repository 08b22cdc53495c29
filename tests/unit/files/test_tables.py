"""files/tables.py and files/atomic.py: tables that survive odd names, and files that are whole or not there."""

import os
import unicodedata

import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.atomic import atomic_path, write_text
from facevc_cli.files.tables import read_table, resolve, write_table


def test_round_trip_of_odd_fields(tmp_path):
    rows = [{"utterance": name, "speaker": "ü"} for name in ('a,b"c', "x\ny", "x\ry", " spaced ", "", "'", "ß/π")]
    write_table(tmp_path / "deep/t.csv", rows)
    assert read_table(tmp_path / "deep/t.csv", ("utterance",)) == rows


def test_columns_given_and_found(tmp_path):
    write_table(tmp_path / "t.csv", [{"a": 1, "b": 2}, {"a": 3, "c": 4}])
    assert (tmp_path / "t.csv").read_text() == "a,b,c\n1,2,\n3,,4\n"
    write_table(tmp_path / "t.csv", [{"a": 1, "b": 2}], ("b",))
    assert (tmp_path / "t.csv").read_text() == "b\n2\n"
    write_table(tmp_path / "t.csv", [], ("b",))
    assert read_table(tmp_path / "t.csv", ("b",)) == []


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    (tmp_path / "t.csv").write_bytes("\ufeffutterance,split\r\nü,train\r\n".encode())
    assert read_table(tmp_path / "t.csv", ("utterance", "split")) == [{"utterance": "ü", "split": "train"}]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "found nothing"),
        (b"a,c\n1,2\n", "b is missing"),
        (b"a,b\n1,2\n1\n", "line 3: expected 2 fields"),
        (b"a,b\n1,2,3\n", "line 2: expected 2 fields"),
        ("a,b\nü,1\n".encode("latin-1"), "not a UTF-8 CSV"),
    ],
)
def test_unusable_tables_say_what_and_where(tmp_path, content, fault):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(FaceVCError, match=fault):
        read_table(tmp_path / "t.csv", ("a", "b"))


ROWS = [{"source": "a b", "face": "x"}, {"source": "ü", "face": "y"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_tables_of_spreadsheets(tmp_path, encoding, separator, line_end):
    lines = ["source;face", "a b;x", ";", "", " ; ", "ü;y", ";;;"]
    text = line_end.join(lines).replace(";", separator) + line_end
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    assert read_table(tmp_path / "t.csv", ("source", "face")) == ROWS
    assert read_table(tmp_path / "t.csv") == ROWS


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nsource;face\na b;x\nü;y\n",
        '"sep=;"\r\nsource;face\r\na b;x\r\nü;y\r\n',
        "Source , FACE\na b,x\nü,y\n",
        "\ufeff\n\nsource;face;;\na b;x;;\nü;y;;\n",
        '"source";"face"\n"a b";"x"\n"ü";"y"',
        ",source,face\n0,a b,x\n1,ü,y\n",
    ],
)
def test_headers_of_spreadsheets(tmp_path, text):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8", newline="")
    assert read_table(tmp_path / "t.csv", ("source",)) == ROWS


def test_other_columns_and_numbers_stay_as_they_are(tmp_path):
    (tmp_path / "t.csv").write_text("Target;Age group;references\nanna;0,5;a.wav|b, c.wav\n")
    found = read_table(tmp_path / "t.csv", ("target",))
    assert found == [{"target": "anna", "Age group": "0,5", "references": "a.wav|b, c.wav"}]
    (tmp_path / "t.csv").write_text("target,Target,Source ID\na,b,c\n")
    assert read_table(tmp_path / "t.csv") == [{"target": "a", "Target": "b", "source_id": "c"}]


def test_accents_of_names_are_one_and_those_of_paths_stay(tmp_path):
    nfd = unicodedata.normalize("NFD", "é")
    (tmp_path / "t.csv").write_text(f"target,file\n{nfd},{nfd}\n", encoding="utf-8")
    assert read_table(tmp_path / "t.csv") == [{"target": "\u00e9", "file": nfd}]
    (tmp_path / f"{nfd}.wav").touch()
    assert os.path.isfile(resolve("\u00e9.wav", tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"PK\x03\x04rest", "found a workbook.*CSV UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "line 1 holds a zero byte.*UTF-16 without its mark"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], "not a UTF-16 CSV table"),
        ("a;b\nx;y\nMüller;1\n".encode("cp1252"), r"not a UTF-8 CSV table \(line 3.*CSV UTF-8"),
        (
            b"name;other\n1;2\n",
            "expected the columns a, b in the first line, found name, other; a, b are missing.",
        ),
        (b"a,b,a\n1,2,3\n", "names the column a more than once"),
        (b"a;b\n1;2\n1;2;3\n", "line 3: expected 2 fields, found 3"),
    ],
)
def test_unclear_tables_say_what_was_found(tmp_path, content, fault):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(FaceVCError, match=fault):
        read_table(tmp_path / "t.csv", ("a", "b"))


def test_missing_table(tmp_path):
    with pytest.raises(FaceVCError, match="cannot be read"):
        read_table(tmp_path / "absent.csv")


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(FaceVCError, match="No space left"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["t.csv"]


def test_long_names_and_impossible_folders(tmp_path):
    name = "x" * 251 + ".csv"
    write_text(tmp_path / name, "whole")
    assert (tmp_path / name).read_text() == "whole"
    (tmp_path / "file").touch()
    with pytest.raises(FaceVCError, match="could not be written"):
        write_text(tmp_path / "file/below.csv", "")
