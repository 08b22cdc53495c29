"""Small sets of composites, drawn: discs of one colour on a plain ground."""

import numpy as np

from facevc_cli.faces.reading import FUSED_DIM, pack
from facevc_cli.portraits.composites import CompositeSet

SIDE_PX = 64
# around a middle point: a hexagon, and the eight border points after it
RING = np.array([(np.cos(a), np.sin(a)) for a in np.arange(6) * np.pi / 3], np.float32)


def make_composites(count: int = 4, side_px: int = SIDE_PX) -> CompositeSet:
    """Composite i < 7 has a disc of radius 14 + 2i, as red as 40 + 30i; the second half are women; 20 + 10i years."""
    middle = (side_px - 1) / 2
    y, x = np.mgrid[:side_px, :side_px]
    pictures, landmarks, descriptors = [], [], []
    for i in range(count):
        radius = 14.0 + 2 * (i % 7)
        picture = np.full((side_px, side_px, 3), 200, np.uint8)
        picture[np.hypot(x - middle, y - middle) <= radius] = (40 + 30 * (i % 7), 90, 60)
        pictures.append(picture)
        landmarks.append(np.concatenate([[(middle, middle)], middle + radius * RING]))
        odds = 4.0 if i >= count / 2 else -4.0
        descriptors.append(pack(np.full(128, 0.01 * i), np.zeros(FUSED_DIM - 130), odds, 20.0 + 10 * i))
    return CompositeSet(
        pictures=np.stack(pictures),
        landmarks=np.stack(landmarks).astype(np.float32),
        triangles=make_triangles(landmarks[0], side_px),
        descriptors=np.stack(descriptors),
        registers=(np.arange(count) >= count / 2).astype(np.float32),
        ages=(20 + 10 * np.arange(count)).astype(np.float32),
        groups=tuple(f"group {i % 2}" for i in range(count)),
        members=tuple((f"a{i}", f"b{i}") for i in range(count)),
        licence="drawn",
    )


def make_triangles(landmarks: np.ndarray, side_px: int) -> np.ndarray:
    from scipy.spatial import Delaunay

    from facevc_cli.portraits.mesh import add_border

    return Delaunay(add_border(np.asarray(landmarks, np.float32), side_px, side_px)).simplices.astype(np.int64)
