"""choose.py DATA TABLES OUT --hours H --speakers N --faces N: choose speech and faces of recipes/starter's tables.

TABLES holds what recipes/starter/local/prepare.py wrote for DATA. Half of the hours are of N speakers, those of whom
there is most; a face is joined with each of them later. The other half are of other speakers. Only corpora of clean
speech count. The same input gives the same choice.

The script writes speech.txt and voices.txt (files of speech; the second those that d-vectors are made of), faces.txt,
speakers.csv, splits.csv and known.csv (kind, name, corpus, gender, age). Half of the speakers and faces are women.
"""

import argparse
import csv
import random
import shutil
from collections import defaultdict
from pathlib import Path

CLEAN = ("librispeech", "vctk", "speechocean762")
SHORTEST_S, LONGEST_S = 1.5, 16.1  # as prepare.py chooses
HEARD = 3  # utterances of a speaker, of which d-vectors are made
GENDERS = ("female", "male")


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def group_usable(speech: list[dict[str, str]], trained: set[str]) -> dict[str, list[dict[str, str]]]:
    """Return the utterances of each speaker of a clean corpus and a known gender who may train."""
    found = defaultdict(list)
    for row in speech:
        known = row["corpus"] in CLEAN and row["gender"] in GENDERS and row["speaker"] in trained
        if known and SHORTEST_S < float(row["seconds"]) < LONGEST_S:
            found[row["speaker"]].append(row)
    return found


def measure_s(rows: list[dict[str, str]]) -> float:
    return sum(float(row["seconds"]) for row in rows)


def take(rows: list[dict[str, str]], most_s: float) -> list[dict[str, str]]:
    """Return the first rows, at least one, until they last `most_s`."""
    taken: list[dict[str, str]] = []
    while rows[len(taken) :] and measure_s(taken) < most_s:
        taken.append(rows[len(taken)])
    return taken


def choose_speech(
    usable: dict[str, list[dict[str, str]]], speakers: int, hours: float
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return the utterances of those who are joined with faces, and those of others."""
    joined: list[str] = []
    for gender in GENDERS:
        own = [name for name, rows in usable.items() if rows[0]["gender"] == gender]
        joined += sorted(own, key=lambda name: (-measure_s(usable[name]), name))[: speakers // 2]
    half_s = hours * 3600 / 2
    mine = [row for name in joined for row in take(usable[name], half_s / max(1, len(joined)))]
    others = [row for name, rows in sorted(usable.items()) if name not in joined for row in rows]
    random.Random(0).shuffle(others)
    return mine, take(others, half_s)


def choose_faces(paths: list[str], genders: dict[str, str], count: int) -> list[str]:
    """Return the first pictures of each gender."""
    return [
        path
        for gender in GENDERS
        for path in [p for p in paths if genders.get(Path(p).stem) == gender][: -(-count // 2)]
    ][:count]


def write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "tables", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--hours", type=float, required=True)
    parser.add_argument("--speakers", type=int, required=True)
    parser.add_argument("--faces", type=int, required=True)
    given = parser.parse_args()
    splits = read(given.tables / "splits.csv")
    trained = {row["speaker"] for row in splits if row["split"] == "train"}
    joined, others = choose_speech(group_usable(read(given.data / "speech.csv"), trained), given.speakers, given.hours)
    heard = defaultdict(list)
    for row in joined:
        heard[row["speaker"]].append(row)
    paths = {name: [str((given.data / row["path"]).resolve()) for row in rows] for name, rows in heard.items()}
    write_lines(given.out / "speech.txt", [str((given.data / row["path"]).resolve()) for row in joined + others])
    write_lines(given.out / "voices.txt", [path for files in paths.values() for path in files[:HEARD]])
    people = read(given.tables / "people.csv")
    genders = {row["name"]: row["gender"] for row in people if row["kind"] == "face"}
    shown = (given.tables / "faces.txt").read_text(encoding="utf-8").splitlines()
    write_lines(given.out / "faces.txt", choose_faces(shown, genders, given.faces))
    for name in ("speakers", "splits"):
        shutil.copyfile(given.tables / f"{name}.csv", given.out / f"{name}.csv")
    shutil.copyfile(given.tables / "people.csv", given.out / "known.csv")


if __name__ == "__main__":
    main()
