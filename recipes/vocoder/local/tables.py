"""Reads the tables that list recordings, and draws an order of them."""

import csv
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = list[dict[str, str]]


def read_recordings(tables: Sequence[Path], splits: Path | None = None, seed: int = 0) -> list[tuple[str, Path]]:
    """Lists (utterance, path) of all tables, shuffled, for the training.

    tables: columns utterance, and path or file, relative to the table's folder. splits: utterance or speaker, split;
    those of the split test are left out.
    """
    given = read_splits(splits)
    found = {row["utterance"]: Path(row["path"]) for row in read_rows(tables) if find_split(row, given) != "test"}
    return shuffle(found, seed)


def read_held_out(tables: Sequence[Path], choose_split: Callable[[str], str], splits: Path | None = None) -> Rows:
    """Lists rows that train nothing, shuffled: those of the split test, or without splits those of the split valid."""
    given = read_splits(splits)
    chosen = {
        row["utterance"]: row
        for row in read_rows(tables)
        if (find_split(row, given) == "test" if given else choose_split(row["utterance"]) == "valid")
    }
    return [row for _, row in shuffle(chosen, 0)]


def read_splits(table: Path | None) -> dict[str, str]:
    """Reads the split of each utterance or speaker."""
    rows = read_table(table) if table is not None else []
    try:
        return {row.get("utterance") or row["speaker"]: row["split"] for row in rows}
    except KeyError as error:
        sys.exit(f"{table}: expected the columns utterance or speaker, and split; {error} is missing.")


def find_split(row: Mapping[str, str], splits: Mapping[str, str]) -> str | None:
    return splits.get(row["utterance"]) or splits.get(row.get("speaker", ""))


def read_rows(tables: Sequence[Path]) -> Rows:
    """Reads the rows of all tables, with whole paths in the column path."""
    rows = []
    for table in tables:
        for row in read_table(table):
            name = row.get("path") or row.get("file")
            if not row.get("utterance") or not name:
                sys.exit(f"{table}: expected the columns utterance and path, found {', '.join(row)}.")
            rows.append(row | {"path": str(table.parent / name)})
    return rows


def read_table(table: Path) -> Rows:
    with open(table, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def shuffle(items: Mapping[str, Any], seed: int) -> list[tuple[str, Any]]:
    order = sorted(items.items(), key=lambda item: item[0])
    random.Random(seed).shuffle(order)
    return order
