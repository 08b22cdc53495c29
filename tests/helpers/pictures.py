"""Pictures: the toy recipe's drawn faces, and pictures without a face."""

import numpy as np
from helpers.repository import RECIPES, load_script
from PIL import Image

draw_face = load_script(RECIPES / "toy" / "local" / "draw_face.py").draw_face


def noise(seed: int, size: int = 256) -> np.ndarray:
    """A picture without a face -> (size, size, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((size, size), Image.Resampling.BILINEAR))
