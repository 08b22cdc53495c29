"""list_people.py VOXCELEB OUT [--each N]: choose recordings and pictures of VoxCeleb1, as links in OUT/chosen.

VoxCeleb1 names recordings by id and pictures by name: wav/id10001/VIDEO/00001.wav,
unzippedFaces/A.J._Buckley/1.6/VIDEO/0000025.jpg. vox1_meta.csv, with tabs, joins them and says the gender. Each person
gets up to N of both, spread over their videos. The script writes OUT/voices.csv, OUT/faces.csv (utterance, speaker) and
OUT/people.csv too.
"""

import argparse
import csv
import shutil
import sys
from pathlib import Path

GENDERS = {"f": "female", "m": "male"}


def read_people(table: Path) -> list[tuple[str, str, str]]:
    """Return (id, name, gender) of each person."""
    if not table.is_file():
        sys.exit(f"{table}: there is no such file. It is on VoxCeleb's page, as the metadata of VoxCeleb1.")
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = [
            {key.strip(): (value or "").strip() for key, value in row.items() if key}
            for row in csv.DictReader(file, delimiter="\t")
        ]
    if not rows or not {"VoxCeleb1 ID", "VGGFace1 ID", "Gender"} <= set(rows[0]):
        sys.exit(f"{table}: expected the columns VoxCeleb1 ID, VGGFace1 ID and Gender, with tabs between them.")
    return [(row["VoxCeleb1 ID"], row["VGGFace1 ID"], GENDERS.get(row["Gender"].lower(), "")) for row in rows]


def spread(folder: Path, suffix: str, count: int) -> list[Path]:
    """Choose up to `count` files, one of each video before a second of any, in the order of their names."""
    videos: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob(f"*{suffix}")):
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
    people = read_people(given.voxceleb / "vox1_meta.csv")
    chosen = given.out / "chosen"
    if chosen.exists():
        shutil.rmtree(chosen)
    voices, faces, known = [], [], []
    for person, name, gender in people:
        heard = spread(given.voxceleb / "wav" / person, ".wav", given.each)
        pictures = given.voxceleb / "unzippedFaces" / name
        if not pictures.is_dir():  # some systems drop a dot at the end of a folder's name
            pictures = pictures.with_name(name.rstrip("."))
        seen = spread(pictures, ".jpg", given.each)
        if heard and seen:
            known.append((person, gender, ""))
            origins = (given.voxceleb / "wav" / person, pictures)
            voices += [(one, person) for one in link(heard, origins[0], chosen / "voices" / person)]
            faces += [(one, person) for one in link(seen, origins[1], chosen / "faces" / person)]
    if not known:
        sys.exit(
            f"{given.voxceleb}: expected wav/id10001/VIDEO/00001.wav and unzippedFaces/NAME/1.6/VIDEO/NUMBER.jpg "
            "of people in vox1_meta.csv, found nobody with both."
        )
    write(given.out / "voices.csv", ["utterance", "speaker"], voices)
    write(given.out / "faces.csv", ["utterance", "speaker"], faces)
    write(given.out / "people.csv", ["person", "gender", "age"], known)
    print(f"{len(known)} of {len(people)} people: {len(voices)} recordings, {len(faces)} pictures")


if __name__ == "__main__":
    main()
