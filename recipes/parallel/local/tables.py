"""tables.py OUT: write the tables that extraction and training need, from OUT/index.csv.

The script writes OUT/speech.txt (the recordings), speakers.csv (a timbre is a speaker), splits.csv (every twentieth
text is for validation, in all of its timbres) and aligned.csv (utterance, text_id): utterances of one text_id have the
same words in the same frames.
"""

import csv
import sys
from pathlib import Path

EVERY_VALID = 20


def is_valid(text_id: str) -> bool:
    return int(text_id[2:]) % EVERY_VALID == EVERY_VALID - 1


def write(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def main(out: Path) -> None:
    with open(out / "index.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        sys.exit(f"{out / 'index.csv'}: expected recordings, found none. Run stage 3.")
    (out / "speech.txt").write_text("".join(f"{(out / row['file']).resolve()}\n" for row in rows), encoding="utf-8")
    write(
        out / "speakers.csv", ("utterance", "speaker"), [(row["utterance"], f"kokoro-{row['timbre']}") for row in rows]
    )
    write(
        out / "splits.csv",
        ("utterance", "split"),
        [(row["utterance"], "valid" if is_valid(row["text_id"]) else "train") for row in rows],
    )
    write(out / "aligned.csv", ("utterance", "text_id"), [(row["utterance"], row["text_id"]) for row in rows])
    print(f"{len(rows)} utterances, {len({row['text_id'] for row in rows})} texts: {out / 'aligned.csv'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
