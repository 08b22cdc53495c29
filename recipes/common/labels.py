"""labels.py TARGETS.csv SOURCES.csv WAVS OUT [--genders TABLE.csv] [--texts FOLDER]: write a test's labels, for `facevc
evaluate`.

TARGETS.csv and SOURCES.csv have the columns utterance and speaker; WAVS is the folder of extract-wav. The script writes
OUT/targets.csv (target,
gender, references: the target's real recordings) and OUT/sources.csv (source_id, gender, transcript). Genders come from
a table (speaker, gender), transcripts from LRS-style files FOLDER/UTTERANCE.txt, whose first line is "Text:" and the
words.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def read_transcript(folder: Path | None, utterance: str) -> str:
    path = folder / f"{utterance}.txt" if folder else None
    if path is None or not path.is_file():
        return ""
    label, _, words = path.read_text(encoding="utf-8").partition("\n")[0].partition(":")
    return words.strip() if label.strip() == "Text" else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("targets", "sources", "wavs", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--genders", type=Path)
    parser.add_argument("--texts", type=Path)
    given = parser.parse_args()
    genders = {row["speaker"]: row["gender"] for row in read(given.genders)} if given.genders else {}
    recordings: dict[str, list[str]] = defaultdict(list)
    for row in read(given.targets):
        recordings[row["speaker"]].append(str((given.wavs / f"{row['utterance']}.wav").resolve()))
    people = [[speaker, genders.get(speaker, ""), "|".join(files)] for speaker, files in recordings.items()]
    write(given.out / "targets.csv", ["target", "gender", "references"], people)
    about = [
        [r["utterance"], genders.get(r["speaker"], ""), read_transcript(given.texts, r["utterance"])]
        for r in read(given.sources)
    ]
    write(given.out / "sources.csv", ["source_id", "gender", "transcript"], about)


if __name__ == "__main__":
    main()
