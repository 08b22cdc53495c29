"""Opens a video or sound file with FFmpeg (PyAV). FFmpeg reads this file and no other."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from typing import Any

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.kinds import name_kind

# Containers of sound and video. Left out: playlists (hls, concat, dash), which name other files; pictures, subtitles,
# devices, networks.
FORMATS = (
    "mov,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,asf,asf_o,flv,live_flv,rm,mxf,gxf,dv,ivf,nut,nuv,wtv,"
    "ogg,flac,wav,w64,aiff,au,caf,mp3,aac,ac3,eac3,dts,dtshd,truehd,mlp,loas,latm,amr,amrnb,amrwb,ape,wv,tta,tak,mpc,"
    "mpc8,gsm,voc,sox,iff,ircam,nistsphere,dsf,qcp,shn,oma"
)
BUFFER_BYTES = 1 << 16


class _PatchedFile(RawIOBase):
    """A file with some of its bytes replaced on reading. Nothing is written."""

    def __init__(self, path: Path, patches: Mapping[int, bytes]):
        self._file, self._patches = path.open("rb", buffering=0), patches

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        start = self._file.tell()
        data = bytearray(self._file.read(size))
        for at, patch in self._patches.items():
            first, last = max(at, start), min(at + len(patch), start + len(data))
            if first < last:
                data[first - start : last - start] = patch[first - at : last - at]
        return bytes(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def check_file(path: Path, what: str = "file") -> None:
    """Raises FaceVCError if the file is missing or empty, or cannot be read."""
    if not path.is_file():
        raise FaceVCError(f"{path}: no such {what}. Check the path.")
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        raise FaceVCError(f"{path}: the file cannot be read ({error.strerror}). Check its permissions.") from error
    if is_empty:
        raise FaceVCError(f"{path}: the file is empty (zero bytes). Copy or record it again.")


@contextmanager
def open_container(path: Path, patches: Mapping[int, bytes] | None = None) -> Iterator[Any]:
    """Opens the container of a file, with `patches` in place of some of its bytes.

    FaceVCError if FFmpeg cannot read it.

    FFmpeg gets bytes and no path. So it cannot mistake a name for an address (`12:30.mp4`), and cannot open other
    files.
    """
    import av
    from av.error import FFmpegError

    check_file(path)
    try:
        with (
            _PatchedFile(path, patches or {}) as file,
            av.open(
                file,
                metadata_errors="ignore",
                options={"format_whitelist": FORMATS, "protocol_whitelist": "none"},
                io_open=_refuse,
                buffer_size=BUFFER_BYTES,
            ) as container,
        ):
            yield container
    except (FFmpegError, OSError) as error:
        if name_kind(path) == "a picture":
            raise FaceVCError(f"{path}: expected a video or sound file, found a picture. Check the file.") from error
        reason = error.strerror or error
        raise FaceVCError(
            f"{path}: expected a video or sound file that FFmpeg can read, found one it cannot ({reason})."
        ) from error


def decode_frames(container: Any, stream: Any) -> Iterator[Any]:
    """Yields the stream's frames. Damaged packets are skipped."""
    from av.error import InvalidDataError

    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except InvalidDataError:
            continue  # one damaged packet; whether any frame comes is for the caller to see
        yield from frames


def _refuse(url: str, flags: int, options: Any) -> Any:
    raise PermissionError(1, "it names another file, which is not opened", url)
