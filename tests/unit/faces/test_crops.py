"""faces/crops.py: how much of the picture a crop shows."""

import numpy as np

from facevc_cli.faces.crops import margin_crop


def test_margin_crop_fills_side_less_margin_with_the_box():
    image = np.zeros((300, 300, 3), np.uint8)
    image[100:178, 100:178] = 255
    crop = margin_crop(image, np.array([100, 100, 178, 178], np.float32), 128, 50)
    assert crop.shape == (128, 128, 3)
    assert abs(int((crop[64, :, 0] > 127).sum()) - 78) <= 1
    assert margin_crop(image, np.array([0, 0, 300, 300], np.float32), 128, 50).shape == (128, 128, 3)
