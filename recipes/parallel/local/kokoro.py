"""Kokoro-82M, from the packages that stage 1 fetched: speak phonemes in a style."""

import json
import sys
from pathlib import Path

import numpy as np

RATE_HZ = 24000
TIMBRE_DIM = 128  # a style is 128 numbers of timbre, then 128 of prosody
MOST_TOKENS = 300  # Kokoro accepts 510, but it hurries long sentences
LOUDEST = 0.95


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
    """Make a style (1, 256): a weighted sum of voices is its timbre, another is its prosody."""
    colour = sum(weight * voices[name][tokens, :TIMBRE_DIM] for name, weight in timbre.items())
    manner = sum(weight * voices[name][tokens, TIMBRE_DIM:] for name, weight in prosody.items())
    return np.concatenate([colour, manner])[None].astype(np.float32)


class Kokoro:
    """Speaks in one thread. FOLDER is what stage 1 made: kokoro.onnx, vocab.json, voices/, python/."""

    def __init__(self, folder: Path):
        add_packages(folder)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            folder / "kokoro.onnx", options, providers=["CPUExecutionProvider"]
        )
        self._vocab: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        self.voices = read_voices(folder)

    def count_tokens(self, phonemes: str) -> int:
        return sum(symbol in self._vocab for symbol in phonemes)

    def speak(self, phonemes: str, timbre: dict[str, float], prosody: dict[str, float]) -> np.ndarray:
        """(n,) float32 at 24 kHz. Equal phonemes and prosody give equal lengths, whatever the timbre."""
        tokens = [self._vocab[symbol] for symbol in phonemes if symbol in self._vocab]
        given = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": blend_style(self.voices, timbre, prosody, len(tokens)),
            "speed": np.ones(1, np.float32),
        }
        wav = self._session.run(None, given)[0].reshape(-1)
        return wav * min(1.0, LOUDEST / max(1e-9, float(np.abs(wav).max())))
