"""Faces that fit a voice.

from facevc_cli.imagining import Imaginer
portrait = Imaginer().imagine("speech.wav")
"""

from typing import TYPE_CHECKING, Any

__all__ = ["Imaginer", "Portrait"]

if TYPE_CHECKING:
    from facevc_cli.imagining.imaginer import Imaginer, Portrait


def __getattr__(name: str) -> Any:
    if name in __all__:
        from facevc_cli.imagining import imaginer

        return getattr(imaginer, name)
    raise AttributeError(f"module 'facevc_cli.imagining' has no attribute {name!r}")
