"""list_people.py VOXCELEB OUT [--each N]: link recordings and faces of VoxCeleb1 or VoxCeleb2 in OUT/chosen.

VoxCeleb1 names recordings by id and pictures by name: wav/id10001/VIDEO/00001.wav,
unzippedFaces/A.J._Buckley/1.6/VIDEO/0000025.jpg. vox1_meta.csv, with tabs, joins them and says the gender. VoxCeleb2
names both by id: dev/aac/id00012/VIDEO/00001.m4a, dev/mp4/id00012/VIDEO/00001.mp4, and the same in test. vox2_meta.csv
says the gender. Each person gets up to N of both, spread over their videos. The script writes OUT/voices.csv,
OUT/faces.csv (utterance, speaker) and OUT/people.csv too.
"""

import argparse
import csv
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

GENDERS = {"f": "female", "m": "male"}


@dataclass(frozen=True)
class Person:
    """Where somebody's recordings and faces are."""

    id: str
    gender: str
    voices: Path
    faces: Path


def read_table(path: Path, columns: set[str]) -> list[dict[str, str]]:
    """Read a table with tabs or commas; VoxCeleb puts blanks around the values."""
    text = path.read_text(encoding="utf-8-sig")
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    rows = [
        {key.strip(): (value or "").strip() for key, value in row.items() if key}
        for row in csv.DictReader(text.splitlines(), delimiter=delimiter)
    ]
    if not rows or not columns <= set(rows[0]):
        sys.exit(f"{path}: expected the columns {', '.join(sorted(columns))}, with tabs or commas between them.")
    return rows


def find_people(root: Path) -> list[Person]:
    """Find the people of VoxCeleb1 or VoxCeleb2, whichever the folder holds."""
    first, second = root / "vox1_meta.csv", root / "vox2_meta.csv"
    if second.is_file():
        people = read_table(second, {"VoxCeleb2 ID", "Gender", "Set"})
        folders = [(row, root / row["Set"]) for row in people]
        return [
            Person(
                row["VoxCeleb2 ID"],
                GENDERS.get(row["Gender"].lower(), ""),
                folder / "aac" / row["VoxCeleb2 ID"],
                folder / "mp4" / row["VoxCeleb2 ID"],
            )
            for row, folder in folders
        ]
    if not first.is_file():
        sys.exit(f"{first}: there is no such file. It is on VoxCeleb's page, as the metadata of VoxCeleb1.")
    people = []
    for row in read_table(first, {"VoxCeleb1 ID", "VGGFace1 ID", "Gender"}):
        pictures = root / "unzippedFaces" / row["VGGFace1 ID"]
        if not pictures.is_dir():  # some systems drop a dot at the end of a folder's name
            pictures = pictures.with_name(row["VGGFace1 ID"].rstrip("."))
        gender = GENDERS.get(row["Gender"].lower(), "")
        people.append(Person(row["VoxCeleb1 ID"], gender, root / "wav" / row["VoxCeleb1 ID"], pictures))
    return people


def spread(folder: Path, suffix: str | tuple[str, ...], count: int) -> list[Path]:
    """Choose up to `count` files, one of each video before a second of any, in the order of their names."""
    videos: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(suffix):
            videos.setdefault(path.parent, []).append(path)
    ranked = sorted((place, path) for files in videos.values() for place, path in enumerate(files))
    return sorted(path for _, path in ranked[:count])


def link(files: list[Path], origin: Path, folder: Path) -> list[str]:
    """Link the files in a tree like their own below `folder`. Return their ids there."""
    for path in files:
        made = folder / path.relative_to(origin)
        made.parent.mkdir(parents=True, exist_ok=True)
        made.symlink_to(path.resolve())
    return [(Path(folder.name) / path.relative_to(origin)).with_suffix("").as_posix() for path in files]


def write(path: Path, columns: list[str], rows: list) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voxceleb", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--each", type=int, default=20)
    given = parser.parse_args()
    people = find_people(given.voxceleb)
    chosen = given.out / "chosen"
    if chosen.exists():
        shutil.rmtree(chosen)
    voices, faces, known = [], [], []
    for person in people:
        heard = spread(person.voices, (".wav", ".m4a"), given.each)
        seen = spread(person.faces, (".jpg", ".mp4"), given.each)
        if heard and seen:
            known.append((person.id, person.gender, ""))
            voices += [(one, person.id) for one in link(heard, person.voices, chosen / "voices" / person.id)]
            faces += [(one, person.id) for one in link(seen, person.faces, chosen / "faces" / person.id)]
    if not known:
        sys.exit(
            f"{given.voxceleb}: expected wav/id10001/VIDEO/00001.wav and unzippedFaces/NAME/1.6/VIDEO/NUMBER.jpg of "
            "people in vox1_meta.csv, or dev/aac/id00012/VIDEO/00001.m4a and dev/mp4/id00012/VIDEO/00001.mp4 of people "
            "in vox2_meta.csv; found nobody with both."
        )
    write(given.out / "voices.csv", ["utterance", "speaker"], voices)
    write(given.out / "faces.csv", ["utterance", "speaker"], faces)
    write(given.out / "people.csv", ["person", "gender", "age"], known)
    print(f"{len(known)} of {len(people)} people: {len(voices)} recordings, {len(faces)} pictures")


if __name__ == "__main__":
    main()
