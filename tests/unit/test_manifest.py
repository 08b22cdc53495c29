"""io/manifest.py and io/atomic.py: tables that survive odd names, and files that are whole or not there."""

import os

import pytest

from facevc_cli.errors import FaceVCError
from facevc_cli.io.atomic import atomic_path, write_text
from facevc_cli.io.manifest import read_table, write_table


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
