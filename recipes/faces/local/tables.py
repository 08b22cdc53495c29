"""Which faces train, which only measure, and what is known of them."""

import csv
from dataclasses import dataclass
from pathlib import Path

# middle of each bin that counts as adult, in years
AGES = {"20-29": 25.0, "30-39": 34.5, "40-49": 44.5, "50-59": 54.5, "60-69": 64.5, "more than 70": 75.0}
HELD_OUT = Path(__file__).parents[2] / "starter" / "held_out_faces.txt"


@dataclass(frozen=True)
class LabelledFace:
    """One picture. pairs.csv gives no age or race; its gender is that of the voice, and not known here."""

    name: str
    path: Path
    woman: bool = False
    years: float = 0.0
    race: str = ""


def read_faces(data: Path) -> dict[str, list[LabelledFace]]:
    """Returns the sets train, held_out and, if DATA/pairs.csv is there, pairs."""
    held_out = set(HELD_OUT.read_text(encoding="utf-8").split())
    sets: dict[str, list[LabelledFace]] = {"train": [], "held_out": []}
    for row in read_table(data / "faces.csv"):
        if row["age_bin"] in AGES:
            face = LabelledFace(
                row["face"], data / row["path"], row["gender"] == "female", AGES[row["age_bin"]], row["race"]
            )
            sets["held_out" if face.name in held_out else "train"].append(face)
    if (data / "pairs.csv").is_file():
        sets["pairs"] = [LabelledFace(row["pair"], data / row["face"]) for row in read_table(data / "pairs.csv")]
    return sets


def read_table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
