"""The styles of Kokoro's voices, which are part of facevc.

recipes/speak makes them. Kokoro has one style for each number of symbols, from 0 to 509. They change quickly for short
texts and hardly at all for long ones. So facevc keeps 14 of them, and computes the others in between.
"""

from functools import cache
from importlib.resources import files

import numpy as np

from facevc_cli.core.choices import name_allowed
from facevc_cli.core.errors import UsageError
from facevc_cli.synthesis.kokoro.model import ASSETS

KNOTS = (0, 1, 2, 4, 7, 12, 20, 32, 50, 80, 130, 210, 340, 509)  # numbers of symbols whose styles are kept


@cache
def load_styles() -> dict[str, np.ndarray]:
    """Loads the styles of every voice: name -> (14, 256) float32."""
    from safetensors.numpy import load

    content = (files("facevc_cli") / ASSETS / "voices.safetensors").read_bytes()
    return {name: np.asarray(style, np.float32) for name, style in sorted(load(content).items())}


def choose_style(voice: str, tokens: int) -> np.ndarray:
    """Returns a voice's style (256,) for a number of symbols. UsageError if there is no such voice."""
    styles = load_styles()
    if voice not in styles:
        raise UsageError(f"--engine-voice {voice}: {name_allowed(voice, styles)}")
    return interpolate(styles[voice], tokens)


def interpolate(kept: np.ndarray, tokens: int) -> np.ndarray:
    """(14, 256) -> (256,): the style for a number of symbols."""
    place = float(np.interp(tokens, KNOTS, range(len(KNOTS))))
    low = min(int(place), len(KNOTS) - 2)
    return kept[low] + (kept[low + 1] - kept[low]) * np.float32(place - low)
