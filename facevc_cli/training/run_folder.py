"""Reads and writes a run's folder: configuration, machine and versions, losses as CSV, and checkpoints."""

import csv
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Set
from contextlib import AbstractContextManager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from facevc_cli import __version__
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import dump_yaml, parse_settings, read_json, read_text, shorten
from facevc_cli.files.atomic import write_text
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.locks import exclusive_lock
from facevc_cli.files.tables import make_relative_path, read_table, write_table

PACKAGES = ("torch", "accelerate", "h5py", "numpy", "safetensors")


class RunDirectory:
    """A folder with `config.yaml`, `run.json`, `losses.csv` and `checkpoints/`."""

    def __init__(self, path: Path):
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.losses = path / "losses.csv"
        self._rows: list[dict[str, Any]] = []

    def lock(self) -> AbstractContextManager[None]:
        """Locks the folder. FaceVCError if another process trains in it, and says which."""
        return exclusive_lock(self.path / ".lock", str(self.path))

    def open(
        self,
        settings: Mapping[str, Any],
        stage: str,
        inputs: Mapping[str, str],
        seed: int,
        overwrite: bool,
        upgrade: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    ) -> bool:
        """Prepares the folder. Returns True if it holds a run with the same settings that can be resumed.

        inputs: name -> hash of the stores' settings. upgrade: settings of earlier versions -> current settings.
        A run may go on with more steps than before. FaceVCError if it holds a run with other settings, another seed or
        other inputs, unless `overwrite` is true.
        """
        header = self.path / "config.yaml"
        resolved = {"stage": stage, "seed": seed, "inputs": dict(inputs), **settings}
        if header.is_file() and not overwrite:
            found = upgrade(_read_header(header))
            is_longer = _read_steps(found, stage) < _read_steps(resolved, stage)
            if is_longer:
                found = {**found, stage: {**found[stage], "steps": resolved[stage]["steps"]}}
            changed = _list_differences(_drop_free_settings(found), _drop_free_settings(resolved))
            if changed:
                raise FaceVCError(
                    f"{self.path} holds a run with other settings ({', '.join(changed[:6])}). Choose another folder, "
                    "or pass --overwrite to begin anew."
                )
            if is_longer:
                write_text(header, dump_yaml(resolved))
            return self._find_resumable() is not None
        if overwrite and self.checkpoints.exists():
            shutil.rmtree(self.checkpoints)
            self.losses.unlink(missing_ok=True)
        write_text(header, dump_yaml(resolved))
        return False

    def find_resumable(self) -> Path:
        """Returns the checkpoint to resume from: the last, or the one before it if a crash came between the two
        renames.
        """
        folder = self._find_resumable()
        if folder is None:
            raise FaceVCError(
                f"{self.checkpoints}: expected the checkpoint 'last' of a run to resume, found none. Pass --overwrite "
                "to begin anew."
            )
        return folder

    def remove_leftovers(self) -> None:
        """Deletes checkpoints that a killed run left half written."""
        for path in self.checkpoints.glob(".*.tmp"):
            shutil.rmtree(path, ignore_errors=True)

    def _find_resumable(self) -> Path | None:
        candidates = (self.checkpoints / "last", self.checkpoints / ".last.old")
        return next((p for p in candidates if (p / "config.yaml").is_file() and (p / "training").is_dir()), None)

    def describe(self, seed: int, device: str) -> None:
        """Appends the command line, versions, git state and seed of this start to `run.json`."""
        path = self.path / "run.json"
        starts = (
            read_json(path, list, advice="Move it away. It only records how the run was started.")
            if path.is_file()
            else []
        )
        starts.append(
            {
                "command": ["facevc", *map(_strip_folders, sys.argv[1:])],
                "facevc": __version__,
                "python": platform.python_version(),
                "packages": {name: _find_version(name) for name in PACKAGES},
                "git": _read_git_state(),
                "seed": seed,
                "device": device,
            }
        )
        write_text(path, json.dumps(starts, indent=1) + "\n")

    def resume_losses(self, step: int) -> None:
        """Keeps the loss rows up to a step. Later steps will be done again."""
        if self.losses.is_file():
            rows = read_table_or_nothing(self.losses)
            try:
                self._rows = [dict(row) for row in rows if int(row["step"]) <= step]
            except (KeyError, ValueError) as error:
                raise FaceVCError(
                    f"{self.losses}: expected a column step with a count in each row, found something else "
                    f"({str(error)[:80]}). Restore the file, or delete it: the run then continues without the earlier "
                    "losses."
                ) from error

    def log(self, row: Mapping[str, Any]) -> None:
        self._rows.append(dict(row))

    def write_losses(self) -> None:
        """Writes the whole `losses.csv`, and `losses.png` if matplotlib is installed."""
        if self._rows:
            columns = list(dict.fromkeys(k for row in self._rows for k in row))
            write_table(self.losses, [{k: row.get(k, "") for k in columns} for row in self._rows], columns)
            _plot(self.losses, self.path / "losses.png")


