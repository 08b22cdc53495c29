"""Changes a picture as another photograph of one person differs: tilt, light, grey, sharpness, the box."""

import io

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


def augment(image: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """image: (H, W, 3) uint8, box: (4,) left, top, right, bottom in px -> a changed image, the box in it."""
    picture = Image.fromarray(image)
    centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    if rng.random() < 0.5:
        picture, centre = ImageOps.mirror(picture), np.array([picture.width - centre[0], centre[1]])
    picture = picture.rotate(rng.uniform(-20, 20), Image.Resampling.BILINEAR, center=tuple(centre.tolist()))
    for enhance, most in ((ImageEnhance.Brightness, 0.5), (ImageEnhance.Contrast, 0.4), (ImageEnhance.Color, 0.6)):
        picture = enhance(picture).enhance(float(np.exp(rng.uniform(-most, most))))
    if rng.random() < 0.2:
        picture = picture.convert("L").convert("RGB")
    if rng.random() < 0.4:  # the face has 30 to 80 px
        scale = min(1.0, rng.uniform(30, 80) / float(size.max()))
        small = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
        picture = small.resize(picture.size, Image.Resampling.BICUBIC)
    if rng.random() < 0.3:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=int(rng.integers(15, 60)))
        picture = Image.open(stream, formats=["JPEG"]).convert("RGB")
    centre = centre + size * rng.uniform(-0.06, 0.06, 2)
    size = size * np.exp(rng.uniform(-0.12, 0.12))
    return np.array(picture), np.concatenate([centre - size / 2, centre + size / 2]).astype(np.float32)
