"""Lists the files in tar files, such as the shards of webdataset. Nothing is unpacked.

Python's tarfile reads the headers. It never writes a file here, and links are never followed. A tar file with a name
that leads elsewhere is refused as a whole.
"""

import re
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.hashes import stamp_file
from facevc_cli.files.packed import MOST_BYTES, Packed
from facevc_cli.files.urls import describe_file, is_url, open_seekable

MOST_HEADER_BYTES = 1 << 20  # a header that holds a long name
MOST_SHARDS = 100_000
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def is_tar(name: str) -> bool:
    return name.lower().endswith(".tar")


def expand_braces(name: str) -> list[str]:
    """x-{00..02}.tar -> x-00.tar, x-01.tar, x-02.tar. Numbers keep their zeros."""
    found = _RANGE.search(name)
    if found is None:
        return [name]
    first, last, width = int(found[1]), int(found[2]), len(found[1])
    following = expand_braces(name[found.end() :])
    if not 1 <= last - first + 1 <= MOST_SHARDS // len(following):
        raise FaceVCError(f"{name}: expected {{FIRST..LAST}} with at most {MOST_SHARDS:,} numbers, found another.")
    return [f"{name[: found.start()]}{n:0{width}d}{rest}" for n in range(first, last + 1) for rest in following]


class _Headers:
    """A file from which headers are read. It refuses to read much at once, because sizes in headers may be wrong."""

    def __init__(self, file: Any, where: str):
        self._file, self._where = file, where
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= MOST_HEADER_BYTES:
            raise FaceVCError(f"{self._where}: a header in this tar file is larger than 1 MB. Pack the files again.")
        return bytes(self._file.read(count))


def list_members(where: str) -> Iterator[Packed]:
    """Yields the regular files of a tar file. FaceVCError if it is damaged, compressed or hostile."""
    size, stamp = _measure(where)
    with ExitStack() as opened:
        if is_url(where):
            file = opened.enter_context(closing(open_seekable(where)))
        else:
            file = opened.enter_context(open(where, "rb"))
        try:
            headers: Any = _Headers(file, where)
            tar: Any = opened.enter_context(tarfile.open(fileobj=headers, mode="r:"))
            before = -1
            while (member := tar.next()) is not None:
                tar.members = []  # tarfile keeps every header otherwise
                if member.offset <= before:
                    raise ValueError("a header with a size below 0")  # it leads back, so reading would never end
                before = member.offset
                _check_name(where, member.name)
                if not member.isreg() or member.issparse():
                    continue  # folders, links and devices hold no sound
                if not 0 <= member.size <= MOST_BYTES or member.offset_data + member.size > size:
                    raise FaceVCError(
                        f"{where}: {member.name!r} says that it has {member.size:,} bytes, but the tar file ends "
                        "before, or that is too much. Copy the tar file again."
                    )
                own = f"{stamp}+{member.offset_data}+{member.size}" if stamp else ""
                yield Packed(where, member.name, member.size, member.offset_data, own)
            headers.seek(tar.offset)  # tarfile takes a damaged header for the end
            if headers.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise FaceVCError(f"{where}: a header at byte {tar.offset:,} is damaged. Copy the tar file again.")
        except (tarfile.TarError, OSError, ValueError, OverflowError, RecursionError) as error:
            raise FaceVCError(
                f"{where}: expected a tar file without compression, found another ({error}). Unpack it, or copy it "
                "again."
            ) from error


def _measure(where: str) -> tuple[int, str]:
    if is_url(where):
        kind, size, stamp = describe_file(where)
        if kind != "file":
            raise FaceVCError(f"{where}: expected a tar file, found a folder. Name the tar files.")
        return size, stamp
    try:
        return Path(where).stat().st_size, stamp_file(Path(where))
    except OSError as error:
        raise FaceVCError(f"{where}: the tar file cannot be read ({error.strerror}). Check the path.") from error


def _check_name(where: str, name: str) -> None:
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or re.match(r"[A-Za-z]:", name):
        raise FaceVCError(
            f"{where}: expected names of files below one folder, found {name[:200]!r}. Do not use this tar file, or "
            "pack the files again with relative names."
        )
