"""What people hear and see in a listening test of imagined faces."""

import os
from collections.abc import Sequence
from pathlib import Path

from facevc_cli.conversion.voice_spec import is_card
from facevc_cli.evaluation.portraits.table import DrawnPortrait
from facevc_cli.evaluation.tables import read_conversions
from facevc_cli.manifest.contract import MANIFEST
from facevc_cli.manifest.conversion import Conversion

SYSTEM = "imagined"


def list_heard(portraits: Sequence[DrawnPortrait], folder: Path) -> tuple[list[Conversion], list[str]]:
    """Returns what `listening_study` takes: each face with the sound of its voice; and notes on what is left out.

    A voice card has no sound. If the folder has a manifest.csv, as that of `sample` has, its first line is heard.
    """
    spoken: dict[str, str] = {}
    if any(is_card(one.voice) for one in portraits) and (folder / MANIFEST).is_file():
        for conversion in read_conversions(folder / MANIFEST).conversions:
            spoken.setdefault(os.path.realpath(conversion.face), conversion.converted)
    heard, silent = [], 0
    for one in portraits:
        sound = spoken.get(one.owner, "") if is_card(one.voice) else str(one.voice)
        silent += not sound
        if sound:
            # each number of a sample is a ring of its own, in which a face meets that of another voice
            heard.append(Conversion(SYSTEM, sound, f"sample {one.sample}", _name(one, folder), one.name))
    notes = [f"listening test: faces of voice cards without a line in {MANIFEST} are left out: {silent}"]
    return heard, notes if silent else []


def _name(portrait: DrawnPortrait, folder: Path) -> str:
    """Returns the voice's path from the table, which another computer has, too."""
    return Path(os.path.relpath(portrait.voice, folder)).as_posix()
