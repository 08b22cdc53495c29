"""check.py SOURCES FACES OUT [--labels TABLE] [--sources TABLE]: check that the inputs of a benchmark fit together.

SOURCES is a folder of recordings, or a CSV table with the columns path (relative to the table) and source_id. For a
table, OUT/sources gets a link to each recording. FACES holds PERSON/IMAGE. The script prints what it finds, and stops
at any mismatch that would spoil the figures.
"""

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".wma"}
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"}
SHOWN = 5  # names in a message


def read(path: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    missing = [name for name in needed if not rows or name not in rows[0]]
    if missing:
        sys.exit(f"{path}: expected rows with the columns {', '.join(needed)}; {', '.join(missing)} is missing")
    return rows


def find_files(folder: Path, suffixes: set[str]) -> dict[str, Path]:
    """Find files by id: the path below the folder, without suffix."""
    files = {
        p.relative_to(folder).with_suffix("").as_posix(): p
        for p in sorted(folder.rglob("*"))
        if p.suffix.lower() in suffixes
    }
    if not files:
        sys.exit(f"{folder}: expected files that end in {', '.join(sorted(suffixes))}, found none")
    return files


def link(table: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for row in read(table, ("path", "source_id")):
        original = table.parent / row["path"]
        if not original.is_file():
            sys.exit(f"{table}: there is no recording {original}")
        beside = folder / f"{row['source_id']}{original.suffix}"
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        beside.symlink_to(original.resolve())


def join_some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def compare(what: str, files: set[str], table: Path, rows: list[dict[str, str]], key: str) -> None:
    """Count genders, and print names that only one side has. Stop if the sides share no name."""
    known = {row[key]: row["gender"].strip() for row in rows}
    if not files & set(known):
        sys.exit(
            f"{table}: none of its {key}s ({join_some(sorted(known))}) is among the {what} ({join_some(sorted(files))})"
        )
    counts = Counter(known.get(name) or "unknown" for name in files)
    print(
        f"{len(files)} {what}: {', '.join(f'{count} {gender}' for gender, count in sorted(counts.items()))}",
        file=sys.stderr,
    )
    for side, names in (("not in the table", files - set(known)), ("in the table alone", set(known) - files)):
        if names:
            print(f"  {side} {table.name}: {join_some(sorted(names))}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("sources", "faces", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--sources", type=Path, dest="sources_table")
    given = parser.parse_args()
    folder = given.sources
    if folder.is_file():
        folder = given.out / "sources"
        link(given.sources, folder)
    recordings, images = find_files(folder, AUDIO_SUFFIXES), find_files(given.faces, IMAGE_SUFFIXES)
    misplaced = [name for name in images if name.count("/") != 1]
    if misplaced:
        sys.exit(
            f"{given.faces}: expected PERSON/IMAGE, found {join_some(misplaced)}. Put each image into a folder of its "
            "person"
        )
    people = Counter(name.split("/")[0] for name in images)
    if given.sources_table:
        compare(
            "sources",
            set(recordings),
            given.sources_table,
            read(given.sources_table, ("source_id", "gender")),
            "source_id",
        )
    if given.labels:
        rows = read(given.labels, ("target", "gender"))
        compare("people", set(people), given.labels, rows, "target")
        references = [name.strip() for row in rows for name in (row.get("references") or "").split("|") if name.strip()]
        lost = [name for name in references if not ((given.labels.parent / name).is_file() or Path(name).is_file())]
        if lost:
            sys.exit(f"{given.labels}: {len(lost)} of {len(references)} references do not exist: {join_some(lost)}")
        print(f"{len(references)} real recordings of them", file=sys.stderr)
    print(f"{len(images)} images, {min(people.values())} to {max(people.values())} per person", file=sys.stderr)


if __name__ == "__main__":
    main()
