"""Warps pictures over a mesh of triangles: piecewise affine, bilinear, at any size."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from facevc_cli.core.errors import FaceVCError

BORDER_POINTS = 8  # corners and middles of the four sides
LEAST_AREA = 0.15  # a triangle that keeps less of its area counts as flipped
OUTSIDE = 0.25  # a pixel of a thin triangle's edge may lie outside it; far outside it would show another place
DAMPING = 0.7  # of the motion near a flipped triangle, in each round
ROUNDS = 24


@dataclass(frozen=True, eq=False)
class Raster:
    """Where each pixel of a picture lies in a mesh.

    triangle: (H, W) int32, -1 outside. weights: (H, W, 3) float32, barycentric. triangles: (t, 3). points: (m, 2).
    """

    triangle: np.ndarray
    weights: np.ndarray
    triangles: np.ndarray
    points: np.ndarray


def add_border(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """(..., p, 2) x, y in pixels -> (..., p + 8, 2): with the corners and the middles of the sides of the picture."""
    right, low = width - 1.0, height - 1.0
    corners = [(0, 0), (right / 2, 0), (right, 0), (right, low / 2), (right, low), (right / 2, low), (0, low)]
    border = np.array([*corners, (0, low / 2)], np.float32)
    return np.concatenate([points, np.broadcast_to(border, (*points.shape[:-2], *border.shape))], axis=-2)


def rasterise(points: np.ndarray, triangles: np.ndarray, height: int, width: int) -> Raster:
    """Finds the triangle of each pixel. points: (m, 2) x, y. triangles: (t, 3) into the points.

    Triangles that turn the other way than most are drawn first, so that those in front cover them.
    """
    corners = points[triangles].astype(np.float64)
    areas = measure_areas(points, triangles)
    front = areas * np.sign(np.median(areas)) > 0
    canvas = Image.new("I", (width, height), -1)
    draw = ImageDraw.Draw(canvas)
    for i in np.argsort(front, kind="stable"):
        draw.polygon([tuple(corner) for corner in corners[i]], fill=int(i))
    triangle = np.array(canvas, np.int32)
    # of each triangle: the affine map from x, y to its first two barycentric weights
    first, second, third = corners[:, 0], corners[:, 1], corners[:, 2]
    double_area = 2 * np.where(np.abs(areas) < 1e-6, 1e-6, areas)
    to_first = _make_map(second, third, double_area)
    to_second = _make_map(third, first, double_area)
    maps = np.stack([to_first, to_second], 1).astype(np.float32)  # (t, 2, 3)
    found = np.maximum(triangle, 0)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    two = maps[found, :, 0] * x[..., None] + maps[found, :, 1] * y[..., None] + maps[found, :, 2]
    weights = np.concatenate([two, 1 - two.sum(-1, keepdims=True)], -1)
    return Raster(triangle, weights, np.asarray(triangles), points.astype(np.float32))


def find_sources(raster: Raster, source_points: np.ndarray) -> np.ndarray:
    """Returns the point of another picture for each pixel: (H, W, 2) x, y. source_points: (m, 2), of the same mesh.

    Pixels outside the mesh keep their own place.
    """
    motion = (source_points.astype(np.float32) - raster.points)[raster.triangles][np.maximum(raster.triangle, 0)]
    motion[raster.triangle < 0] = 0
    moved = np.einsum("hwk,hwkc->hwc", raster.weights.clip(-OUTSIDE, 1 + OUTSIDE), motion)
    y, x = np.mgrid[: moved.shape[0], : moved.shape[1]]
    return np.asarray(np.stack([x, y], -1) + moved, np.float32)


def sample_bilinear(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(H, W, C) and (h, w, 2) x, y in its pixels -> (h, w, C) float32. The edge is repeated beyond the picture."""
    import torch

    height, width = picture.shape[:2]
    scale = np.array([2 / max(width - 1, 1), 2 / max(height - 1, 1)], np.float32)
    grid = torch.from_numpy((places * scale - 1).astype(np.float32))[None]
    given = torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[None]
    sampled = torch.nn.functional.grid_sample(given, grid, "bilinear", "border", align_corners=True)
    return sampled[0].permute(1, 2, 0).numpy()


def warp_picture(picture: np.ndarray, source_points: np.ndarray, raster: Raster) -> np.ndarray:
    """(H, W, C), its points (m, 2), the raster of the new points -> the picture warped to these, float32."""
    return sample_bilinear(picture, find_sources(raster, source_points))


def measure_areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(t,) signed areas in square pixels."""
    a, b, c = (points[triangles[:, k]].astype(np.float64) for k in range(3))
    return 0.5 * ((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1]))


def find_flipped(before: np.ndarray, after: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(t,) True for triangles that turn over, or nearly vanish, as (m, 2) points move from `before` to `after`.

    Triangles that look away already `before` do not count: a turned head hides them.
    """
    areas, moved = measure_areas(before, triangles), measure_areas(after, triangles)
    facing = np.sign(np.median(areas))
    seen = areas * facing > 0.25  # square pixels; smaller ones are noise of the landmarks
    return seen & (moved * facing < LEAST_AREA * areas * facing)


def limit_motion(before: np.ndarray, after: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Returns `after` (m, 2) with less motion where triangles would flip, so that none does."""
    motion = np.asarray(after, np.float64) - before
    neighbours = _count_neighbours(triangles, len(before))
    for _ in range(ROUNDS):
        flipped = find_flipped(before, before + motion, triangles)
        if not flipped.any():
            return before + motion
        factors = np.ones(len(before))
        factors[np.unique(triangles[flipped])] = DAMPING
        motion *= _smooth(factors, triangles, neighbours)[:, None]
        motion = 0.5 * motion + 0.5 * _smooth_at(motion, factors < 1, triangles, neighbours)
    for share in np.linspace(0.9, 0.0, 10):
        if not find_flipped(before, before + share * motion, triangles).any():
            return before + share * motion
    raise FaceVCError("the mesh of this face folds even without motion. Use a picture seen from the front.")


def _make_map(second: np.ndarray, third: np.ndarray, double_area: np.ndarray) -> np.ndarray:
    """(t, 3): factors of x, y and 1 that give the barycentric weight of the corner before `second` and `third`."""
    x = (second[:, 1] - third[:, 1]) / double_area
    y = (third[:, 0] - second[:, 0]) / double_area
    return np.stack([x, y, (second[:, 0] * third[:, 1] - third[:, 0] * second[:, 1]) / double_area], 1)


def _count_neighbours(triangles: np.ndarray, points: int) -> np.ndarray:
    return np.maximum(np.bincount(triangles.ravel(), minlength=points), 1)


def _smooth(values: np.ndarray, triangles: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Returns the mean of (m,) or (m, c) over the triangles around each point."""
    of_triangles = values[triangles].mean(1)
    total = np.zeros_like(values)
    for k in range(3):
        np.add.at(total, triangles[:, k], of_triangles)
    return total / (neighbours if values.ndim == 1 else neighbours[:, None])


def _smooth_at(values: np.ndarray, chosen: np.ndarray, triangles: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    return np.where(chosen[:, None], _smooth(values, triangles, neighbours), values)
