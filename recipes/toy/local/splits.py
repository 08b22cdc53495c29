"""splits.py MANIFEST.csv OUT: hold people out, by the manifest of extract-wav.

The script writes OUT/splits.csv (speaker, split): a quarter of the people, at least two, are for testing. With five or
more people one is for validation. It also writes OUT/test.csv (utterance, speaker), the test people's utterances. The
same people give the same splits.
"""

import csv
import sys
from pathlib import Path


def split_speakers(speakers: list[str]) -> dict[str, str]:
    """Split {speaker: split}. Test people are spread evenly over the alphabet, including the first and the last."""
    if len(speakers) < 3:
        found = f"found {len(speakers)}: {', '.join(speakers)}"
        sys.exit(
            f"the recipe needs clips of three people or more, {found}. Name a folder that has a folder for each person."
        )
    tests = max(2, round(len(speakers) / 4))
    held_out = {round(i * (len(speakers) - 1) / (tests - 1)) for i in range(tests)}
    split = {s: "test" if i in held_out else "train" for i, s in enumerate(speakers)}
    if len(speakers) >= 5:
        split[next(s for s in speakers if split[s] == "train")] = "valid"
    return split


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(manifest: Path, out: Path) -> None:
    with open(manifest, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    split = split_speakers(sorted({r["speaker"] for r in rows}))
    write(out / "splits.csv", [{"speaker": s, "split": name} for s, name in split.items()])
    write(
        out / "test.csv",
        [{"utterance": r["utterance"], "speaker": r["speaker"]} for r in rows if split[r["speaker"]] == "test"],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
