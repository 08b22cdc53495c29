"""Kokoro-82M, from the packages that stage 1 fetched: speak phonemes in a style."""

import sys
from pathlib import Path

import numpy as np

from facevc_cli.synthesis.kokoro.model import TIMBRE_DIM, KokoroModel, find_tokens


def add_packages(folder: Path) -> None:
    """Add the packages of stage 1 to the import path, after installed ones."""
    sys.path.append(str(folder / "python"))


def read_voices(folder: Path) -> dict[str, np.ndarray]:
    """Read the styles of every voice, by number of tokens: name -> (510, 256)."""
    files = sorted((folder / "voices").glob("*.bin"))
    if not files:
        sys.exit(f"{folder / 'voices'}: expected the voices of kokoro-js (*.bin), found none. Run stage 1.")
    return {path.stem: np.fromfile(path, "<f4").reshape(-1, 2 * TIMBRE_DIM) for path in files}


def blend_style(
    voices: dict[str, np.ndarray], timbre: dict[str, float], prosody: dict[str, float], tokens: int
) -> np.ndarray:
    """Make a style (256,): a weighted sum of voices is its timbre, another is its prosody."""
    colour = sum(weight * voices[name][tokens, :TIMBRE_DIM] for name, weight in timbre.items())
    manner = sum(weight * voices[name][tokens, TIMBRE_DIM:] for name, weight in prosody.items())
    return np.concatenate([colour, manner]).astype(np.float32)


class Kokoro:
    """Speaks in one thread. FOLDER is what stage 1 made: kokoro.onnx, voices/, python/."""

    def __init__(self, folder: Path):
        add_packages(folder)
        self._model = KokoroModel(folder / "kokoro.onnx")
        self.voices = read_voices(folder)

    def count_tokens(self, phonemes: str) -> int:
        return len(find_tokens(phonemes))

    def speak(self, phonemes: str, timbre: dict[str, float], prosody: dict[str, float]) -> np.ndarray:
        """(n,) float32 at 24 kHz. Equal phonemes and prosody give equal lengths, whatever the timbre."""
        return self._model.speak(phonemes, blend_style(self.voices, timbre, prosody, self.count_tokens(phonemes)))
