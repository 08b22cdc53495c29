"""Moves the face in a photo by the difference of two mixtures of composites: its shape, and its colours.

Pose, glasses, background and expression stay, because only differences are added. Shape: the landmarks move as the
mean shapes of the mixtures differ, turned and scaled as the head is. Colours: the difference of the mean pictures is
multiplied by the light that falls on the photo, and added within the face.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from facevc_cli.portraits.composites import CompositeSet
from facevc_cli.portraits.mesh import (
    add_border,
    find_sources,
    limit_motion,
    measure_areas,
    rasterise,
    sample_bilinear,
    warp_picture,
)
from facevc_cli.portraits.mixture import LUMINANCE, average_pictures, average_shape, choose_used

# numbers of MediaPipe's landmarks
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
EYES = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
)
LIGHT_BLUR = 0.05  # of the frame: what is smoother counts as light
LEAST_LIGHT, MOST_LIGHT = 0.2, 1.8
# means of many faces are nearer to each other than faces are, so the difference is made larger
# without and with a change from one register to the other; an older face soon looks like a caricature
SHAPE_GAIN, COLOUR_GAIN = (1.3, 2.0), (1.4, 2.2)
MOST_CHANGE = 60.0  # of 255: a brow that is not where the mean has it must not leave a dark patch
GREY = 4.0  # of 255: a smaller spread of the channels is no colour
HIDDEN, SEEN = 0.15, 0.5  # shares of its area that a triangle keeps on a turned head
KEPT_TONE = 0.25  # of the difference of the mean colours: the neck keeps its own
BORDER_BLUR, OVAL_SHRINK = 0.03, 0.94  # the colours fade towards the edge of the face
EYE_SHARE = 0.35  # of the difference inside the eyes: they keep their own


@dataclass(frozen=True, eq=False)
class RestyledPhoto:
    """picture: (H, W, 3) uint8, the whole photo. box: (4,) left, top, right, bottom in pixels; nothing else changed."""

    picture: np.ndarray
    box: tuple[int, int, int, int]


def restyle_photo(
    photo: np.ndarray,
    landmarks: np.ndarray,
    composites: CompositeSet,
    own: np.ndarray,
    wanted: np.ndarray,
    strength: float = 1.0,
) -> RestyledPhoto:
    """Adds the difference of the mixtures `wanted` and `own` to a face.

    photo: (H, W, 3) uint8 RGB. landmarks: (p, 2) x, y of its upright face. own, wanted: weights (n,) of composites, as
    `mix_composites` takes them. strength: 0 changes nothing, 1 adds the whole difference.
    """
    size = composites.pictures.shape[1:3]
    crossed = abs(float((wanted - own) @ composites.registers))
    shape_gain, colour_gain = (float(np.interp(crossed, (0, 1), gain)) for gain in (SHAPE_GAIN, COLOUR_GAIN))
    shape, goal = average_shape(composites, own), average_shape(composites, wanted)
    affine, similar = fit_affine(shape, landmarks), fit_similarity(shape, landmarks)
    before = np.concatenate([landmarks, _apply(similar, add_border(shape, *size)[len(shape) :])])
    motion = np.zeros_like(before)
    visible = find_visible(before, add_border(shape, *size), composites.triangles, similar)
    motion[: len(shape)] = shape_gain * strength * ((goal - shape) @ affine[:2]) * visible[: len(shape), None]
    after = limit_motion(before, before + motion, composites.triangles)
    part, origin, box = _cut_padded(photo, before)
    raster = rasterise(after - origin, composites.triangles, *part.shape[:2])
    warped = warp_picture(part, before - origin, raster)
    change = _find_change(part, before - origin, composites, own, wanted, shape)
    change = MOST_CHANGE * np.tanh(colour_gain * strength * change / MOST_CHANGE)
    shown = np.einsum("hwk,hwk->hw", raster.weights, visible[raster.triangles][np.maximum(raster.triangle, 0)])
    shown = np.clip(shown, 0, 1) * (raster.triangle >= 0)
    warped += warp_picture(change, add_border(shape, *size), raster) * shown[..., None].astype(np.float32)
    return _paste(photo, np.clip(np.rint(warped), 0, 255).astype(np.uint8), origin, box)


def _find_change(
    part: np.ndarray,
    points: np.ndarray,
    composites: CompositeSet,
    own: np.ndarray,
    wanted: np.ndarray,
    shape: np.ndarray,
) -> np.ndarray:
    """Returns the change of the colours in the composites' frame (s, s, 3), in the light of the photo."""
    size = composites.pictures.shape[1:3]
    mine, theirs = (
        average_pictures(composites, *choose_used(weights, len(composites)), shape, size) for weights in (own, wanted)
    )
    mask = make_mask(shape, size)[..., None]
    change = theirs - mine
    change -= (1 - KEPT_TONE) * (mask * change).sum((0, 1)) / mask.sum()
    blur_px = LIGHT_BLUR * size[0]
    factor = max(1, int(np.hypot(*(points[454] - points[234])) / size[1]))  # a large photo has more than is needed
    small = np.asarray(Image.fromarray(part).reduce(factor)) if factor > 1 else part
    # of each pixel of the composites' frame: its place in the photo
    places = find_sources(rasterise(add_border(shape, *size), composites.triangles, *size), points) / factor
    seen = sample_bilinear(small, places)
    # a grey photo stays grey: neither its light nor the change has a colour
    colourful = np.clip((float((mask[..., 0] * np.ptp(seen, -1)).sum() / mask.sum()) - GREY) / GREY, 0, 1)
    change, mine, seen = (fade_colour(picture, colourful) for picture in (change, mine, seen))
    light = blur(seen, blur_px) / np.maximum(blur(mine, blur_px), 1)
    return mask * change * np.clip(light, LEAST_LIGHT, MOST_LIGHT)


