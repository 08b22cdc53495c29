"""fairness.py FACES.csv DATA [CHECKPOINT]: measure by group how often a face's recalled voice has the face's labelled
gender.

FACES.csv is like prepare.py's held_out_faces.csv: path (relative to DATA), gender, race, age_bin. A voice counts as a
woman's if the model gives it a pitch above 160 Hz. The script prints a Markdown table with the share that is right and
the number of faces, and the 95 % interval (Wilson) over all faces.
"""

import csv
import math
import sys
from collections import defaultdict
from pathlib import Path

from facevc_cli import Converter
from facevc_cli.core.errors import FaceVCError

BETWEEN_HZ = 160.0
Z = 1.96


def wilson(right: int, count: int) -> tuple[float, float]:
    centre, spread = right + Z**2 / 2, Z * math.sqrt(right * (count - right) / count + Z**2 / 4)
    return (centre - spread) / (count + Z**2), (centre + spread) / (count + Z**2)


def main(table: Path, data: Path, checkpoint: str | None = None) -> None:
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    converter = Converter(checkpoint, "griffin-lim")
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    missed = 0
    for row in rows:
        try:
            target = converter.target_from_face(data / row["path"])
        except FaceVCError:
            missed += 1
            continue
        same = (math.exp(converter.find_log_f0(target)) > BETWEEN_HZ) == (row["gender"] == "female")
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])
