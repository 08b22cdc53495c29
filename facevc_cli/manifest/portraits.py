"""`portraits.csv`, the table beside imagined faces. `imagine` writes it, and `evaluate --portraits` reads it."""

import time
from collections.abc import Mapping
from pathlib import Path

from facevc_cli.core.stopping import delay_interrupts
from facevc_cli.files.atomic import check_writable
from facevc_cli.files.locks import exclusive_lock
from facevc_cli.files.tables import read_table, write_table
from facevc_cli.manifest.contract import DONE

PORTRAITS = "portraits.csv"
LOCK = ".portraits.lock"
COLUMNS = (
    "portrait",
    "status",
    "voice",
    "voice_id",
    "sample",
    "feminine",  # the voice: probability that its speaker is labelled a woman
    "age",  # the voice: expected age in years
    "score",
    "looks_feminine",  # the picture: probability of a woman, as the judge sees it
    "looks_age",
    "distance",
    "fits_register",
    "parts",  # composites with their shares
    "model",
    "key",
    "reason",
)
NEEDED = ("portrait", "status", "voice", "key")
SAVING_SHARE = 0.05  # share of the time that may be spent on saving


class PortraitTable:
    """The rows of `portraits.csv` by the picture's name below the folder. Rows of earlier runs stay."""

    def __init__(self, folder: Path | None):
        """folder: None for one output file, which has no table."""
        self.path = folder / PORTRAITS if folder is not None else None
        self.rows: dict[str, dict[str, str]] = self._read()
        self._own: set[str] = set()
        self._save_at = 0.0

    def is_done(self, portrait: str, key: str) -> bool:
        """Whether a row says that the picture was finished with this key."""
        row = self.rows.get(portrait, {})
        return row.get("status") == DONE and row.get("key") == key

    def put(self, row: Mapping[str, str]) -> None:
        """Adds a row, or replaces that of the same picture. Saves now and then."""
        self.rows[row["portrait"]] = dict(row)
        self._own.add(row["portrait"])
        if time.monotonic() >= self._save_at:
            self.save()

    def save(self) -> None:
        """Writes the table if there is something to write. Rows that another process wrote in the meantime stay."""
        if self.path is None or not self._own:
            return
        started = time.monotonic()
        check_writable(self.path.parent)
        with delay_interrupts(), exclusive_lock(self.path.parent / LOCK, str(self.path.parent), wait=True):
            self.rows = {**self._read(), **{name: self.rows[name] for name in self._own}}
            columns = dict.fromkeys([*COLUMNS, *(name for row in self.rows.values() for name in row)])
            write_table(self.path, [self.rows[name] for name in sorted(self.rows)], list(columns))
        self._save_at = time.monotonic() + (time.monotonic() - started) / SAVING_SHARE

    def _read(self) -> dict[str, dict[str, str]]:
        if self.path is None or not self.path.is_file():
            return {}
        return {row["portrait"]: row for row in read_table(self.path, NEEDED)}
