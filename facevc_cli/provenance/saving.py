"""Writes a conversion with its description."""

from pathlib import Path

import numpy as np

from facevc_cli.files.audio import save_audio
from facevc_cli.provenance.metadata import Provenance, format_comment, write_sidecar
from facevc_cli.provenance.watermark import add_watermark


def save_converted(
    path: Path, wav: np.ndarray, rate: int, made: Provenance, source: str, target: str, *, sidecar: bool = False
) -> None:
    """Writes a conversion (n,) with its watermark (unless `made` says none), its comment and, if asked, its sidecar.

    FaceVCError if that fails.

    source, target: names for people, such as "a.wav" and "face b.png".
    """
    save_audio(path, add_watermark(wav, rate) if made.watermark else wav, rate, format_comment(made, source, target))
    if sidecar:
        write_sidecar(path, made)
