"""pair_up.py SOURCES.csv FACES OUT.csv: pair every source (column utterance) with every picture below FACES."""

import csv
import sys
from pathlib import Path


def main(sources: Path, faces: Path, out: Path) -> None:
    with open(sources, newline="", encoding="utf-8") as file:
        names = [row["utterance"] for row in csv.DictReader(file)]
    pictures = [p.relative_to(faces).with_suffix("").as_posix() for p in sorted(faces.rglob("*.png"))]
    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["source", "face"])
        writer.writerows([name, picture] for name in names for picture in pictures)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
