"""Settings with few values, and the words of an error that names the allowed ones."""

import difflib
import re
from collections.abc import Iterable
from typing import Literal

from facevc_cli.core.errors import UsageError

MelName = Literal["fvmvc", "hifigan", "xfavot"]  # the keys of dsp.mel.MEL_DEFINITIONS
Precision = Literal["no", "bf16"]
OnMany = Literal["largest", "skip"]  # several faces in an image
How = Literal["convert", "timbre", "both"]  # what makes the voice of a spoken text
DetectorName = Literal["dlib", "face-alignment", "mtcnn"]


def check_device(name: str) -> str:
    """Return the name of a device unchanged. UsageError if torch has no such device on any machine."""
    if not re.fullmatch(r"auto|(cpu|cuda|mps)(:\d+)?", name):
        raise UsageError(f"--device {name!r}: expected auto, cpu, cuda, cuda:N or mps.")
    return name


def name_allowed(value: object, allowed: Iterable[str]) -> str:
    """'expected one of a, b, c.', then the allowed name that is most like the value."""
    names = list(allowed)
    return f"expected one of {', '.join(names)}.{name_nearest(value, names)}"


def name_nearest(value: object, known: Iterable[str]) -> str:
    """' Did you mean 'a'?', or an empty text if no known name is similar."""
    near = difflib.get_close_matches(str(value)[:80], list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
