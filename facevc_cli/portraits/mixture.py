"""Mixes composites: the mean shape, and the mean of their pictures warped to it.

A mean of means is nearer to the average face than people are. So a mixture can be exaggerated, as caricatures are: its
difference from the average face is made larger, in shape and in lightness. Colours stay: they differ by the light of
the photographs, too.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from facevc_cli.core.errors import FaceVCError
from facevc_cli.portraits.composites import CompositeSet
from facevc_cli.portraits.mesh import Raster, add_border, rasterise, warp_picture

LEAST_WEIGHT = 0.005  # a smaller one cannot be seen, and costs as much as a large one
SHARPENING, SHARPENING_PX = 0.35, 1.2  # share of the difference to a blur of so many pixels, at 224 px
EDGE_BLUR = 0.03  # of the frame: within twice as much of the edge of the face, colours are exaggerated less
MIDDLE = 0.5  # of the registers
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class MixedFace:
    """picture: (H, W, 3) uint8 RGB. landmarks: (p, 2) float32 x, y in its pixels."""

    picture: np.ndarray
    landmarks: np.ndarray


def mix_composites(
    composites: CompositeSet, weights: np.ndarray, *, exaggeration: float = 1.0, size_px: int | None = None
) -> MixedFace:
    """Mixes composites by weights (n,) that are at least 0 and sum to 1. size_px: the height; None keeps theirs.

    exaggeration: of the difference from the average face of the mixture's register; 1 leaves the mixture as it is.
    Weights below .005 are dropped. FaceVCError if the weights are none.
    """
    used, shares = choose_used(weights, len(composites))
    height, width = composites.pictures.shape[1:3]
    scale = 1.0 if size_px is None else size_px / height
    size = (round(height * scale), round(width * scale))
    shape = average_shape(composites, weights)
    average = None
    if exaggeration != 1:
        average = find_average(composites, float(shares @ composites.registers[used]) > MIDDLE)
        shape = average.landmarks + exaggeration * (shape - average.landmarks)
    shape = (shape + 0.5) * scale - 0.5
    raster = rasterise(add_border(shape, *size), composites.triangles, *size)
    mixed = _average_in(raster, composites, used, shares)
    if average is not None:
        plain = warp_picture(average.picture, add_border(average.landmarks, height, width), raster)
        lighter = (exaggeration - 1) * _make_inner_mask(raster, len(shape)) * ((mixed - plain) @ LUMINANCE)
        mixed += lighter[..., None]
    picture = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return MixedFace(sharpen(picture, scale, len(used)), shape.astype(np.float32))


@lru_cache(maxsize=4)
def find_average(composites: CompositeSet, feminine: bool) -> MixedFace:
    """Returns the average face of the composites of a register, computed once. Its picture is float32."""
    used = np.flatnonzero((composites.registers > MIDDLE) == feminine)
    shares, shape = np.full(len(used), 1 / len(used)), composites.landmarks[used].mean(0)
    return MixedFace(average_pictures(composites, used, shares, shape, composites.pictures.shape[1:3]), shape)


def lay_on_ground(picture: np.ndarray, landmarks: np.ndarray, like: CompositeSet) -> np.ndarray:
    """Replaces what is around a face by the ground of the composites. picture: (H, W, 3) uint8, in their frame."""
    raster = rasterise(add_border(landmarks, *picture.shape[:2]), like.triangles, *picture.shape[:2])
    shown = np.clip(2 * _blur_face(raster, len(landmarks)), 0, 1)[..., None]
    ground = like.pictures[0, 0, 0].astype(np.float32)
    return np.rint(ground + shown * (picture - ground)).astype(np.uint8)


def _make_inner_mask(raster: Raster, points: int) -> np.ndarray:
    """Returns how far inside the face each pixel is: (H, W) float32, 0 at its edge and outside, 1 deep inside."""
    return np.clip(2 * _blur_face(raster, points) - 1, 0, 1)


def _blur_face(raster: Raster, points: int) -> np.ndarray:
    """Returns (H, W) float32: 1 deep inside the face, a half at its edge, 0 far outside.

    points: the number of landmarks. Triangles with other points lead to the border of the picture.
    """
    inside = np.all(raster.triangles < points, axis=1)[raster.triangle] & (raster.triangle >= 0)
    image = Image.fromarray(255 * inside.astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(EDGE_BLUR * len(inside))), np.float32) / 255


def average_shape(composites: CompositeSet, weights: np.ndarray) -> np.ndarray:
    """Returns the mean landmarks (p, 2) in the composites' pixels. Weights as in `mix_composites`."""
    used, shares = choose_used(weights, len(composites))
    return np.asarray(np.tensordot(shares, composites.landmarks[used], 1))


def average_pictures(
    composites: CompositeSet, used: np.ndarray, shares: np.ndarray, shape: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Warps the used composites to a shape (p, 2) in a picture of this height and width, and averages them: float32."""
    return _average_in(rasterise(add_border(shape, *size), composites.triangles, *size), composites, used, shares)


def _average_in(raster: Raster, composites: CompositeSet, used: np.ndarray, shares: np.ndarray) -> np.ndarray:
    points = add_border(composites.landmarks[used], *composites.pictures.shape[1:3])
    total = np.zeros((*raster.triangle.shape, 3), np.float32)
    for share, picture, own in zip(shares, composites.pictures[used], points, strict=True):
        total += np.float32(share) * warp_picture(picture, own, raster)
    return total


def choose_used(weights: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the numbers of the used composites, heaviest first, and their weights, which sum to 1."""
    weights = np.asarray(weights, np.float64)
    least = weights.min(initial=0)
    if weights.shape != (count,) or not np.isfinite(weights).all() or least < -1e-9:
        raise FaceVCError(f"expected {count} weights of at least 0, found {weights.shape}, the least {least:.3g}.")
    if not abs(weights.sum() - 1) < 1e-3:
        raise FaceVCError(f"expected weights that sum to 1, found {weights.sum():.4g}.")
    used = np.argsort(-weights, kind="stable")
    used = used[: max(1, int((weights >= LEAST_WEIGHT).sum()))]
    return used, weights[used] / weights[used].sum()


def sharpen(picture: np.ndarray, scale: float, mixed: int) -> np.ndarray:
    """Sharpens (H, W, 3) uint8 a little, because a mean of pictures is softer than each. One picture stays as it is."""
    if mixed < 2:
        return picture
    image = Image.fromarray(picture)
    blurred = image.filter(ImageFilter.GaussianBlur(SHARPENING_PX * scale))
    return np.clip(
        np.rint((1 + SHARPENING) * picture.astype(np.float32) - SHARPENING * np.asarray(blurred, np.float32)), 0, 255
    ).astype(np.uint8)
