"""list_people.py CREMA-D OUT: write OUT/voices.csv, OUT/faces.csv (utterance, speaker) and OUT/people.csv.

CREMA-D names a clip by its actor: AudioWAV/1001_DFA_ANG_XX.wav, VideoFlash/1001_DFA_ANG_XX.flv. VideoDemographics.csv
says the actors' sex and age.
"""

import csv
import sys
from pathlib import Path

GENDERS = {"female": "female", "male": "male"}


def list_clips(folder: Path, suffix: str) -> list[tuple[str, str]]:
    """Return (utterance, actor) of each clip."""
    found = [(path.stem, path.stem.split("_")[0]) for path in sorted(folder.glob(f"*{suffix}"))]
    if not found:
        sys.exit(f"{folder}: expected CREMA-D's clips, such as 1001_DFA_ANG_XX{suffix}, found none.")
    return found


def read_people(table: Path) -> list[tuple[str, str, str]]:
    """Return (person, gender, age) of each actor."""
    if not table.is_file():
        sys.exit(f"{table}: there is no such file. It is in CREMA-D's repository, beside AudioWAV.")
    with open(table, newline="", encoding="utf-8-sig") as file:
        return [
            (row["ActorID"].strip(), GENDERS.get(row["Sex"].strip().lower(), ""), row["Age"].strip())
            for row in csv.DictReader(file)
        ]


def write(path: Path, columns: list[str], rows: list) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def main(root: Path, out: Path) -> None:
    write(out / "voices.csv", ["utterance", "speaker"], list_clips(root / "AudioWAV", ".wav"))
    write(out / "faces.csv", ["utterance", "speaker"], list_clips(root / "VideoFlash", ".flv"))
    write(out / "people.csv", ["person", "gender", "age"], read_people(root / "VideoDemographics.csv"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
