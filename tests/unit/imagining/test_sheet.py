"""imagining/sheet.py: pictures keep their pixels, and long or odd names do no harm."""

import numpy as np

from facevc_cli.imagining.sheet import GAP_PX, LINE_PX, draw_sheet

TOP_PX = 2 * GAP_PX + LINE_PX


def test_pictures_are_side_by_side_unchanged():
    pictures = [np.full((100, 120, 3), 20 * i, np.uint8) for i in range(5)]
    sheet = draw_sheet(pictures, list("abcde"), "title", across=3)
    assert sheet.shape[1] == 3 * 120 + 2 * GAP_PX + 2 * GAP_PX
    for i in range(5):
        left, top = GAP_PX + (i % 3) * (120 + GAP_PX), TOP_PX + (i // 3) * (100 + LINE_PX + GAP_PX)
        assert (sheet[top : top + 100, left : left + 120] == 20 * i).all()


def test_the_sentence_is_below_and_long_names_are_cut():
    picture = np.full((64, 64, 3), 255, np.uint8)
    sheet = draw_sheet([picture], ["x" * 500], "\x1b[31m" + "é" * 500)
    below = sheet[TOP_PX + 64 + LINE_PX :]
    assert below.min() < 100  # ink
    assert sheet.shape[1] == 2 * 64 + 2 * GAP_PX
