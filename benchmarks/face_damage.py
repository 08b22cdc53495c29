"""Damage pictures of faces by strength, and measure what is left of the voices that they give.

FACES holds good pictures, one person each. Columns of the table:

| column | what |
| --- | --- |
| found | share of the pictures in which a face is still found; the other columns are of these |
| same register | share of the voices on the same side of the registers as that of the undamaged picture |
| voice | cosine of the voice and that of the undamaged picture; that of another person's picture is in the first row |
| years | how far the age that is heard in the voice has moved |
"""

from collections.abc import Mapping
from itertools import permutations
from pathlib import Path

import common
import numpy as np

from facevc_cli import Converter
from facevc_cli.conversion.voice import Target
from facevc_cli.conversion.voice_reading import is_feminine, read_target
from facevc_cli.core.errors import FaceVCError
from facevc_cli.faces.analyser import NoFaceError
from facevc_cli.faces.degradation import degrade
from facevc_cli.files.image import load_image
from facevc_cli.files.inputs import IMAGE_SUFFIXES, list_files

STRENGTHS: Mapping[str, tuple[str, ...]] = {  # from little to much; pictures are 224 px wide or made so
    "blur": ("1", "2", "4", "8"),
    "downscale": ("2", "4", "6", "8"),
    "jpeg": ("40", "20", "10", "5"),
    "dark": ("0.5", "0.25", "0.1", "0.05"),
    "occlude": ("0.05", "0.1", "0.2", "0.3"),
    "rotate": ("10", "20", "45", "90"),
}
SIDE_PX = 224


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("faces", type=Path, help="a folder of pictures, one person each")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint; without it, the bundled model")
    parser.add_argument("--limit", type=int, default=12, help="most pictures, evenly over the folder")
    parser.add_argument("--kinds", nargs="+", choices=list(STRENGTHS), default=list(STRENGTHS))
    args = parser.parse_args()
    listed = list_files([args.faces], IMAGE_SUFFIXES)
    if len(listed) < 2:
        parser.error(f"{args.faces}: expected at least two pictures, found {len(listed)}")
    paths = [listed[i] for i in np.linspace(0, len(listed) - 1, min(args.limit, len(listed))).astype(int)]
    converter = Converter(args.checkpoint, "griffin-lim")
    pictures = [scale(load_image(path)) for path in paths]
    clean = [converter.target_from_face(picture) for picture in pictures]
    apart = float(np.mean([compare(clean[i], clean[j]) for i, j in permutations(range(len(clean)), 2)]))
    rows = [{"damage": "another person", "found": 1.0, "same register": "", "voice": round(apart, 3), "years": ""}]
    for kind in args.kinds:
        for strength in STRENGTHS[kind]:
            condition = f"{kind}={strength}"
            rows.append({"damage": condition, **measure(converter, pictures, clean, condition)})
    common.show("Damaged faces", rows, args.json, pictures=len(pictures))


def scale(picture: np.ndarray) -> np.ndarray:
    """Makes a picture's longer side SIDE_PX pixels: then a strength in pixels means the same for all."""
    from PIL import Image

    made = Image.fromarray(picture)
    made.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    return np.asarray(made)


def measure(
    converter: Converter, pictures: list[np.ndarray], clean: list[Target], condition: str
) -> dict[str, float | str]:
    """Measures one condition: means over the pictures."""
    same, voices, years = [], [], []
    for picture, before in zip(pictures, clean, strict=True):
        try:
            after = converter.target_from_face(degrade(picture, condition))
        except NoFaceError:
            continue
        voices.append(compare(before, after))
        heard = [read_target(converter.model, one, converter.style.register_evidence) for one in (before, after)]
        if heard[0] is not None and heard[1] is not None:
            same.append(float(is_feminine(heard[0].register) == is_feminine(heard[1].register)))
            years.append(abs(heard[0].age_years - heard[1].age_years))
    found = {"same register": same, "voice": voices, "years": years}
    means = {name: round(float(np.mean(values)), 3) if values else "" for name, values in found.items()}
    return {"found": round(len(voices) / len(pictures), 3), **means}


def compare(one: Target, other: Target) -> float:
    """Returns the cosine of two voices."""
    a, b = (target.speaker[0].float().cpu().numpy() for target in (one, other))
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    if norm == 0:
        raise FaceVCError("a voice of zeros has no direction. Choose another checkpoint.")
    return float(a @ b) / norm


if __name__ == "__main__":
    main()
