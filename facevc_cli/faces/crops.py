"""Cuts a face out of an image: turned level by five landmarks, or the box with a margin."""

from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from facevc_cli.faces.detection import find_weights, load_dlib

LEVEL_CROP_PX = 150  # the input of dlib's network
LEVEL_PADDING = 0.25  # a share of the face, on every side


def level_crop(
    image: np.ndarray, box: np.ndarray, side_px: int = LEVEL_CROP_PX, padding: float = LEVEL_PADDING
) -> np.ndarray:
    """(H, W, 3) uint8 -> (side, side, 3) uint8: the face turned level by five landmarks.

    padding: a share of the face, on every side.
    """
    return cut_level(image, find_landmarks(image, box), side_px, padding)


def find_landmarks(image: np.ndarray, box: np.ndarray) -> Any:
    """Finds the five landmarks of the face in a box (4,): the corners of the eyes, and the nose. dlib's own object."""
    return load_landmark_predictor()(image, load_dlib().rectangle(*(round(float(v)) for v in box)))


def cut_level(
    image: np.ndarray, landmarks: Any, side_px: int = LEVEL_CROP_PX, padding: float = LEVEL_PADDING
) -> np.ndarray:
    """As `level_crop`, with landmarks that are known."""
    return np.asarray(load_dlib().get_face_chip(image, landmarks, side_px, padding))


@lru_cache(maxsize=1)
def load_landmark_predictor() -> Any:
    """Loads dlib's predictor of five landmarks, once per process."""
    return load_dlib().shape_predictor(find_weights("shape_predictor_5_face_landmarks.dat"))


def margin_crop(image: np.ndarray, box: np.ndarray, side_px: int, margin_px: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (side, side, 3) uint8: the box with a margin, cut to the image.

    The box fills side - margin pixels of the crop.
    """
    half = np.array([box[2] - box[0], box[3] - box[1]]) * margin_px / (side_px - margin_px) / 2
    left, top = np.maximum(np.floor(box[:2] - half), 0)
    right, bottom = np.minimum(np.ceil(box[2:] + half), (image.shape[1], image.shape[0]))
    area = (float(left), float(top), float(right), float(bottom))
    return np.asarray(Image.fromarray(image).resize((side_px, side_px), Image.Resampling.BILINEAR, box=area))
