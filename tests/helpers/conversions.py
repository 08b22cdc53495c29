"""Conversions of a folder's files, and what they leave."""

from pathlib import Path
from typing import Any

from facevc_cli.files.tables import read_table
from facevc_cli.manifest.contract import MANIFEST
from facevc_cli.stages.convert import ConvertConfig


def config(folder: Path, model: Path, **changes: Any) -> ConvertConfig:
    """Everything in wavs/ with every face in faces/, into out/."""
    given = {"sources": (folder / "wavs",), "faces": (folder / "faces",), "output": folder / "out", "checkpoint": model}
    return ConvertConfig(**{**given, "vocoder": "griffin-lim", "device": "cpu", **changes})


def table(folder: Path) -> dict[str, dict[str, str]]:
    """The manifest's rows, by the converted file."""
    return {row["converted"]: row for row in read_table(folder / MANIFEST)}
