"""A file in several packages is joined in the user's cache, once and whole."""

import hashlib
from pathlib import Path

import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.packaged import join_packaged_parts

CONTENT = b"first half, second half"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def join(tmp_path, monkeypatch):
    for name, part in (("part_one", CONTENT[:11]), ("part_two", CONTENT[11:])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')\n")
        (tmp_path / name / "part.bin").write_bytes(part)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda modules=("part_one", "part_two"), sha256=SHA256: join_packaged_parts(
        modules, "part.bin", sha256, "x/whole.bin", "the model", "speak"
    )


def test_a_part_that_is_missing(join, tmp_path):
    with pytest.raises(FaceVCError, match=r"part_three has no part\.bin\. Install them again with .*facevc\[speak\]"):
        join(("part_one", "part_three"))
    with pytest.raises(FaceVCError, match="the model from part_one, part_two: expected sha256 abc, found"):
        join(sha256="abc")
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written(join, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert join() == CONTENT


def test_it_is_joined_once_and_mended(join, tmp_path):
    path = tmp_path / "cache/facevc/x/whole.bin"
    assert join() == path and path.read_bytes() == CONTENT
    stamp = path.stat().st_mtime_ns
    assert join() == path and path.stat().st_mtime_ns == stamp
    path.write_bytes(b"damaged")
    assert join() == path and path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["whole.bin"]
    assert isinstance(join(), Path)
