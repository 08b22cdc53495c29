"""fairness.py FACES.csv DATA [CHECKPOINT]: measure by group how often a face's recalled voice has the face's labelled
gender.

FACES.csv is like prepare.py's held_out_faces.csv: path (relative to DATA), gender, race, age_bin. A voice counts as a
woman's if its register is above .5, or, for a model whose registers cannot be read, if its pitch is above 160 Hz. The
script prints a Markdown table with the share that is right and the number of faces, and the 95 % interval (Wilson) over
all faces. Then it prints the setting conversion.register_evidence that fits these faces, and how many wrong faces the
warning about a doubtful register catches.
"""

import csv
import math
import sys
from collections import defaultdict
from pathlib import Path

from facevc_cli import Converter
from facevc_cli.conversion.voice_reading import DOUBTFUL_BELOW
from facevc_cli.core.errors import FaceVCError
from facevc_cli.voices.traits import MIDDLE

BETWEEN_HZ = 160.0
Z = 1.96


def wilson(right: int, count: int) -> tuple[float, float]:
    centre, spread = right + Z**2 / 2, Z * math.sqrt(right * (count - right) / count + Z**2 / 4)
    return (centre - spread) / (count + Z**2), (centre + spread) / (count + Z**2)


def fit_evidence(distances: list[float]) -> float:
    """Fit k of P(right) = 1 / (1 + exp(-k d)) by Newton's method. d: distance from the middle, negative if wrong."""
    k = 1.0
    for _ in range(100):
        chances = [1 / (1 + math.exp(-k * d)) for d in distances]
        slope = sum(d * (1 - p) for d, p in zip(distances, chances, strict=True))
        curve = sum(d * d * p * (1 - p) for d, p in zip(distances, chances, strict=True))
        k = max(k + slope / max(curve, 1e-9), 1e-3)
    return k


def print_certainty(distances: list[float], evidence: float) -> None:
    """Print how well the certainty of a face's register fits these faces."""
    doubtful = [d for d in distances if 1 / (1 + math.exp(-evidence * abs(d))) < DOUBTFUL_BELOW]
    wrong = sum(d < 0 for d in distances)
    print(
        f"\nconversion.register_evidence: {fit_evidence(distances):.1f} fits these faces, {evidence:g} is set. "
        f"{len(doubtful)} of {len(distances)} faces are doubtful, and {sum(d < 0 for d in doubtful)} of {wrong} wrong "
        "ones are among them."
    )


def main(table: Path, data: Path, checkpoint: str | None = None) -> None:
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    converter = Converter(checkpoint, "griffin-lim")
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    missed, distances = 0, []
    for row in rows:
        try:
            target = converter.target_from_face(data / row["path"])
        except FaceVCError:
            missed += 1
            continue
        reading = converter.read_voice(target)
        if reading is None:
            same = (math.exp(converter.find_log_f0(target)) > BETWEEN_HZ) == (row["gender"] == "female")
        else:
            distances.append((reading.register - MIDDLE) * (1 if row["gender"] == "female" else -1))
            same = distances[-1] > 0
        for group in (row.get("race", ""), f"age {row['age_bin']}", "all"):
            right[group, row["gender"]].append(same)
    everyone = [*right["all", "female"], *right["all", "male"]]
    low, high = wilson(sum(everyone), len(everyone))
    print(
        f"{len(everyone)} faces, {missed} more in which none was found: {sum(everyone) / len(everyone):.3f} "
        f"({low:.3f} to {high:.3f})\n"
    )
    print("| group | women | men |\n| --- | --- | --- |")
    for group in sorted({group for group, _ in right}):
        cells = [
            f"{sum(found) / len(found):.2f} ({len(found)})" if (found := right[group, gender]) else ""
            for gender in ("female", "male")
        ]
        print(f"| {group} | {cells[0]} | {cells[1]} |")
    if distances:
        print_certainty(distances, converter.style.register_evidence)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])
