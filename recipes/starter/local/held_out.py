"""held_out.py DATA OUT [--count N]: make the starter's test: N utterances of held-out speakers, and N faces outside the
training.

The script reads OUT/splits.csv and OUT/faces.txt of prepare.py, DATA/speech.csv and DATA/faces.csv. Half of each are
women. It writes OUT/test/sources and OUT/test/faces (links), sources.csv (source_id, gender, transcript) and
targets.csv (target, gender).
"""

import argparse
import csv
import random
from collections.abc import Collection
from pathlib import Path

SHORTEST_S, LONGEST_S = 3.5, 12.0  # as prepare.py chooses held-out speakers
CLEAN = ("librispeech", "vctk")
AGES = ("20-29", "30-39", "40-49", "50-59", "60-69")
SEED = 1


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def link(original: Path, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{original.suffix}"
    path.unlink(missing_ok=True)
    path.symlink_to(original.resolve())


def find_utterances(data: Path, out: Path, corpora: Collection[str] = ()) -> dict[str, list[dict[str, str]]]:
    """Find for each held-out speaker the rows of the utterances of suitable length.

    corpora: only these, if any are named.
    """
    tested = {row["speaker"] for row in read(out / "splits.csv") if row["split"] == "test"}
    found: dict[str, list[dict[str, str]]] = {}
    for row in read(data / "speech.csv"):
        if (
            row["speaker"] in tested
            and (not corpora or row["corpus"] in corpora)
            and SHORTEST_S <= float(row["seconds"]) <= LONGEST_S
        ):
            found.setdefault(row["speaker"], []).append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=12)
    given = parser.parse_args()
    rng = random.Random(SEED)
    trained_on = {Path(line).stem for line in (given.out / "faces.txt").read_text(encoding="utf-8").splitlines()}
    of_speaker = find_utterances(given.data, given.out, CLEAN)
    pictures = [
        f for f in read(given.data / "faces.csv") if Path(f["path"]).stem not in trained_on and f["age_bin"] in AGES
    ]
    test = given.out / "test"
    sources: list[list[str]] = []
    targets: list[list[str]] = []
    for gender in ("female", "male"):
        spoken = [rows[0] for _, rows in sorted(of_speaker.items()) if rows[0]["gender"] == gender]
        for row in rng.sample(spoken, min(given.count // 2, len(spoken))):
            link(given.data / row["path"], test / "sources", row["utterance"])
            sources.append([row["utterance"], gender, row["text"]])
        shown = [f for f in pictures if f["gender"] == gender]
        for face in rng.sample(shown, min(given.count // 2, len(shown))):
            link(given.data / face["path"], test / "faces", face["face"])
            targets.append([face["face"], gender])
    write(test / "sources.csv", ["source_id", "gender", "transcript"], sources)
    write(test / "targets.csv", ["target", "gender"], targets)


if __name__ == "__main__":
    main()
