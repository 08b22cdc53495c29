"""A table beside the pictures that a command makes: one row for each, and what a rerun may skip."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from facevc_cli.core.stopping import delay_interrupts
from facevc_cli.files.atomic import check_writable
from facevc_cli.files.locks import exclusive_lock
from facevc_cli.files.tables import read_table, write_table
from facevc_cli.manifest.contract import DONE

SAVING_SHARE = 0.05  # share of the time that may be spent on saving


class PictureTable:
    """The rows by the picture's name below the folder, which is the first column. Rows of earlier runs stay."""

    file_name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    needed: ClassVar[tuple[str, ...]]  # without these a file is no such table

    def __init__(self, folder: Path | None):
        """folder: None for one output file, which has no table."""
        self.path = folder / self.file_name if folder is not None else None
        self.rows: dict[str, dict[str, str]] = self._read()
        self._own: set[str] = set()
        self._save_at = 0.0

    def is_done(self, picture: str, key: str) -> bool:
        """Whether a row says that the picture was finished with this key."""
        row = self.rows.get(picture, {})
        return row.get("status") == DONE and row.get("key") == key

    def put(self, row: Mapping[str, str]) -> None:
        """Adds a row, or replaces that of the same picture. Saves now and then."""
        picture = row[self.columns[0]]
        self.rows[picture] = dict(row)
        self._own.add(picture)
        if time.monotonic() >= self._save_at:
            self.save()

    def save(self) -> None:
        """Writes the table if there is something to write. Rows that another process wrote in the meantime stay."""
        if self.path is None or not self._own:
            return
        started = time.monotonic()
        folder = self.path.parent
        check_writable(folder)
        with delay_interrupts(), exclusive_lock(folder / f".{self.path.stem}.lock", str(folder), wait=True):
            self.rows = {**self._read(), **{name: self.rows[name] for name in self._own}}
            columns = dict.fromkeys([*self.columns, *(name for row in self.rows.values() for name in row)])
            write_table(self.path, [self.rows[name] for name in sorted(self.rows)], list(columns))
        self._save_at = time.monotonic() + (time.monotonic() - started) / SAVING_SHARE

    def _read(self) -> dict[str, dict[str, str]]:
        if self.path is None or not self.path.is_file():
            return {}
        return {row[self.columns[0]]: row for row in read_table(self.path, self.needed)}
