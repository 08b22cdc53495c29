"""facevc: face-driven zero-shot voice conversion.

The Python interface is three names, loaded when first used. `load_model` returns the torch module of a checkpoint.
`Converter` turns a recording and a face (or a voice) into converted speech. `Speaker` speaks a text in such a voice.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Converter", "FaceVCError", "Speaker", "__version__", "load_model"]

if TYPE_CHECKING:
    from facevc_cli.conversion.converter import Converter
    from facevc_cli.core.errors import FaceVCError
    from facevc_cli.families.checkpoint import load_model
    from facevc_cli.speaking.speaker import Speaker

_HOMES = {
    "Converter": "facevc_cli.conversion.converter",
    "Speaker": "facevc_cli.speaking.speaker",
    "load_model": "facevc_cli.families.checkpoint",
    "FaceVCError": "facevc_cli.core.errors",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'facevc_cli' has no attribute {name!r}")
