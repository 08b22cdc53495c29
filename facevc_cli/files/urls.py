"""Reads files by URL, through fsspec. Only what the user named is opened.

| rule | why |
| --- | --- |
| only the protocols of `PROTOCOLS` | fsspec knows others that run programs or open further files |
| no chained URLs (`zip::s3://...`) | the same |
| no part `..` | a prefix would not hold |
| a place that a list or a manifest names is below its root (`is_below`) | data must not choose what is opened |
"""

import io
import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import install_command

PROTOCOLS = ("s3", "gs", "hf", "memory")  # memory: of this process; for tests
PIECE_BYTES = 16 << 20  # read at a time
HEADER_BLOCK_BYTES = 64 << 10
STAMP_FIELDS = ("etag", "ETag", "md5Hash", "generation", "lfs", "blob_id", "LastModified", "last_modified", "created")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


def is_url(text: str) -> bool:
    return _URL.fullmatch(text) is not None


def cut_file_protocol(text: str) -> str:
    """file:///a/b -> /a/b; other texts as they are. FaceVCError for a file on another machine."""
    found = _URL.fullmatch(text)
    if found is None or found[1].lower() != "file":
        return text
    if not found[2].startswith("/"):
        raise FaceVCError(f"{text}: expected file:///PATH with three slashes, found another machine's name.")
    return found[2]


def check_url(url: str) -> str:
    """Returns the URL if it may be opened. FaceVCError says why not."""
    found = _URL.fullmatch(url)
    if found is None or found[1] not in PROTOCOLS or "::" in url:
        allowed = ", ".join(f"{name}://" for name in ("file", *PROTOCOLS) if name != "memory")
        raise FaceVCError(f"{url[:200]}: expected a path, or a URL that begins with {allowed}. Copy the data there.")
    path = found[2]
    if not path.strip("/") or ".." in path.split("/") or "\\" in path or "\0" in path:
        raise FaceVCError(f"{url[:200]!r}: expected a bucket and a path without '..', found another. Write it out.")
    return url


def is_below(url: str, root: str) -> bool:
    """Whether a URL is below another one, or the same. Both have been checked."""
    return url == root.rstrip("/") or url.startswith(root.rstrip("/") + "/")


def join_url(folder: str, name: str) -> str:
    """Joins a relative name to the URL of a folder."""
    return f"{folder.rstrip('/')}/{posixpath.normpath(name).lstrip('/')}"


@contextmanager
def report_url_errors(url: str) -> Iterator[None]:
    """Turns any error of a file system into a FaceVCError. Each cloud has exceptions of its own."""
    try:
        yield
    except FaceVCError:
        raise
    except FileNotFoundError as error:
        raise FaceVCError(f"{url}: no such file or folder. Check the URL.") from error
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise FaceVCError(
            f"{url}: cannot be read ({type(error).__name__}: {said}). Check the URL, the network and your credentials."
        ) from error


def open_file_system(url: str) -> Any:
    """Returns fsspec's file system for a URL. FaceVCError if its package is not installed."""
    check_url(url)
    protocol = url.partition("://")[0]
    try:
        import fsspec

        with report_url_errors(url):
            return fsspec.filesystem(protocol)
    except (ImportError, FaceVCError) as error:
        cause = error if isinstance(error, ImportError) else error.__cause__
        if isinstance(cause, ImportError):
            raise FaceVCError(
                f"{url}: {protocol}:// needs a package that is not installed ({cause}). Install it with "
                f"{install_command('remote')}"
            ) from cause
        raise


def describe_file(url: str) -> tuple[str, int, str]:
    """Returns a file's type ("file" or "directory"), its size, and a stamp that changes with its content."""
    with report_url_errors(url):
        about = open_file_system(url).info(url)
        return str(about.get("type")), int(about.get("size") or 0), make_stamp(about)


def make_stamp(about: dict[str, Any]) -> str:
    """Returns size and version of a file as text. Empty if the file system knows no version."""
    version: Any = next((about[name] for name in STAMP_FIELDS if about.get(name)), None)
    if version is None:
        return ""
    if hasattr(version, "timestamp"):  # a date in a listing may be a number when asked for alone
        version = version.timestamp()
    return f"{about.get('size')}-{version}".replace('"', "")


def list_files(url: str) -> list[tuple[str, int, str]]:
    """Returns (URL, size, stamp) of all files below a URL, sorted. Names that are no safe paths are left out."""
    protocol = url.partition("://")[0]
    with report_url_errors(url):
        found = open_file_system(url).find(url, detail=True)
    files = []
    for name, about in sorted(found.items()):
        full = f"{protocol}://{str(name).lstrip('/')}"
        if about.get("type") == "file" and not {"..", ""} & set(full.partition("://")[2].split("/")):
            files.append((full, int(about.get("size") or 0), make_stamp(about)))
    return files


def read_bytes(url: str, most: int) -> bytes:
    """Reads a whole file. FaceVCError if it has more than `most` bytes."""
    _, size, _ = describe_file(url)
    if size > most:
        raise FaceVCError(f"{url}: expected at most {most:,} bytes, found {size:,}. Split the file.")
    return b"".join(iterate_pieces(url, 0, size))


def iterate_pieces(url: str, offset: int, size: int) -> Iterator[bytes]:
    """Reads a part of a file, a few megabytes at a time. FaceVCError if the file ends before."""
    system = open_file_system(url)
    for start in range(offset, offset + size, PIECE_BYTES):
        stop = min(start + PIECE_BYTES, offset + size)
        with report_url_errors(url):
            piece = system.cat_file(url, start=start, end=stop)
        if len(piece) != stop - start:
            raise FaceVCError(f"{url}: expected {size:,} bytes from {offset:,}, found fewer. Copy the file again.")
        yield piece


def open_seekable(url: str) -> IO[bytes]:
    """Opens a file of which small parts are read here and there. FaceVCError also from its methods."""
    with report_url_errors(url):
        return cast(IO[bytes], _Seekable(url, open_file_system(url).open(url, "rb", block_size=HEADER_BLOCK_BYTES)))


class _Seekable(io.RawIOBase):
    """A file behind a URL. Its errors name the URL, so that a lost connection is not taken for a damaged file."""

    def __init__(self, url: str, file: Any):
        self._url, self._file = url, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with report_url_errors(self._url):
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        with report_url_errors(self._url):
            return int(self._file.seek(place, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()
