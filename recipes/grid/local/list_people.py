"""list_people.py GRID OUT [--people TABLE]: write OUT/voices.csv, OUT/faces.csv (utterance, speaker), OUT/people.csv.

GRID holds the clips of a speaker in one folder: s1/bbaf2n.mpg or s1/video/mpg_6000/bbaf2n.mpg. A clip has its sound.
GRID's packages name no genders and ages. TABLE has the columns person, gender and age.
"""

import argparse
import csv
import re
import shutil
import sys
from pathlib import Path

from facevc_cli.files.inputs import VIDEO_SUFFIXES


def list_clips(root: Path) -> list[tuple[str, str]]:
    """Return (utterance, speaker) of each clip."""
    found = []
    for path in sorted(root.rglob("*")):
        utterance = path.relative_to(root).with_suffix("").as_posix()
        speaker = re.match(r"s[0-9]+(?=/)", utterance)
        if speaker and path.suffix.lower() in VIDEO_SUFFIXES:
            found.append((utterance, speaker[0]))
    if not found:
        sys.exit(f"{root}: expected GRID's clips, such as s1/bbaf2n.mpg, found none.")
    return found


def write(path: Path, columns: list[str], rows: list) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=Path)
    given = parser.parse_args()
    clips = list_clips(given.grid)
    for name in ("voices", "faces"):
        write(given.out / f"{name}.csv", ["utterance", "speaker"], clips)
    if given.people:
        shutil.copyfile(given.people, given.out / "people.csv")
    else:
        write(given.out / "people.csv", ["person", "gender", "age"], [])


if __name__ == "__main__":
    main()
