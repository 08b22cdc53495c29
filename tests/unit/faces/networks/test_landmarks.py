"""The landmark network gives what the original gives; TensorFlow Lite's interpreter made the stored numbers."""

import numpy as np
import pytest
import torch
from helpers.repository import ROOT
from PIL import Image

from facevc_cli.faces.landmarks import load_landmark_network

# recipes/portraits/local/tflite.py: Interpreter(face_landmark.tflite) on the example face_woman.jpg at 192 px
STORED = {
    1: (97.359, 99.119, -38.878),
    33: (42.502, 59.970, 8.105),
    263: (146.095, 60.109, 13.286),
    13: (94.031, 122.438, -12.567),
    152: (92.548, 166.017, 6.408),
    234: (14.771, 78.085, 69.666),
}
STORED_LOGIT = 30.712


def test_points_and_confidence_are_those_of_the_original():
    with Image.open(ROOT / "facevc_cli/assets/examples/face_woman.jpg") as image:
        pixels = np.asarray(image.convert("RGB").resize((192, 192), Image.Resampling.BILINEAR), np.float32) / 255
    points, logit = load_landmark_network()(torch.from_numpy(pixels.transpose(2, 0, 1)[None]))
    for number, expected in STORED.items():
        assert points[0, number].tolist() == pytest.approx(expected, abs=0.2)  # decoders of JPEG differ a little
    assert logit.item() == pytest.approx(STORED_LOGIT, abs=0.2)
