"""Inputs that are not files of their own: behind a URL, in a tar file, or a part of a longer recording.

Each is read when it is needed, into one temporary file that is removed afterwards.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.tables import make_relative_path
from facevc_cli.files.urls import PIECE_BYTES, describe_file, is_url, iterate_pieces

if TYPE_CHECKING:
    from facevc_cli.files.inputs import Input

MOST_BYTES = 8 << 30  # of one input
PART = "part.w64"  # the file of a part, in a temporary folder


@dataclass(frozen=True)
class Part:
    """A part of a recording, in seconds. channels: numbers from 0; empty: all."""

    start_s: float
    duration_s: float
    channels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Packed:
    """Where an input's bytes are.

    where: a path or a URL. name: the file's name, which tells its format. offset: where it begins in a tar file; None
    for a whole file. stamp: changes with the content; empty if nothing proves that it is unchanged.
    """

    where: str
    name: str
    size: int
    offset: int | None = None
    stamp: str = ""
    part: Part | None = None

    def __str__(self) -> str:
        return self.describe(None)

    def describe(self, folder: Path | None) -> str:
        """Names the input: with a path relative to a folder, for the tables in it."""
        where = self.where if folder is None or is_url(self.where) else make_relative_path(folder, self.where)
        member = "" if self.offset is None else f"::{self.name}"
        part = f"#t={self.part.start_s:.3f},{self.part.start_s + self.part.duration_s:.3f}" if self.part else ""
        return f"{where}{member}{part}"

    def fetch(self, folder: Path) -> Path:
        """Returns a file with the input's bytes: the file itself, or a copy in `folder`."""
        if self.offset is None and not is_url(self.where):
            path = Path(self.where)
        else:
            path = folder / f"input{PurePosixPath(self.name).suffix}"
            self._copy(path)
        if self.part is None:
            return path
        from facevc_cli.files.audio_part import cut_part

        return cut_part(path, self.part, folder / PART)

    def _copy(self, path: Path) -> None:
        if self.size > MOST_BYTES:
            raise FaceVCError(f"{self}: expected at most {MOST_BYTES:,} bytes, found {self.size:,}. Split it.")
        try:
            with open(path, "wb") as file:
                for piece in self._read_pieces():
                    file.write(piece)
        except OSError as error:
            raise FaceVCError(
                f"{self}: no temporary copy in {path.parent} ({error.strerror}). Make room, or set TMPDIR to a folder "
                "with room."
            ) from error

    def _read_pieces(self) -> Iterator[bytes]:
        if is_url(self.where):
            yield from iterate_pieces(self.where, self.offset or 0, self.size)
            return
        with open(self.where, "rb") as file:
            file.seek(self.offset or 0)
            for start in range(0, self.size, PIECE_BYTES):
                wanted = min(PIECE_BYTES, self.size - start)
                piece = file.read(wanted)
                if len(piece) != wanted:
                    raise FaceVCError(f"{self}: expected {self.size:,} bytes, found fewer. Copy the tar file again.")
                yield piece


def pack_url(url: str) -> Packed:
    """Describes the file behind a URL. FaceVCError if there is none."""
    kind, size, stamp = describe_file(url)
    if kind != "file":
        raise FaceVCError(f"{url}: expected a file, found a folder. Name a file.")
    return Packed(url, PurePosixPath(url).name, size, stamp=stamp)


@contextmanager
def open_input(source: "Input") -> Iterator["Input"]:
    """Gives an input whose path is a file on this disk during the block. Errors name the place that it came from."""
    if source.packed is None:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="facevc-") as folder:
        try:
            yield replace(source, path=source.packed.fetch(Path(folder)))
        except FaceVCError as error:
            said = str(error)
            if folder not in said:
                raise
            for name in (f"{folder}/{PART}", f"{folder}/input{PurePosixPath(source.packed.name).suffix}", folder):
                said = said.replace(name, str(source.packed))
            raise FaceVCError(said) from error


def hash_input(source: "Input") -> str:
    """Returns the sha256 of an input's bytes. Empty if they cannot be read: reading them later gives the error."""
    try:
        with open_input(source) as local:
            return hash_file(local.path)
    except FaceVCError:
        return ""
