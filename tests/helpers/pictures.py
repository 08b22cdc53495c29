"""Pictures: the toy recipe's drawn faces, and pictures without a face."""

from pathlib import Path

import numpy as np
from helpers.repository import RECIPES, load_script
from PIL import Image

from facevc_cli.files.image import save_image

draw_face = load_script(RECIPES / "toy" / "local" / "draw_face.py").draw_face


def noise(seed: int, size: int = 256) -> np.ndarray:
    """A picture without a face -> (size, size, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((size, size), Image.Resampling.BILINEAR))


def draw_pattern(size: int) -> np.ndarray:
    """Waves of three colours -> (size, size, 3) uint8, the same on every machine."""
    y, x = np.mgrid[:size, :size] * (160 // size)
    return np.stack([(3 * x + y) % 256, (x + 2 * y) % 256, (x * y) // 101 % 256], -1).astype(np.uint8)


def save_grey(path: Path, grey: int) -> Path:
    """A picture of one grey, 40 x 40, which a FakeAnalyser takes for a face if it is not black."""
    save_image(path, np.full((40, 40, 3), grey, np.uint8))
    return path
