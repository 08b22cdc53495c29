"""held_out_pairs.py OUT PICTURES [--share S] [--each N]: write OUT/pairs.csv, the faces and voices of held-out people.

`facevc train --preset cmpc` holds people out by their names (train.validation_share). This script chooses the same
people: their recordings in OUT/wav, and their pictures or clips below PICTURES. Of a clip it takes a picture from the
middle, because an evaluation reads pictures. Each person gets up to N pairs.
"""

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

import av

from facevc_cli.families.cmpc.pairs import is_held_out
from facevc_cli.files.inputs import IMAGE_SUFFIXES, VIDEO_SUFFIXES


def read_table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def group_held_out(rows: list[dict[str, str]], share: float) -> dict[str, list[str]]:
    """Return the utterances of each held-out person, in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if is_held_out(row["speaker"], share):
            found[row["speaker"]].append(row["utterance"])
    return found


def spread(names: list[str], count: int) -> list[str]:
    """Choose up to `count` names, evenly over the list."""
    return [names[i * len(names) // count] for i in range(count)] if len(names) > count else names


def find_files(root: Path, suffixes: frozenset[str] | set[str]) -> dict[str, Path]:
    return {
        path.relative_to(root).with_suffix("").as_posix(): path
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in suffixes
    }


def take_picture(file: Path, picture: Path) -> Path:
    """Return a picture itself, or the middle frame of a clip, saved as `picture`."""
    if file.suffix.lower() in IMAGE_SUFFIXES:
        return file.resolve()
    if not picture.exists():
        with av.open(str(file)) as container:
            count = sum(1 for _ in container.decode(video=0))
        picture.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(file)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number == count // 2:
                    frame.to_image().save(picture)
                    break
    return picture.resolve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--share", type=float, default=0.15)
    parser.add_argument("--each", type=int, default=4)
    given = parser.parse_args()
    people = {row["person"]: row for row in read_table(given.out / "people.csv")}
    heard = group_held_out(read_table(given.out / "voices.csv"), given.share)
    seen = group_held_out(read_table(given.out / "faces.csv"), given.share)
    files = find_files(given.pictures, IMAGE_SUFFIXES | VIDEO_SUFFIXES)
    rows = []
    for person in sorted(set(heard) & set(seen)):
        voices = [name for name in heard[person] if (given.out / "wav" / f"{name}.wav").is_file()]
        faces = [name for name in seen[person] if name in files]
        for voice, face in zip(spread(voices, given.each), spread(faces, given.each), strict=False):
            about = people.get(person, {})
            rows.append(
                {
                    "face": str(take_picture(files[face], given.out / "stills" / f"{face}.png")),
                    "voice": f"wav/{voice}.wav",
                    "person": person,
                    "gender": about.get("gender", ""),
                    "age": about.get("age", ""),
                }
            )
    if len({row["person"] for row in rows}) < 2:
        sys.exit(
            f"{given.out}: expected two people or more who are held out (a share of {given.share:g}) and have a face "
            "and a voice, found fewer. Pass a larger --held-out to all stages from 5 on, or more people."
        )
    with open(given.out / "pairs.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
