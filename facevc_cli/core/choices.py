"""Settings with few values: which they are, and the words of an error that names them."""

import difflib
from collections.abc import Iterable
from typing import Literal

MelName = Literal["fvmvc", "hifigan"]  # the keys of dsp.mel.MEL_DEFINITIONS
Precision = Literal["no", "bf16"]
OnMany = Literal["largest", "skip"]  # several faces in an image
Detector = Literal["dlib", "face-alignment", "mtcnn"]


def name_allowed(value: object, allowed: Iterable[str]) -> str:
    """'expected one of a, b, c.', and which of them is near the value."""
    names = list(allowed)
    return f"expected one of {', '.join(names)}.{name_nearest(value, names)}"


def name_nearest(value: object, known: Iterable[str]) -> str:
    """' Did you mean 'a'?', or nothing if no known name is near."""
    near = difflib.get_close_matches(str(value)[:80], list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
