"""Damages pictures, to see how much a conversion depends on a good photograph. Arrays in, arrays out, by Pillow.

A condition is one kind with its value, or several joined by + and applied from left to right: `blur=4`,
`blur=2+dark=0.3`.
"""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from facevc_cli.core.errors import FaceVCError, UsageError

GREY = (128, 128, 128)


def parse_conditions(specs: Sequence[str]) -> list[str]:
    """Parses the values of --degrade to each condition once, with numbers in their shortest form: ['blur=4.0,jpeg=10']
    -> ['blur=4', 'jpeg=10'].

    A condition is a safe name of a folder. UsageError if a kind is unknown, or a value is no number or out of range.
    """
    parts = [part.strip() for spec in specs for part in spec.split(",")]
    return list(
        dict.fromkeys(
            "+".join(f"{kind}={repr(value).removesuffix('.0')}" for kind, value in _parse_steps(part)) for part in parts
        )
    )


def degrade(image: np.ndarray, condition: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> the same shape and type, damaged by the condition."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise FaceVCError(
            f"expected an image as (height, width, 3) uint8 RGB, found {image.shape} {image.dtype}. Use "
            "io.image.load_image."
        )
    picture = Image.fromarray(np.ascontiguousarray(image))
    for kind, value in _parse_steps(condition):
        picture = KINDS[kind].apply(picture, value)
    return np.array(picture)


@dataclass(frozen=True)
class Kind:
    apply: Callable[[Image.Image, float], Image.Image]
    accepts: Callable[[float], bool]
    values: str


def _blur(picture: Image.Image, deviation_px: float) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(deviation_px))


def _occlude(picture: Image.Image, share: float) -> Image.Image:
    width_px, height_px = picture.size
    area_px = share * width_px * height_px
    # a square, or as near to one as fits into the picture
    covered_width = min(width_px, max(math.sqrt(area_px), area_px / height_px))
    size = max(1, round(covered_width)), max(1, round(area_px / covered_width))
    covered = picture.copy()
    covered.paste(
        GREY,
        ((width_px - size[0]) // 2, (height_px - size[1]) // 2, (width_px + size[0]) // 2, (height_px + size[1]) // 2),
    )
    return covered


def _compress_jpeg(picture: Image.Image, quality: float) -> Image.Image:
    coded = io.BytesIO()
    picture.save(coded, "JPEG", quality=int(quality))
    coded.seek(0)
    return Image.open(coded, formats=("JPEG",)).convert("RGB")


def _darken(picture: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(factor)


def _rotate(picture: Image.Image, degrees: float) -> Image.Image:
    return picture.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=GREY)


def _downscale(picture: Image.Image, factor: float) -> Image.Image:
    small = max(1, round(picture.width / factor)), max(1, round(picture.height / factor))
    return picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.BILINEAR)


KINDS = {
    "blur": Kind(_blur, lambda v: 0 < v <= 1000, "the Gaussian's deviation in pixels, above 0"),
    "occlude": Kind(
        _occlude, lambda v: 0 < v < 1, "the share of the picture under a grey square in its middle, between 0 and 1"
    ),
    "jpeg": Kind(_compress_jpeg, lambda v: 1 <= v <= 100 and v == int(v), "the quality, a whole number from 1 to 100"),
    "dark": Kind(_darken, lambda v: 0 <= v <= 1, "the factor on the brightness, from 0 to 1"),
    "rotate": Kind(_rotate, lambda v: -360 <= v <= 360, "degrees counter-clockwise, from -360 to 360"),
    "downscale": Kind(_downscale, lambda v: 1 < v <= 1000, "the factor by which width and height shrink, above 1"),
}


def _parse_steps(condition: str) -> list[tuple[str, float]]:
    return [_parse_step(text.strip()) for text in condition.split("+")]


def _parse_step(text: str) -> tuple[str, float]:
    kind, _, number = (part.strip() for part in text.partition("="))
    if kind not in KINDS:
        raise UsageError(
            f"--degrade {text!r}: expected KIND=VALUE, the kind one of {_list_kinds()}. For example "
            "blur=4,jpeg=10,blur=2+dark=0.3."
        )
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and KINDS[kind].accepts(value)):
        raise UsageError(
            f"--degrade {text!r}: expected for {kind} {KINDS[kind].values}; found {number or 'nothing'!r}. The kinds "
            f"are {_list_kinds()}."
        )
    return kind, value


def _list_kinds() -> str:
    return "; ".join(f"{name} ({kind.values})" for name, kind in KINDS.items())
