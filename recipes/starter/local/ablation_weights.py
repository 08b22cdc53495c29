"""ablation_weights.py OUT FOLDER [TABLE...]: weights that leave some of the speech out of a training.

OUT is the recipe's folder (weights.csv, aligned.csv). Each TABLE (utterance, ...) names
recordings that came later.

| file in FOLDER | what is left out |
| --- | --- |
| `first.csv` | the tables' recordings, and the parallel speech |
| `more.csv` | the parallel speech |
| `all.csv` | nothing |
"""

import argparse
from pathlib import Path

from facevc_cli.files.tables import read_table, write_table

COLUMNS = ("utterance", "weight")


def main(out: Path, folder: Path, tables: list[Path]) -> None:
    weights = read_table(out / "weights.csv", COLUMNS)
    parallel = {row["utterance"] for row in read_table(out / "aligned.csv", ("utterance",))}
    more = {row["utterance"] for path in tables for row in read_table(path, ("utterance",))}
    for name, left_out in {"first": parallel | more, "more": parallel, "all": set()}.items():
        rows = [{**row, "weight": "0"} if row["utterance"] in left_out else row for row in weights]
        write_table(folder / f"{name}.csv", rows, COLUMNS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("tables", type=Path, nargs="*")
    given = parser.parse_args()
    main(given.out, given.folder, given.tables)
