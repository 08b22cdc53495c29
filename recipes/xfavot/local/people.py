"""people.py FEATURES.h5 FACES.h5 KNOWN.csv OUT.csv [--pairs PAIRS.csv | --same-people] [--paired-only]: make the table
of people for `facevc train --preset xfavot`.

It has a row for each speaker with recordings to train on and for each face: speaker, face, gender. PAIRS.csv (speaker,
face) joins speakers with faces of other people. With --same-people a name of both stores is one person. Who is in
neither is a person of recordings or of pictures alone; --paired-only leaves these out. KNOWN.csv (kind, name, gender)
says the genders; who has none is left out. The script prints how many people have both: the domains of speakers.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from facevc_cli.corpus.store import Store

Row = dict[str, str]


def read(path: Path) -> list[Row]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def list_people(
    speakers: Sequence[str], faces: Sequence[str], genders: dict[tuple[str, str], str], pairs: Sequence[tuple[str, str]]
) -> list[Row]:
    """Return the rows: pairs first, then the speakers and the faces that are in no pair."""
    voices = {name: genders.get(("voice", name), "") for name in speakers}
    shown = {name: genders.get(("face", name), "") for name in faces}
    joined = [(s, f) for s, f in pairs if voices.get(s) and voices.get(s) == shown.get(f)]
    rows = [{"speaker": s, "face": f, "gender": voices[s]} for s, f in joined]
    heard, seen = {s for s, _ in joined}, {f for _, f in joined}
    rows += [{"speaker": s, "face": "", "gender": g} for s, g in voices.items() if g and s not in heard]
    return rows + [{"speaker": "", "face": f, "gender": g} for f, g in shown.items() if g and f not in seen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("features", "faces", "known", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--same-people", action="store_true")
    parser.add_argument("--paired-only", action="store_true")
    given = parser.parse_args()
    with Store(given.features, "extract-features") as features:
        splits = features.read_column("split")
        speakers = [s for s, split in zip(features.speakers, splits, strict=True) if split == "train"]
    with Store(given.faces, "extract-face") as faces:
        held_out = set(features.speakers) - set(speakers)
        names = [*faces.speakers] if given.same_people else [*faces.ids]
    genders = {(row["kind"], row["name"]): row["gender"] for row in read(given.known)}
    pairs = [(name, name) for name in dict.fromkeys(speakers)] if given.same_people else []
    if given.pairs:
        pairs = [(row["speaker"], row["face"]) for row in read(given.pairs)]
    rows = list_people(speakers, [n for n in names if n not in held_out], genders, pairs)
    if given.paired_only:
        rows = [row for row in rows if row["speaker"] and row["face"]]
    if not rows:
        sys.exit(f"{given.known}: it says the gender of nobody in {given.features} and {given.faces}.")
    with open(given.out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["speaker", "face", "gender"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(len({row["speaker"] for row in rows if row["speaker"] and row["face"]}))


if __name__ == "__main__":
    main()
