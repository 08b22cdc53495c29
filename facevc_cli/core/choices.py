"""Settings with few values: which they are, and the words of an error that names them."""

import difflib
import re
from collections.abc import Iterable
from typing import Literal

from facevc_cli.core.errors import UsageError

MelName = Literal["fvmvc", "hifigan"]  # the keys of dsp.mel.MEL_DEFINITIONS
Precision = Literal["no", "bf16"]
OnMany = Literal["largest", "skip"]  # several faces in an image
DetectorName = Literal["dlib", "face-alignment", "mtcnn"]


def check_device(name: str) -> str:
    """The name of a device as it is; UsageError for one that torch cannot have on any machine."""
    if not re.fullmatch(r"auto|(cpu|cuda|mps)(:\d+)?", name):
        raise UsageError(f"--device {name!r}: expected auto, cpu, cuda, cuda:N or mps.")
    return name


def name_allowed(value: object, allowed: Iterable[str]) -> str:
    """'expected one of a, b, c.', and which of them is near the value."""
    names = list(allowed)
    return f"expected one of {', '.join(names)}.{name_nearest(value, names)}"


def name_nearest(value: object, known: Iterable[str]) -> str:
    """' Did you mean 'a'?', or nothing if no known name is near."""
    near = difflib.get_close_matches(str(value)[:80], list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
