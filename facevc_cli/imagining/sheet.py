"""Draws pictures side by side, with what must be said of them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SENTENCE = "A face that fits this voice, not the speaker's. Synthetic: a mixture of many people's faces, nobody's own."
OWN_SENTENCE = "A face that fits this voice, not the speaker's. Synthetic: a mixture of some of the given pictures."
PAIR_SENTENCE = "Faces and voices that fit each other. Synthetic: drawn from a seed, nobody's own."
MOST_ACROSS = 6
GAP_PX, LINE_PX, FONT_PX = 8, 22, 15
PAPER, INK = (250, 250, 248), (40, 40, 40)
CUT = "..."


def draw_sheet(
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    title: str,
    *,
    across: int | None = None,
    sentence: str = SENTENCE,
) -> np.ndarray:
    """Draws (h, w, 3) uint8 pictures of one size with a caption below each, a title above and a sentence below.

    Returns (H, W, 3) uint8.
    """
    font = ImageFont.load_default(FONT_PX)
    height, width = pictures[0].shape[:2]
    columns = min(len(pictures), across or MOST_ACROSS)
    rows = -(-len(pictures) // columns)
    cell = (width + GAP_PX, height + LINE_PX + GAP_PX)
    inner = max(columns * cell[0] - GAP_PX, 2 * width)
    said = _wrap(sentence, inner, font)
    total = (inner + 2 * GAP_PX, rows * cell[1] + LINE_PX * (1 + len(said)) + 3 * GAP_PX)
    sheet = Image.new("RGB", total, PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP_PX, GAP_PX), _cut(title, inner, font), INK, font)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = GAP_PX + (i % columns) * cell[0]
        top = 2 * GAP_PX + LINE_PX + (i // columns) * cell[1]
        sheet.paste(Image.fromarray(picture), (left, top))
        pen.text((left, top + height + 2), _cut(caption, width, font), INK, font)
    top = 2 * GAP_PX + LINE_PX + rows * cell[1]
    for i, line in enumerate(said):
        pen.text((GAP_PX, top + i * LINE_PX), line, INK, font)
    return np.asarray(sheet)


def _cut(text: str, width_px: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Cuts a text so that it fits. Names come from anywhere, so what cannot be printed is replaced."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + CUT) > width_px:
        text = text[:-1]
    return text + CUT


def _wrap(text: str, width_px: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