def fade_colour(picture: np.ndarray, share: float) -> np.ndarray:
    """(H, W, 3) float -> the same with this share of its colour; 0 makes it grey."""
    grey = (picture @ LUMINANCE)[..., None]
    return np.asarray(grey + np.float32(share) * (picture - grey), np.float32)


def find_visible(points: np.ndarray, frame: np.ndarray, triangles: np.ndarray, similar: np.ndarray) -> np.ndarray:
    """Returns from 0 to 1 how far each point of a mesh faces the camera: a turned head hides its other side.

    points: (m, 2) in the photo; frame: (m, 2) of the composites, seen from the front; similar: the map between them.
    """
    areas = measure_areas(frame, triangles)
    areas = np.where(np.abs(areas) < 0.5, 0.5 * np.sign(areas + 1e-9), areas)
    shares = measure_areas(points, triangles) / (areas * abs(np.linalg.det(similar[:2])))
    facing = np.clip((shares - HIDDEN) / (SEEN - HIDDEN), 0, 1)
    total, count = np.zeros(len(points)), np.zeros(len(points))
    for k in range(3):
        np.add.at(total, triangles[:, k], np.abs(areas) * facing)
        np.add.at(count, triangles[:, k], np.abs(areas))
    return total / np.maximum(count, 1e-9)


def make_mask(shape: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(p, 2) landmarks in a frame -> (H, W) from 0 to 1: how much of the change of colours each pixel gets."""
    middle = shape[list(OVAL)].mean(0)
    oval = _draw(middle + OVAL_SHRINK * (shape[list(OVAL)] - middle), size)
    mask = blur(oval[..., None], BORDER_BLUR * size[0])[..., 0] * blur(oval[..., None], 1.5)[..., 0]
    for eye in EYES:
        mask = mask * (1 - (1 - EYE_SHARE) * blur(_draw(shape[list(eye)], size)[..., None], 1.5)[..., 0])
    lips = shape[list(INNER_LIPS)]
    open_px = float(np.ptp(lips[:, 1]))
    inside = blur(_draw(lips, size)[..., None], 1.0)[..., 0] if open_px > 0 else 0.0
    return np.asarray(mask * (1 - inside))


def blur(picture: np.ndarray, sigma_px: float) -> np.ndarray:
    """(H, W, C) float -> the same, blurred by a Gaussian. The edge is repeated."""
    import torch
    from torch.nn import functional

    reach = max(1, round(3 * sigma_px))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / max(sigma_px, 1e-3)) ** 2)
    kernel = (kernel / kernel.sum()).to(torch.float32)
    given = torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[:, None]
    padded = functional.pad(given, (reach, reach, reach, reach), mode="replicate")
    across = functional.conv2d(padded, kernel.view(1, 1, 1, -1))
    return functional.conv2d(across, kernel.view(1, 1, -1, 1))[:, 0].permute(1, 2, 0).numpy()


def fit_affine(shape: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Returns the (3, 2) least-squares map of a shape to landmarks: [x, y, 1] @ map."""
    return np.linalg.lstsq(np.column_stack([shape, np.ones(len(shape))]), landmarks, rcond=None)[0]


def fit_similarity(shape: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """As `fit_affine`, but only scaled, turned and moved."""
    middle, goal = shape.mean(0), landmarks.mean(0)
    from_, to = (shape - middle) @ [1, 1j], (landmarks - goal) @ [1, 1j]
    turn = complex(np.vdot(from_, to) / np.vdot(from_, from_))
    linear = np.array([[turn.real, turn.imag], [-turn.imag, turn.real]])
    return np.concatenate([linear, [goal - middle @ linear]])


def _apply(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ affine[:2] + affine[2]


def _cut_padded(photo: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int, int]]:
    """Returns the part around the points, its origin, and its box within the photo. Beyond it the edge is repeated."""
    height, width = photo.shape[:2]
    left, top = (int(v) - 1 for v in np.floor(points.min(0)))
    right, bottom = (int(v) + 2 for v in np.ceil(points.max(0)))
    box = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
    inside = photo[box[1] : box[3], box[0] : box[2]]
    sides = ((box[1] - top, bottom - box[3]), (box[0] - left, right - box[2]), (0, 0))
    return np.pad(inside, sides, mode="edge"), np.array([left, top], np.float64), box


def _paste(photo: np.ndarray, part: np.ndarray, origin: np.ndarray, box: tuple[int, int, int, int]) -> RestyledPhoto:
    left, top, right, bottom = box
    x, y = int(origin[0]), int(origin[1])
    made = photo.copy()
    made[top:bottom, left:right] = part[top - y : bottom - y, left - x : right - x]
    return RestyledPhoto(made, box)


def _draw(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    canvas = Image.new("L", (size[1], size[0]))
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in points], fill=255)
    return np.asarray(canvas, np.float32) / 255
