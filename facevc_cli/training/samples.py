"""Samples of what a model makes, which a run keeps beside its losses: sheets of pictures, and sounds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class Samples:
    pictures: Mapping[str, np.ndarray]  # name -> (H, W, 3) uint8
    sounds: Mapping[str, np.ndarray] = field(default_factory=dict)  # name -> (n,) from -1 to 1
    rate: int = 24_000  # Hz, of the sounds


@runtime_checkable
class DrawsSamples(Protocol):
    """A task that draws samples."""

    samples_every: int  # steps between two; 0: none

    def draw_samples(self) -> Samples:
        """Draws samples with the model's present weights. It must not change what the training draws later."""


def write_samples(folder: Path, step: int, samples: Samples) -> None:
    """Writes `samples/step-NNNNNN/` below a run's folder: PNG and WAV files."""
    from facevc_cli.files.audio import save_audio  # a training without samples needs no audio or vision library
    from facevc_cli.files.image import save_image

    place = folder / "samples" / f"step-{step:06d}"
    place.mkdir(parents=True, exist_ok=True)
    for name, picture in samples.pictures.items():
        save_image(place / f"{name}.png", picture)
    for name, wav in samples.sounds.items():
        save_audio(place / f"{name}.wav", wav, samples.rate)
