"""Pictures: the toy recipe's drawn faces, and pictures without a face."""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

_path = Path(__file__).parents[2] / "recipes" / "toy" / "local" / "draw_face.py"
_spec = importlib.util.spec_from_file_location("draw_face", _path)
assert _spec and _spec.loader
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
draw_face = _module.draw_face


def noise(seed: int, size: int = 256) -> np.ndarray:
    """A picture without a face -> (size, size, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((size, size), Image.Resampling.BILINEAR))
