"""join.py OUT.csv MANIFEST.csv OTHER.csv...: join the manifest of `facevc convert` with other systems' tables, for
`facevc evaluate`.

OTHER.csv has the columns system, converted, source and target, and any others of the manifest. Its paths are relative
to it, or to the working directory. A source that the manifest has gets its source_id, so that systems are compared on
the same utterances.
"""

import csv
import os
import sys
from pathlib import Path

FILES = ("converted", "source", "face", "voice", "driver", "references")  # columns that hold paths, several between |
NEEDED = ("system", "converted", "source", "target")


def make_absolute(name: str, table: Path) -> str:
    beside = table.parent / name
    return os.path.abspath(beside if beside.exists() or not Path(name).exists() else name)


def read(table: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    missing = [name for name in needed if not rows or name not in rows[0]]
    if missing:
        sys.exit(f"{table}: expected rows with the columns {', '.join(needed)}; {', '.join(missing)} is missing")
    for row in rows:
        for column in FILES:
            if row.get(column):
                row[column] = "|".join(
                    make_absolute(name.strip(), table) for name in row[column].split("|") if name.strip()
                )
    return rows


def main(out: Path, manifest: Path, others: list[Path]) -> None:
    rows = read(manifest, ("converted", "target"))
    ids = {os.path.realpath(row["source"]): row["source_id"] for row in rows}
    systems = {row["system"] for row in rows}
    for other in others:
        more = read(other, NEEDED)
        for row in more:
            row["status"] = row.get("status") or "done"
            row["source_id"] = (
                row.get("source_id") or ids.get(os.path.realpath(row["source"])) or Path(row["source"]).stem
            )
        taken = systems & {row["system"] for row in more}
        if taken:
            sys.exit(f"{other}: the system {sorted(taken)[0]!r} is already in another table; give it another name")
        systems |= {row["system"] for row in more}
        rows += more
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
