"""Marks pictures that facevc made: a sentence for people and JSON, in PNG's text and in EXIF.

    synthetic picture: restyled by facevc 0.1.0 on 2026-11-03, from a.jpg towards a woman of 50 {"synthetic": true, ...}

As with sound, all of it is a claim: anyone may write or remove it. Many web sites remove it.
"""

import io
import json
import re
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from facevc_cli import __version__
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.files.atomic import atomic_path
from facevc_cli.files.image import BROKEN
from facevc_cli.files.image_headers import is_costly_exif
from facevc_cli.provenance.metadata import LONGEST_COMMENT, SHORT, make_plain

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
QUALITY = 95
TITLE, SOFTWARE = 0x010E, 0x0131  # EXIF: ImageDescription, Software
_COMMENT = re.compile(r"synthetic picture: [^{]*(\{.*\})\s*", re.DOTALL)
_TEXTS = ("made", "key", "model", "model_sha256", "photo_sha256", "settings", "date", "version", "tool")
_LISTS = ("face_sha256", "voice_sha256")


@dataclass(frozen=True, kw_only=True)
class PictureRecord:
    """How a picture was made. Hashes are the first 16 hexadecimal digits of the sha256 of files' bytes.

    made: "imagined", "restyled" or "sampled". key: hash of model, settings and inputs, which a rerun compares. model:
    what made it, such as "composites". settings: the options that decide the picture, as text.
    """

    made: str
    key: str
    model: str
    model_sha256: str
    photo_sha256: str = ""
    face_sha256: tuple[str, ...] = ()
    voice_sha256: tuple[str, ...] = ()
    settings: str = ""
    date: str = field(default_factory=lambda: date.today().isoformat())
    version: str = __version__
    tool: str = "facevc"
    synthetic: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Returns the content of the JSON, without what is not used."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value not in ((), "")
        }


def format_picture_mark(record: PictureRecord, said: str) -> str:
    """Returns the text of a mark. said: what it shows, such as "a face that fits a.wav, not the speaker's"."""
    sentence = f"{record.made} by {record.tool} {record.version} on {record.date}, {make_plain(said)}"
    return f"synthetic picture: {sentence} {json.dumps(record.as_dict())}"


def encode_marked_picture(
    picture: np.ndarray, record: PictureRecord, said: str, *, suffix: str = ".png", icc_profile: bytes | None = None
) -> bytes:
    """(H, W, 3) uint8 RGB -> the bytes of a marked PNG, JPEG or WebP file. UsageError for another suffix."""
    kind = find_format(suffix)
    text = format_picture_mark(record, said)
    exif = Image.Exif()
    exif[TITLE], exif[SOFTWARE] = text.encode("ascii", "replace").decode(), f"{record.tool} {record.version}"
    options: dict[str, Any] = {"exif": exif, "icc_profile": icc_profile}
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("Comment", text)
        chunks.add_text("Software", f"{record.tool} {record.version}")
        options |= {"pnginfo": chunks}
    else:
        options |= {"quality": QUALITY} | ({"subsampling": 0} if kind == "JPEG" else {"method": 4})
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, **options)
    return file.getvalue()


def save_marked_picture(
    path: Path, picture: np.ndarray, record: PictureRecord, said: str, *, icc_profile: bytes | None = None
) -> None:
    """Writes a marked picture, atomically. The suffix gives the format."""
    content = encode_marked_picture(picture, record, said, suffix=path.suffix, icc_profile=icc_profile)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def find_format(suffix: str) -> str:
    """Returns Pillow's name of the format. UsageError if facevc does not write it."""
    if suffix.lower() not in FORMATS:
        raise UsageError(f"a picture ends in {', '.join(FORMATS)}, found {suffix!r}. Use .png or .jpg.")
    return FORMATS[suffix.lower()]


def is_picture_name(output: Path) -> bool:
    """Whether a command's output names one picture and not a folder."""
    return output.suffix.lower() in FORMATS and not output.is_dir()


def find_picture_folder(output: Path) -> Path:
    """Returns the folder of a command's pictures: its output, or the parent of the one picture that it names."""
    return output.parent if is_picture_name(output) else output


def read_picture_mark(path: Path | str) -> PictureRecord | None:
    """Reads the mark of a picture. None if it has none of ours, or cannot be opened."""
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
            texts = [image.info.get("Comment", "")]
            if not is_costly_exif(image.info.get("exif") or b""):
                texts.append(image.getexif().get(TITLE, ""))
    except (FaceVCError, Image.DecompressionBombError, *BROKEN):
        return None
    found = (parse_picture_mark(text) for text in texts if isinstance(text, str))
    return next((record for record in found if record is not None), None)


def parse_picture_mark(text: str) -> PictureRecord | None:
    """Parses the text of a mark. None if it is not one of ours. The fields have the right types, and no control
    characters, whatever the text holds.
    """
    found = _COMMENT.fullmatch(text) if len(text) <= LONGEST_COMMENT else None
    if not found:
        return None
    try:
        said = json.loads(found[1])
    except (ValueError, RecursionError):
        return None
    texts = {name: said.get(name, "") for name in _TEXTS}
    lists = {name: said.get(name, []) for name in _LISTS}
    if said.get("synthetic") is not True or not all(isinstance(v, list) for v in lists.values()):
        return None
    if not all(isinstance(v, str) for v in [*texts.values(), *(item for v in lists.values() for item in v)]):
        return None
    fields: dict[str, Any] = {name: make_plain(value) for name, value in texts.items()}
    fields |= {name: tuple(map(make_plain, v)) for name, v in lists.items()}
    return PictureRecord(**fields)


def shorten_hash(sha256: str) -> str:
    """Returns the part of a sha256 that a record keeps."""
    return sha256[:SHORT]
