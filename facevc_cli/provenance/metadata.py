"""Writes and reads the description in a converted file: a comment in WAV, FLAC and Ogg, and a sidecar on request.

The comment is a sentence for people, followed by JSON:

    synthetic speech: voice converted by facevc 0.1.0 on 2026-11-03 from a.wav to the face b.png {"synthetic": true,
    "model": ...}

The sentence names the inputs, and the JSON has the beginning of their sha256. All of it is a claim: anyone may write or
remove it.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from facevc_cli import __version__
from facevc_cli.files.atomic import write_text
from facevc_cli.files.hashes import hash_file

SHORT = 16  # hexadecimal digits kept of a sha256
NAMED = 8  # most faces or voices that are listed one by one; more get one common hash
OF_TEXTS = ("text_sha256", "engine", "engine_voice")  # fields of speech that was made from a text
LONGEST_NAME = 100
LONGEST_COMMENT = 8192  # a longer one is not ours
_COMMENT = re.compile(r"synthetic speech: [^{]*(\{.*\})\s*", re.DOTALL)


@dataclass(frozen=True)
class Provenance:
    """The description of a conversion. Hashes are the first 16 hexadecimal digits of the sha256 of files' bytes."""

    key: str  # hash of model, vocoder, settings and inputs, which a rerun compares
    model: str
    model_sha256: str
    source_sha256: str
    face_sha256: tuple[str, ...] = ()
    voice_sha256: tuple[str, ...] = ()
    watermark: bool = True
    date: str = ""
    text_sha256: str = ""  # these three only if the speech was made from a text
    engine: str = ""
    engine_voice: str = ""
    version: str = __version__
    tool: str = "facevc"
    synthetic: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Returns the content of the JSON, without the kinds of target and source that are not used."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value != () and (value or name not in OF_TEXTS)
        }


def describe_provenance(
    key: str,
    model: str,
    model_sha256: str,
    source: Path | str,
    targets: Sequence[Path | str],
    by: str = "face",
    *,
    watermark: bool = True,
    about: Mapping[str, str] = MappingProxyType({}),
) -> Provenance:
    """Describes one conversion made today. FaceVCError if a file cannot be read.

    source: a file, or a sha256. targets: the same for the faces or voices, as `by` says. about: the source's fields of
    OF_TEXTS, if it was made from a text.
    """
    hashes = tuple(_hash_short(target) for target in targets)
    if len(hashes) > NAMED:
        hashes = (hashlib.sha256(",".join(sorted(hashes)).encode()).hexdigest()[:SHORT],)
    faces, voices = ((), hashes) if by == "voice" else (hashes, ())
    today = date.today().isoformat()
    return Provenance(
        key,
        model,
        model_sha256[:SHORT],
        _hash_short(source),
        faces,
        voices,
        watermark,
        today,
        about.get("text_sha256", ""),
        about.get("engine", ""),
        about.get("engine_voice", ""),
    )


def format_comment(made: Provenance, source: str, target: str) -> str:
    """Returns the comment of a converted file. target: for example "face b.png" or "mean of 4 faces"."""
    what, how = ("made from text", "in the voice of") if made.text_sha256 else ("voice converted", "to")
    said = (
        f"synthetic speech: {what} by {made.tool} {made.version} on {made.date} from "
        f"{make_plain(source)} {how} the {make_plain(target)}"
    )
    return f"{said} {json.dumps(made.as_dict())}"


def parse_comment(text: str) -> Provenance | None:
    """Parses a comment.

    None if it is not one of ours. The fields have the right types and no control characters, whatever the comment
    holds.
    """
    found = _COMMENT.fullmatch(text) if len(text) <= LONGEST_COMMENT else None
    if not found:
        return None
    try:
        said = json.loads(found[1])
    except (ValueError, RecursionError):
        return None
    texts: dict[str, Any] = {
        name: said.get(name) for name in ("key", "model", "model_sha256", "source_sha256", "date", "version", "tool")
    }
    texts |= {name: said.get(name, "") for name in OF_TEXTS}
    lists: dict[str, Any] = {name: said.get(name, []) for name in ("face_sha256", "voice_sha256")}
    watermark, items = (
        said.get("watermark"),
        [item for items in lists.values() if isinstance(items, list) for item in items],
    )
    if (
        said.get("synthetic") is not True
        or not isinstance(watermark, bool)
        or not all(isinstance(v, list) for v in lists.values())
    ):
        return None
    if not all(isinstance(item, str) for item in [*texts.values(), *items]):
        return None
    fields: dict[str, Any] = {name: make_plain(value) for name, value in texts.items()}
    fields |= {name: tuple(map(make_plain, listed)) for name, listed in lists.items()}
    return Provenance(**fields, watermark=watermark)


def read_provenance(path: Path | str) -> Provenance | None:
    """Reads the metadata of a sound file.

    None if they are not ours, or if neither soundfile nor PyAV opens the file.
    """
    text = _read_comment(Path(path))
    return parse_comment(text) if text else None


def read_key(path: Path | str) -> str | None:
    """Reads the key in a converted file's comment. None if it is not one of ours."""
    made = read_provenance(path)
    return made.key if made else None


def name_sidecar(path: Path) -> Path:
    """Returns the path of a sound file's sidecar: `name.wav.json` beside it."""
    return path.with_name(f"{path.name}.json")


def write_sidecar(path: Path, made: Provenance) -> None:
    """Writes the same facts beside a finished file, with its name and full sha256.

    FaceVCError if it cannot be written.
    """
    write_text(
        name_sidecar(path),
        json.dumps({"file": path.name, "sha256": hash_file(path), **made.as_dict()}, indent=1) + "\n",
    )


def _read_comment(path: Path) -> str:
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            if file.comment:
                return str(file.comment)
    except (soundfile.LibsndfileError, OSError, TypeError, UnicodeDecodeError):  # TypeError: headerless formats
        pass
    return _read_container_comment(path)


def _read_container_comment(path: Path) -> str:
    """Reads a comment that a converter has copied into MP3, M4A or a video."""
    import av

    try:
        with av.open(str(path), metadata_errors="replace") as container:
            tags = [container.metadata, *(stream.metadata for stream in container.streams)]
    except (av.error.FFmpegError, OSError, ValueError):
        return ""
    return next((str(value) for found in tags for name, value in found.items() if name.lower() == "comment"), "")


def _hash_short(given: Path | str) -> str:
    if isinstance(given, str):
        return given[:SHORT]
    try:
        about = given.stat()
    except OSError:
        return hash_file(given)[:SHORT]  # raises an error that says the problem
    return _hash_known(given, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4096)  # one face serves many conversions
def _hash_known(path: Path, mtime_ns: int, size: int) -> str:
    return hash_file(path)[:SHORT]


def make_plain(text: str) -> str:
    """Makes a name printable, short and free of braces, because names come from anywhere and appear in terminals and
    beside JSON.
    """
    cut = text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3]}..."
    return "".join(c if c.isprintable() else "?" for c in cut.replace("{", "(").replace("}", ")"))
