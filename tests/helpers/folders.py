"""Files in folders, and a name that may be written in two ways."""

import unicodedata
from pathlib import Path

NFC, NFD = (unicodedata.normalize(form, "zoé") for form in ("NFC", "NFD"))


def touch(*paths: Path) -> None:
    """Makes empty files, and the folders that they lie in."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def list_names(folder: Path) -> list[str]:
    """Names of the files at any depth, sorted."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
