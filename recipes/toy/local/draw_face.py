"""Draw faces that a face detector finds, without any photo. A seed makes each person."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CANVAS = 512  # drawn at this size, then scaled: smooth edges without anti-aliased primitives


def draw_face(
    seed: int,
    size: int = 256,
    *,
    mouth_open: float = 0.0,
    centre: tuple[float, float] = (0.5, 0.5),
    scale: float = 1.0,
    manly: bool | None = None,
) -> np.ndarray:
    """Draw the face of one person -> (size, size, 3) uint8.

    seed: the person (skin, hair, brows, eyes, nose, jaw). mouth_open: 0 closed to 1 wide. centre: of the head, in parts
    of the picture. scale: its size; at 1 it fills most of the picture. manly: short hair, heavy brows, a broad jaw and
    stubble, or else long hair, fine brows and full lips. None: the seed decides.
    """
    rng = np.random.default_rng(seed)
    skin = np.array([225, 175, 145]) * rng.uniform(0.62, 1.08) + rng.normal(0, 5, 3)
    hair = np.array([60, 42, 30]) * rng.uniform(0.3, 2.4) + rng.normal(0, 5, 3)
    background = rng.uniform(90, 200, 3)
    half_width, half_height = rng.uniform(124, 146), rng.uniform(172, 196)
    eye_x, eye_y, eye_rx, eye_ry = rng.uniform(52, 62), rng.uniform(-34, -22), rng.uniform(24, 30), rng.uniform(10, 14)
    brow_gap, brow_px, brow_tilt = rng.uniform(26, 36), rng.uniform(0, 4), rng.uniform(-7, 7)
    nose_length, nose_width = rng.uniform(54, 68), rng.uniform(24, 34)
    mouth_y, mouth_rx, lip_px = rng.uniform(88, 100), rng.uniform(42, 58), rng.uniform(8, 13)
    jaw, man = rng.uniform(0, 0.1), bool(rng.random() < 0.5) if manly is None else manly
    jaw, brow_px, lip_px = (jaw + 0.9, brow_px + 11, lip_px - 3) if man else (jaw + 0.75, brow_px + 6, lip_px + 3)
    iris = rng.uniform(30, 110, 3)

    picture = Image.new("RGB", (CANVAS, CANVAS), _to_rgb(background))
    pen = ImageDraw.Draw(picture)
    if not man:
        pen.rounded_rectangle(_make_box(0, 20, half_width + 32, half_height + 40), 120, fill=_to_rgb(hair))
    pen.ellipse(_make_box(0, -26, half_width + 16, half_height + 12), fill=_to_rgb(hair))
    pen.rectangle(_make_box(0, 210, 62, 100), fill=_to_rgb(skin * 0.78))
    for side in (-1, 1):
        pen.ellipse(_make_box(side * half_width, -4, 18, 36), fill=_to_rgb(skin * 0.85))
    angles = np.linspace(0, 2 * np.pi, 90)
    narrowing = np.where(np.sin(angles) > 0, 1 - (1 - jaw) * np.sin(angles), 1.0)
    outline = np.stack([half_width * np.cos(angles) * narrowing, half_height * np.sin(angles)], axis=1) + CANVAS / 2
    pen.polygon([tuple(p) for p in outline], fill=_to_rgb(skin))
    pen.chord(_make_box(0, -40, half_width + 4, half_height - 16), 207, 333, fill=_to_rgb(hair))  # the fringe
    picture = _shade(picture.filter(ImageFilter.GaussianBlur(5)), half_width, half_height)

    pen = ImageDraw.Draw(picture)
    if man:
        pen.chord(
            _make_box(0, 60, half_width * 0.78, half_height * 0.66), 12, 168, fill=_to_rgb(skin * 0.7 + hair * 0.12)
        )  # stubble
    for side in (-1, 1):
        pen.ellipse(_make_box(side * eye_x, eye_y - 4, eye_rx + 10, eye_ry + 14), fill=_to_rgb(skin * 0.72))
    tip_y, tip_x = eye_y + nose_length, nose_width * 0.6
    pen.polygon(
        [_place_point(-9, eye_y), _place_point(9, eye_y), _place_point(tip_x, tip_y), _place_point(-tip_x, tip_y)],
        fill=_to_rgb(skin * 1.06),
    )
    pen.ellipse(_make_box(0, tip_y + 8, nose_width, 14), fill=_to_rgb(skin * 0.86))
    pen.ellipse(_make_box(0, mouth_y + 34, mouth_rx * 0.7, 9), fill=_to_rgb(skin * 0.8))
    picture = picture.filter(ImageFilter.GaussianBlur(7))

    pen = ImageDraw.Draw(picture)
    for side in (-1, 1):
        x = side * eye_x
        pen.ellipse(_make_box(x, eye_y, eye_rx, eye_ry), fill=(236, 234, 230))
        pen.ellipse(_make_box(x, eye_y, eye_ry + 1, eye_ry + 1), fill=_to_rgb(iris))
        pen.ellipse(_make_box(x, eye_y, 6, 6), fill=(10, 10, 10))
        pen.arc(_make_box(x, eye_y + 2, eye_rx + 3, eye_ry + 5), 190, 350, fill=(35, 25, 22), width=7)
        inner, outer = (
            _place_point(x - side * eye_rx, eye_y - brow_gap + brow_tilt),
            _place_point(x + side * (eye_rx + 6), eye_y - brow_gap),
        )
        pen.line(
            [inner, _place_point(x, eye_y - brow_gap - 7), outer],
            fill=_to_rgb(hair * 0.7),
            width=round(brow_px),
            joint="curve",
        )
        pen.ellipse(_make_box(side * nose_width * 0.5, tip_y + 12, 7, 5), fill=_to_rgb(skin * 0.4))
    lips = skin * np.array([0.78, 0.5, 0.5])
    opening = 3 + 26 * mouth_open
    pen.ellipse(_make_box(0, mouth_y, mouth_rx, lip_px + opening), fill=_to_rgb(lips))
    pen.ellipse(_make_box(0, mouth_y, mouth_rx - 8, opening), fill=(50, 18, 18))
    picture = picture.filter(ImageFilter.GaussianBlur(2))

    side_px = max(8, round(size * scale))
    head = picture.resize((side_px, side_px), Image.Resampling.LANCZOS)
    whole = Image.new("RGB", (size, size), head.getpixel((0, 0)))
    whole.paste(head, (round(centre[0] * size - side_px / 2), round(centre[1] * size - side_px / 2)))
    grain = np.random.default_rng(seed + 1).normal(0, 2, (size, size, 3))
    return np.clip(np.asarray(whole) + grain, 0, 255).astype(np.uint8)


def _shade(picture: Image.Image, half_width: float, half_height: float) -> Image.Image:
    """Shade the head as if lit from the front: it darkens towards its rim."""
    y, x = np.mgrid[:CANVAS, :CANVAS] - CANVAS / 2
    distance = np.clip((x / half_width) ** 2 + (y / half_height) ** 2, 0, 1.2)
    return Image.fromarray(
        np.clip(np.asarray(picture) * (1.06 - 0.34 * distance**1.5)[..., None], 0, 255).astype(np.uint8)
    )


def _place_point(x: float, y: float) -> tuple[float, float]:
    return CANVAS / 2 + x, CANVAS / 2 + y


def _make_box(x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
    return CANVAS / 2 + x - rx, CANVAS / 2 + y - ry, CANVAS / 2 + x + rx, CANVAS / 2 + y + ry


def _to_rgb(colour: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (int(np.clip(c, 0, 255)) for c in colour)
    return red, green, blue
