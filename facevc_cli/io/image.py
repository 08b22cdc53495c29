"""Image files: whatever Pillow opens in, upright RGB out."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from facevc_cli.errors import FaceVCError
from facevc_cli.io.atomic import atomic_path

LARGEST_PIXELS = 150_000_000  # 450 MB decoded; a small file that claims more is a decompression bomb
# what Pillow's decoders raise on damaged data
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, KeyError, struct.error, zlib.error)


def load_image(path: Path | str, most_pixels: int = LARGEST_PIXELS) -> np.ndarray:
    """A file's picture as (H, W, 3) uint8 RGB, turned upright by its EXIF orientation, transparency over white, first frame.

    Grey, palette, CMYK and 16-bit pictures are converted. FaceVCError for a missing, empty, broken or truncated file, one that
    is no picture, and one of more than `most_pixels`.
    """
    path = Path(path)
    if not path.is_file():
        raise FaceVCError(f"{path}: no such image file. Check the path.")
    if path.stat().st_size == 0:
        raise FaceVCError(f"{path}: the file is empty (zero bytes). Copy or save it again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own bomb limit is below ours; EXIF oddities do not matter here
            with Image.open(path) as image:
                if image.width * image.height > most_pixels:
                    raise _bomb(path, f"{image.width} x {image.height}", most_pixels)
                image.load()
                return np.array(_rgb(_upright(image)))
    except Image.DecompressionBombError as error:
        raise _bomb(path, "far more", most_pixels) from error
    except UnidentifiedImageError as error:
        raise FaceVCError(f"{path}: expected an image (JPEG, PNG, WebP, TIFF, ...), found something else. Check the file.") from error
    except BROKEN as error:
        raise FaceVCError(f"{path}: the image is damaged or cut short ({error}). Copy or save it again.") from error


def save_image(path: Path | str, image: np.ndarray) -> None:
    """(H, W, 3) uint8 RGB -> a file whose suffix says the format, atomically."""
    path = Path(path)
    if path.suffix.lower() not in Image.registered_extensions():
        raise FaceVCError(f"{path}: no image format ends in {path.suffix!r}. Use .png or .jpg.")
    with atomic_path(path, durable=False) as temporary:
        Image.fromarray(image).save(temporary)


def _bomb(path: Path, found: str, most_pixels: int) -> FaceVCError:
    return FaceVCError(f"{path}: expected at most {most_pixels // 10**6} million pixels, found {found}. Scale the picture down first.")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except BROKEN:  # a damaged EXIF block says nothing; the picture itself is whole
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return image.convert("RGB")


def _eight_bits(grey: np.ndarray) -> np.ndarray:
    """(H, W) integers of 16 bits, or floats -> (H, W) uint8; a picture that holds no value above 255 (or 1) is taken as 8-bit (or 0..1)."""
    values = np.nan_to_num(grey.astype(np.float64))
    if grey.dtype.kind == "f":
        top = 1.0 if values.max() <= 1.0 else 255.0 if values.max() <= 255.0 else 65535.0
    else:
        top = 65535.0 if grey.dtype.itemsize == 2 or values.max() > 255 else 255.0
    return np.clip(np.round(values * (255.0 / top)), 0, 255).astype(np.uint8)
