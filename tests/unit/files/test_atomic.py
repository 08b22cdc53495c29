"""files/atomic.py: the order in which content and names reach the disk, so that a power cut leaves the old
or the new.
"""

import os
import shutil
from pathlib import Path

import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files import atomic
from facevc_cli.files.atomic import atomic_folder, atomic_path, check_writable, name_old_folder, write_text


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(what, name) of each sync, rename and removal of a folder, as they come."""
    seen: list[tuple[str, str]] = []
    sync, replace, remove = os.fsync, os.replace, shutil.rmtree

    def kind(name: str) -> str:
        return "temporary" if ".tmp" in Path(name).name else Path(name).name

    def syncing(handle: int) -> None:
        seen.append(("sync", kind(os.readlink(f"/proc/self/fd/{handle}"))))
        sync(handle)

    def renaming(source: Path, target: Path) -> None:
        seen.append(("rename", kind(str(target))))
        replace(source, target)

    def removing(folder: Path, **options: bool) -> None:
        if Path(folder).exists():
            seen.append(("remove", kind(str(folder))))
        remove(folder, **options)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", renaming)
    monkeypatch.setattr(atomic.shutil, "rmtree", removing)
    return seen


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="tells descriptors by /proc")


@needs_proc
def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, calls: list[tuple[str, str]]):
    write_text(tmp_path / "home" / "a.csv", "text")
    assert calls == [("sync", "temporary"), ("rename", "a.csv"), ("sync", "home")]
    calls.clear()
    with atomic_path(tmp_path / "home" / "a.wav", durable=False) as temporary:
        temporary.write_bytes(b"sound")
    assert calls == [("sync", "temporary"), ("rename", "a.wav")]  # never empty, at worst missing


@needs_proc
def test_the_old_folder_goes_when_the_new_one_is_on_the_disk(tmp_path: Path, calls: list[tuple[str, str]]):
    for content in ("old", "new"):
        calls.clear()
        with atomic_folder(tmp_path / "home" / "last") as temporary:
            (temporary / "below").mkdir()
            (temporary / "below" / "a").write_text(content)
            (temporary / "b").write_text(content)
    assert calls == [
        ("sync", "a"),
        ("sync", "below"),
        ("sync", "b"),
        ("sync", "temporary"),
        ("rename", ".last.old"),
        ("rename", "last"),
        ("sync", "home"),
        ("remove", ".last.old"),
    ]
    assert (tmp_path / "home" / "last" / "b").read_text() == "new" and [
        p.name for p in (tmp_path / "home").iterdir()
    ] == ["last"]


def test_a_disk_that_fails_while_syncing_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_text(tmp_path / "a.csv", "old")

    def failing(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(FaceVCError, match=r"a\.csv could not be written: Input/output error"):
        write_text(tmp_path / "a.csv", "new")
    assert (tmp_path / "a.csv").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_look_whether_a_folder_can_be_written_leaves_no_folder(tmp_path: Path):
    (tmp_path / "here").mkdir()
    check_writable(tmp_path / "here")
    check_writable(tmp_path / "new" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_folder_that_is_a_file_and_one_that_is_locked_have_their_own_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "notes.txt").touch()
    for folder in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "below"):
        with pytest.raises(FaceVCError, match=r"A file has the name of a folder .* Choose another output\.$"):
            check_writable(folder)

    def forbid(*given: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "mkdir", forbid)
    with pytest.raises(FaceVCError, match=r"Permission denied. Choose an output where you may write"):
        write_text(tmp_path / "locked" / "a.csv", "new")


def test_a_file_system_that_knows_no_sync_still_gets_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unknown(handle: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", unknown)
    write_text(tmp_path / "a.csv", "new")
    assert (tmp_path / "a.csv").read_text() == "new"


def test_the_old_folder_has_a_name_that_readers_know(tmp_path: Path):
    assert name_old_folder(tmp_path / "last") == tmp_path / ".last.old"
