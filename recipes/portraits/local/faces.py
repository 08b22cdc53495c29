"""Faces of a table, cut level to one frame, and what is measured in them."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facevc_cli.faces.landmarks import LEFT_EYE, RIGHT_EYE, FaceLandmarks, cut_turned

FRAME_PX = 256
EYES_PX = 80.0  # the distance of the eyes in a frame
EYES_Y_PX = 94.0  # their height there
AGES = {"20-29": 25.0, "30-39": 35.0, "40-49": 45.0, "50-59": 55.0, "60-69": 65.0, "more than 70": 75.0}
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)


@dataclass(frozen=True)
class Face:
    name: str
    path: Path
    gender: str
    years: float
    group: str


def read_adults(data: Path) -> list[Face]:
    """Reads the adults of DATA/faces.csv, without the faces that no training may see (recipes/starter)."""
    listed = Path(__file__).parents[2] / "starter" / "held_out_faces.txt"
    held_out = set(listed.read_text(encoding="utf-8").split())
    with (data / "faces.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["age_bin"] in AGES and row["face"] not in held_out]
    return [Face(row["face"], data / row["path"], row["gender"], AGES[row["age_bin"]], row["race"]) for row in rows]


def cut_frame(picture: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) and its landmarks (p, 2) -> the frame (256, 256, 3) uint8 and the landmarks in it.

    The eyes are level, 80 px apart, and in the middle. The frame is black beyond the picture.
    """
    left, right = (points[list(corners)].mean(0) for corners in (LEFT_EYE, RIGHT_EYE))
    across = right - left
    angle, scale = float(np.arctan2(across[1], across[0])), float(np.hypot(*across)) / EYES_PX
    down = np.array([-np.sin(angle), np.cos(angle)])
    middle = (left + right) / 2 + down * (FRAME_PX / 2 - EYES_Y_PX) * scale
    frame = cut_turned(picture, middle + 0.5, FRAME_PX * scale, angle, FRAME_PX)
    cos, sin = np.cos(angle), np.sin(angle)
    return frame, ((points - middle) / scale @ np.array([[cos, -sin], [sin, cos]]) + FRAME_PX / 2 - 0.5).astype("f4")


def measure_face(frame: np.ndarray, points: np.ndarray, found: FaceLandmarks) -> dict[str, float]:
    """Returns what the selection looks at. frame, points: of `cut_frame`."""
    grey = frame.astype(np.float32) @ LUMINANCE
    low, high = points[list(OVAL)].min(0), points[list(OVAL)].max(0)
    top, bottom, left, right = (int(np.clip(v, 0, FRAME_PX)) for v in (low[1], high[1], low[0], high[0]))
    face = grey[top:bottom, left:right]
    bright = max(float(face.mean()), 1.0)
    halves = [float(half.mean()) for half in np.array_split(face, 2, axis=1)]
    laplacian = 4 * face[1:-1, 1:-1] - face[:-2, 1:-1] - face[2:, 1:-1] - face[1:-1, :-2] - face[1:-1, 2:]
    colour = frame[top:bottom, left:right].astype(np.float32).mean((0, 1))
    return {
        "confidence": found.confidence,
        "disagreement": found.disagreement,
        "yaw": found.yaw_deg,
        "pitch": found.pitch_deg,
        "pixels": found.eye_distance_px,
        "brightness": bright,
        "overexposed": float((face > 250).mean()),
        "lopsided": abs(halves[0] - halves[1]) / bright,
        "contrast": float(face.std()) / bright,
        "sharpness": float(np.abs(laplacian).mean()) / bright,
        "warmth": float(colour[0] - colour[2]) / bright,
        "mouth_open": float(points[14, 1] - points[13, 1]) / EYES_PX,
        "mouth_width": float(np.hypot(*(points[291] - points[61]))) / EYES_PX,
        "smile": float(points[[13, 14], 1].mean() - points[[61, 291], 1].mean()) / EYES_PX,
        "bridge": _measure_bridge(grey, points),
        "rims": _measure_rims(grey, points),
    }


def _measure_bridge(grey: np.ndarray, points: np.ndarray) -> float:
    """The strongest horizontal edge across the nose, between the eyes: glasses have a bar there."""
    x, top, bottom = points[6, 0], points[168, 1] - 6, points[197, 1]
    strip = _cut(grey, x - 8, x + 8, top, bottom)
    rows = np.median(strip, axis=1)
    return float(np.abs(rows[2:] - rows[:-2]).max(initial=0)) / max(float(strip.mean()), 20.0)


def _measure_rims(grey: np.ndarray, points: np.ndarray) -> float:
    """The strongest horizontal edge under both eyes, where glasses end; the weaker of the two eyes."""
    found = []
    for lid, cheek in ((145, 50), (374, 280)):
        x, top = points[lid, 0], points[lid, 1] + 8
        strip = _cut(grey, x - 12, x + 12, top, min(points[cheek, 1], top + 34))
        rows = np.median(strip, axis=1)
        found.append(float(np.abs(rows[2:] - rows[:-2]).max(initial=0)) / max(float(strip.mean()), 20.0))
    return min(found)


def _cut(grey: np.ndarray, left: float, right: float, top: float, bottom: float) -> np.ndarray:
    x0, x1, y0, y1 = (int(np.clip(round(float(v)), 0, FRAME_PX - 1)) for v in (left, right, top, bottom))
    return grey[y0 : max(y1, y0 + 3), x0 : max(x1, x0 + 3)]
