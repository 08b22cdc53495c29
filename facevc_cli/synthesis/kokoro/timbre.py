"""Chooses Kokoro's timbre and prosody for a voice that is known by its d-vector and its pitch.

recipes/speak learned the map from blends of Kokoro's own voices. The prosody is that of a voice with a near pitch,
because F0 follows the prosody alone.
"""

from functools import cache
from importlib.resources import files

import numpy as np

from facevc_cli.synthesis.kokoro.model import ASSETS, TIMBRE_DIM
from facevc_cli.voices.sketch import VoiceSketch

# Neutral voices by language, with the median F0 of their speech in Hz.
PROSODIES = {
    "en-us": {"af_heart": 196.0, "am_michael": 118.0},
    "en-gb": {"bf_emma": 197.0, "bm_george": 110.0},
    "es": {"ef_dora": 200.0, "em_alex": 120.0},
}


def choose_prosody(language: str, sketch: VoiceSketch) -> str:
    """Returns the neutral voice of a language whose pitch is nearest to the voice's, in semitones."""
    voices = PROSODIES[language]
    return min(voices, key=lambda name: abs(float(np.log(voices[name] / sketch.f0_hz))))


def fit_timbre(style: np.ndarray, sketch: VoiceSketch) -> np.ndarray:
    """Returns a style (256,) with the timbre that is nearest to a voice. Without a d-vector it stays as it is."""
    if sketch.dvector is None:
        return style
    middle, weight, usual = load_map()
    dvector = sketch.dvector / max(1e-9, float(np.linalg.norm(sketch.dvector)))
    return np.concatenate([(dvector - middle) @ weight + usual, style[TIMBRE_DIM:]]).astype(np.float32)


@cache
def load_map() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loads the mean d-vector (256,), the weight (256, 128) and the mean timbre (128,)."""
    from safetensors.numpy import load

    tensors = load((files("facevc_cli") / ASSETS / "timbre_map.safetensors").read_bytes())
    middle, weight, usual = (tensors[name].astype(np.float32) for name in ("middle", "weight", "usual"))
    return middle, weight, usual