def _strip_folders(argument: str) -> str:
    """Removes absolute folders from an argument, because they name the user's computer and runs are shared.

    Other paths keep their last part.
    """
    option, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
    if not os.path.isabs(value):
        return argument
    below = make_relative_path(Path(), value)
    return f"{option}{equals}{Path(value).name if below.startswith('..') or os.path.isabs(below) else below}"


def hash_tables(**tables: Path | None) -> dict[str, str]:
    """Returns name -> sixteen hex digits of the hash of each table. Tables that are None are skipped."""
    return {name: hash_file(path)[:16] for name, path in tables.items() if path is not None}


def read_table_or_nothing(path: Path) -> list[dict[str, str]]:
    try:
        return read_table(path)
    except (FaceVCError, csv.Error):
        return []


def _read_header(path: Path) -> dict[str, Any]:
    try:
        found = parse_settings(read_text(path), str(path))
    except FaceVCError as error:
        raise FaceVCError(f"{error} Choose another folder, or pass --overwrite to begin anew.") from error
    if "stage" not in found:
        raise FaceVCError(
            f"{path}: expected the settings of a run, found something else. Choose another folder for the run."
        )
    return found


def _read_steps(settings: Mapping[str, Any], stage: str) -> float:
    """Returns how many steps the training of a stage has. Infinity if the settings do not say so."""
    group = settings.get(stage)
    steps = group.get("steps") if isinstance(group, Mapping) else None
    return steps if isinstance(steps, int) else math.inf


def _drop_free_settings(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Removes settings that a resumed run may change: how often it reports, and the settings of later stages."""
    free = {"log_every", "checkpoint_every", "workers", "validate_every", "validation_batches", "samples_every"}
    free |= {"conversion"}  # weights do not depend on it
    if resolved.get("stage") == "pretrain":
        free |= {"train"}
    if resolved.get("stage") in ("pretrain", "train"):
        free |= {"distill", "stream_encoder"}
    return _drop_keys(resolved, free)


def _drop_keys(tree: Mapping[str, Any], names: Set[str]) -> dict[str, Any]:
    """Removes keys at all depths."""
    return {k: _drop_keys(v, names) if isinstance(v, Mapping) else v for k, v in tree.items() if k not in names}


def _list_differences(a: Any, b: Any, path: str = "") -> list[str]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return [
            d
            for key in dict.fromkeys([*a, *b])
            for d in _list_differences(a.get(key), b.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if a == b else [f"{path}: {shorten(a)} there, {shorten(b)} now"]


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _read_git_state() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _plot(table: Path, picture: Path) -> None:
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return
    rows = read_table(table)
    names = [n for n in rows[0] if n not in ("step", "steps_per_s", "data_wait", "learning_rate")]
    width = 4
    height = -(-len(names) // width)
    figure, axes = pyplot.subplots(height, width, figsize=(4 * width, 2.6 * height), squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        points = [(int(row["step"]), float(row[name])) for row in rows if row[name]]
        axis.plot(*zip(*points, strict=True), linewidth=1)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    figure.tight_layout()
    temporary = picture.with_name(".losses.tmp.png")
    figure.savefig(temporary, dpi=90)
    temporary.replace(picture)
    pyplot.close(figure)
