"""files/hashes.py: one function hashes files, and what is no file has no hash."""

import os
from pathlib import Path

import pytest

import facevc_cli
from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.hashes import hash_file, hash_readable_file

ROOT = Path(facevc_cli.__file__).parent
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_files_are_hashed_in_one_place():
    hashing = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if "file_digest" in path.read_text(encoding="utf-8")
    }
    assert hashing == {"files/hashes.py"}


def test_hash_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert (
        hash_file(tmp_path / "a")
        == hash_file(str(tmp_path / "a"))
        == hash_readable_file(tmp_path / "a")
        == SHA256_OF_ABC
    )


def test_what_is_no_file_has_no_hash(tmp_path):
    faults = {tmp_path: "expected a file, found a folder", tmp_path / "none": r"cannot be read \(No such file"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
        faults[tmp_path / "pipe"] = "expected a file, found a folder, a device or a pipe"
    for path, fault in faults.items():
        with pytest.raises(FaceVCError, match=rf"{path.name}: {fault}.* Mend the table\.$"):
            hash_file(path, "Mend the table.")
        assert hash_readable_file(path) == ""
