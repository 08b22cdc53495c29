"""clips.py CLIPS PEOPLE.csv OUT [--count N]: list talking faces, as in GRID: the tables of tables.py.

CLIPS holds a folder for each person, at any depth below it the person's clips, with their sound: s1/bbaf2n.mpg or
s1/video/mpg_6000/bbaf2n.mpg. PEOPLE.csv has the columns person (or speaker) and gender. N people train nothing.
"""

import argparse
import sys
from pathlib import Path

import av
from tables import NAMES, hold_out, link, read, write_tables, write_test

from facevc_cli.files.inputs import VIDEO_SUFFIXES


def save_middle_frame(clip: Path, picture: Path) -> None:
    with av.open(str(clip)) as container:
        count = sum(1 for _ in container.decode(video=0))
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == count // 2:
                frame.to_image().save(picture)
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("clips", "people", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--count", type=int, default=4)
    given = parser.parse_args()
    genders = {row.get("person") or row["speaker"]: NAMES.get(row["gender"].lower(), "") for row in read(given.people)}
    files = sorted(p for p in given.clips.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
    clips = {p.relative_to(given.clips).with_suffix("").as_posix(): p for p in files}
    listed = [(name, name.split("/")[0]) for name in clips if "/" in name and genders.get(name.split("/")[0])]
    people = {person: genders[person] for _, person in listed}
    if len(people) < 3:
        sys.exit(
            f"{given.clips}: expected clips of three people or more whose gender {given.people} says, in a folder for "
            f"each person, found {len(people)}."
        )
    tested = hold_out(people, given.count)
    both = {(kind, person): gender for person, gender in people.items() for kind in ("voice", "face")}
    write_tables(given.out, listed, listed, both, tested)
    (given.out / "test" / "faces").mkdir(parents=True, exist_ok=True)
    for person in tested:
        clip = next(clips[name] for name, own in listed if own == person)
        link(clip, given.out / "test" / "sources", person)
        save_middle_frame(clip, given.out / "test" / "faces" / f"{person}.png")
    write_test(given.out, [(p, people[p]) for p in tested], [(p, people[p]) for p in tested])


if __name__ == "__main__":
    main()
