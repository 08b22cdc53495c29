"""Compares names whichever way their accents are written. macOS writes an accented letter as two characters (NFD), most
other systems as one (NFC).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def normalise_name(text: str) -> str:
    """Returns a name in NFC, the form in which ids, speakers and cells of tables are compared."""
    return unicodedata.normalize("NFC", text)


def index_by_name(pairs: Iterable[tuple[str, T]]) -> dict[str, T]:
    """Builds name -> value.

    A name with blanks around it is also found without them, unless another name is equal to that. Of equal names the
    last counts.
    """
    named = [(normalise_name(name), value) for name, value in pairs]
    return {name.strip(): value for name, value in named} | dict(named)


def look_up(found: Mapping[str, T], name: str) -> T | None:
    """Returns the value of a name in a mapping by normalised names.

    Blanks around the name are ignored if it is not found with them.
    """
    key = normalise_name(name)
    return found.get(key, found.get(key.strip()))


def is_broken_url(path: Path) -> bool:
    """Whether a path was a URL, such as https:/host/a.jpg. A `Path` keeps one of the two slashes."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)) is not None


def find_real_path(path: Path) -> Path:
    """Returns the path of an existing file or folder, whichever way the disk writes its accents.

    Returns `path` if there is none.
    """
    try:
        if path.exists() or str(path).isascii():
            return path
        real = Path(path.anchor)
        for part in path.relative_to(path.anchor).parts:
            if not (real / part).exists():
                wanted = normalise_name(part)
                alike = (entry.name for entry in sorted(real.iterdir()) if normalise_name(entry.name) == wanted)
                part = next(alike, part)
            real /= part
    except (OSError, ValueError):  # a folder that may not be read, a name that no file can have
        return path
    return real if real.exists() else path
