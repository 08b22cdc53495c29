"""files/tar_shards.py: tar files that are damaged, hostile or odd. test_packed_inputs.py has how they are inputs."""

import io
import tarfile
from pathlib import Path

import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.inputs import AUDIO_SUFFIXES
from facevc_cli.files.packed_inputs import find_all_inputs
from facevc_cli.files.tar_shards import MOST_HEADER_BYTES, expand_braces, list_members

SHARD = b"abc".ljust(tarfile.BLOCKSIZE, b"\0")


def make_header(name: str = "a.wav", kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytearray:
    about = tarfile.TarInfo(name)
    about.type, about.size = kind, max(0, size)
    header = bytearray(about.tobuf(tarfile.GNU_FORMAT))
    if size < 0:  # as GNU tar writes numbers that eight digits cannot hold
        header[124:136] = b"\xff" * 4 + size.to_bytes(8, "big", signed=True)
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header[:512])
    return header


@pytest.mark.parametrize("kind", [b"0", b"7", b"Z", b"L", b"x"])
def test_sizes_below_zero_do_not_lead_back(tmp_path: Path, kind: bytes):
    """A reader that trusts the size reads this header again and again."""
    path = tmp_path / "x.tar"
    path.write_bytes(make_header("good.wav", size=3) + SHARD + make_header(kind=kind, size=-512) + bytes(1024))
    with pytest.raises(FaceVCError, match=r"x\.tar: "):
        list(list_members(str(path)))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_about_headers_do_not_end_the_program(tmp_path: Path, kind: bytes):
    path = tmp_path / "x.tar"
    path.write_bytes((make_header(kind=kind, size=13) + b"13 comment=x\n".ljust(512, b"\0")) * 3000 + bytes(1024))
    with pytest.raises(FaceVCError, match="recursion"):
        list(list_members(str(path)))


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"path": "../a.wav"}, "names of files below one folder, found '../a.wav'"),
        ({"path": "/etc/a.wav"}, "names of files below one folder"),
        ({"size": "99999999999999999999"}, "99,999,999,999,999,999,999 bytes"),
        ({"size": "-5"}, "-5 bytes"),
        ({"size": "many"}, "damaged"),
        ({"comment": "x" * MOST_HEADER_BYTES}, "larger than 1 MB"),
        ({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1"}, "another"),
    ],
)
def test_extended_headers_are_no_way_around(tmp_path: Path, headers: dict[str, str], said: str):
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        about = tarfile.TarInfo("a.wav")
        about.size, about.pax_headers = 3, headers
        tar.addfile(about, io.BytesIO(b"abc"))
    with pytest.raises(FaceVCError, match=said):
        list(list_members(str(tmp_path / "x.tar")))


@pytest.mark.parametrize("count", [0, 100, 700, 1200, 1600])
def test_a_tar_file_that_is_cut_short(tmp_path: Path, count: int):
    whole = make_header("a.wav", size=3) + SHARD + make_header("b.wav", size=3) + SHARD
    path = tmp_path / "x.tar"
    path.write_bytes(whole[:count])
    with pytest.raises(FaceVCError, match=r"x\.tar: .*[Cc]opy"):
        list(list_members(str(path)))
    path.write_bytes(whole)  # without the zeros at its end
    assert [member.name for member in list_members(str(path))] == ["a.wav", "b.wav"]


def test_names_that_are_not_utf8_are_told_before_the_work(tmp_path: Path):
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        tar.addfile(tarfile.TarInfo("anna/é.wav"))
    with pytest.raises(FaceVCError, match=r"no table or store can hold its name 'anna/\\udce9'.*not UTF-8") as caught:
        find_all_inputs([tmp_path / "x.tar"], AUDIO_SUFFIXES)
    str(caught.value).encode()  # it can be printed


def test_braces_do_not_multiply_without_end():
    with pytest.raises(FaceVCError, match="at most 100,000 numbers"):
        expand_braces("x-{0..99999}-{0..99999}.tar")
    assert len(expand_braces("x-{0..999}-{0..99}.tar")) == 100_000
