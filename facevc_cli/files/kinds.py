"""What a file is by its first bytes: for messages, when a picture is given for a recording or the other way round."""

from contextlib import suppress
from pathlib import Path

from facevc_cli.files.image_headers import is_heif, is_jpeg, read_start

PICTURE_STARTS = (b"\x89PNG\r\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")
MEDIA_STARTS = (b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\x1aE\xdf\xa3", b"FORM", b".snd")


def name_kind(path: Path) -> str:
    """Returns "a picture", "a sound or video file", or "" if it is neither or cannot be read."""
    start = b""
    with suppress(OSError):
        start = read_start(path)
    inner = start[8:12]  # of RIFF and of ISO files
    if start.startswith(PICTURE_STARTS) or is_jpeg(start) or is_heif(start) or inner in (b"WEBP", b"avif"):
        return "a picture"
    if start.startswith(MEDIA_STARTS) or inner in (b"WAVE", b"AVI ") or start[4:8] == b"ftyp":
        return "a sound or video file"
    return ""
