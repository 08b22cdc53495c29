"""pair.py FACES.h5 VOICES.h5 PEOPLE.csv OUT.csv [--voices-each N] [--seed N]: pseudo-pairs of faces and voices.

The faces and the voices belong to different people. PEOPLE.csv (kind: face or voice, name, gender, age) says their
gender and, for some, a range of ages. Each face gets N speakers of its gender, drawn at random: of its own range of
ages if there are any, else of any or an unknown age. So a model can learn gender and age, and nothing else.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from facevc_cli.corpus.store import Store


def draw_pairs(
    faces: list[str], speakers: list[str], people: dict[tuple[str, str], dict[str, str]], count: int, seed: int
) -> list[dict[str, str]]:
    """Returns rows with `speaker` and `face`: `count` for each face whose gender is known."""
    rng = np.random.default_rng(seed)
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for speaker in speakers:
        about = people.get(("voice", speaker), {})
        groups[about.get("gender", ""), about.get("age", "")].append(speaker)
    rows = []
    for face in faces:
        about = people.get(("face", face), {})
        gender, age = about.get("gender", ""), about.get("age", "")
        fitting = groups[gender, age] if age else []
        if not fitting:
            fitting = [speaker for (own, _), found in sorted(groups.items()) if own == gender for speaker in found]
        if gender and fitting:
            drawn = rng.choice(fitting, min(count, len(fitting)), replace=False)
            rows += [{"speaker": str(speaker), "face": face} for speaker in drawn]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("faces", "voices", "people", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--voices-each", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with open(options.people, newline="", encoding="utf-8") as file:
        people = {(row["kind"], row["name"]): row for row in csv.DictReader(file)}
    with Store(options.faces, "extract-face") as faces, Store(options.voices, "extract-spkemb") as voices:
        speakers = sorted(set(voices.speakers))
        rows = draw_pairs(list(faces.ids), speakers, people, options.voices_each, options.seed)
    if not rows:
        raise SystemExit(f"{options.people}: no face and no voice of one gender. Check the names and the genders.")
    with open(options.out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["speaker", "face"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
