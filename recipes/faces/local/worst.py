"""worst.py DATA FEATURES ORIGINALS.safetensors FUSED.safetensors OUT.png [COUNT]: a sheet of the faces that are read
worst.

The held-out faces are ordered by the probability that the embedder `fused` gives to their labelled gender. Below each
picture is its name, what annotators said (a letter and the middle of the age bin) and what was read, with the
certainty of the register.
"""

import math
import sys
from pathlib import Path

import numpy as np
from features import load_originals
from fit import COPIES, read_seen
from measure import read_all
from PIL import Image, ImageDraw, ImageFont, ImageOps
from tables import LabelledFace, read_faces

COLUMNS, PICTURE_PX, TEXT_PX, MARGIN_PX = 8, 150, 48, 6


def draw_sheet(faces: list[tuple[LabelledFace, float, float]], path: Path) -> None:
    """Draws the picture of each (face, log odds of a woman, years)."""
    width, height = PICTURE_PX + MARGIN_PX, PICTURE_PX + TEXT_PX
    sheet = Image.new("RGB", (COLUMNS * width + MARGIN_PX, math.ceil(len(faces) / COLUMNS) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for number, (face, odds, years) in enumerate(faces):
        left, top = MARGIN_PX + number % COLUMNS * width, number // COLUMNS * height
        with Image.open(face.path) as picture:
            sheet.paste(ImageOps.fit(picture.convert("RGB"), (PICTURE_PX, PICTURE_PX)), (left, top))
        certainty = 1 / (1 + math.exp(-abs(odds)))
        lines = (
            f"{face.name}, {face.race}",
            f"labelled {'F' if face.woman else 'M'} {face.years:.0f}",
            f"read {'F' if odds > 0 else 'M'} {years:.0f}, certainty {certainty:.2f}",
        )
        draw.multiline_text((left, top + PICTURE_PX + 1), "\n".join(lines), "black", font, spacing=1)
    sheet.save(path)


def main(data: Path, folder: Path, originals: Path, weights: Path, out: Path, count: int = 40) -> None:
    from safetensors.torch import load_file

    (network, gender), fused, faces = load_originals(originals), load_file(weights), read_faces(data)
    train = read_seen(faces["train"], folder, "train", COPIES, network)
    seen = read_seen(faces["held_out"], folder, "held_out", (0, 1), network)
    odds = read_all(train, seen, gender, fused)
    signed = odds["fused"] * np.where([face.woman for face in seen.faces], 1, -1)
    worst = np.argsort(signed, kind="stable")[:count]
    draw_sheet([(seen.faces[i], float(odds["fused"][i]), float(odds["years"][i])) for i in worst], out)
    print(f"{(signed < 0).sum()} of {len(signed)} faces are read as the other gender; {len(worst)} worst: {out}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:6]), *map(int, sys.argv[6:7]))
