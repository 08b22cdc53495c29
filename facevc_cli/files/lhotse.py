"""Reads lhotse manifests: recordings, supervisions or cuts, in .jsonl or .jsonl.gz.

They are lines of JSON, so the package lhotse is not needed: it would bring its own audio stack, and would run the
commands that a recording's source may name. Here only sources of the type file are opened, and URLs.
"""

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.hashes import stamp_file
from facevc_cli.files.packed import Packed, Part, pack_url
from facevc_cli.files.urls import check_url, cut_file_protocol, is_below, is_url, join_url, read_bytes

SUFFIXES = (".jsonl", ".jsonl.gz")
MOST_LINE_BYTES = 16 << 20
MOST_MANIFEST_BYTES = 1 << 30  # of a manifest behind a URL, packed
MOST_S = 1e7  # start and length of a part: 115 days
READERS = {"file", "url"}


@dataclass(frozen=True)
class Spoken:
    """One utterance of a manifest. speaker: empty if the manifest does not say it."""

    id: str
    speaker: str
    packed: Packed


def is_manifest(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def read_manifest(where: str, root: str | None) -> Iterator[Spoken]:
    """Yields the utterances of a manifest: whole recordings, or the parts that supervisions or cuts name.

    Supervisions need the recordings' manifest beside them, with `recordings` in its name in place of `supervisions`.
    root: the files must be below it; by default, the manifest's own folder. FaceVCError names the line that is wrong.
    """
    rule = _Root(where, root)
    recordings: dict[str, Packed] | None = None
    for line, row in _read_lines(where):
        try:
            if "sources" in row:
                yield Spoken(_read_text(row, "id"), "", rule.find(row))
            elif "recording" in row:
                yield _read_cut(row, rule)
            elif "recording_id" in row:
                if recordings is None:
                    recordings = _read_recordings(where, rule)
                yield _read_supervision(row, recordings)
            else:
                raise ValueError("a recording, a supervision or a cut of one recording", f"{str(row)[:120]}")
        except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
            expected, found = error.args if len(error.args) == 2 else ("lhotse's fields", f"{error!r}"[:200])
            raise FaceVCError(f"{where}, line {line}: expected {expected}, found {found}. Correct the line.") from error


class _Root:
    """Where the files of a manifest may be."""

    def __init__(self, where: str, root: str | None):
        self.where = where
        home = where.rpartition("/")[0] if is_url(where) else os.path.dirname(os.path.abspath(where))
        self.home = home
        self.root = cut_file_protocol(root) if root else home
        if is_url(self.root):
            check_url(self.root)
        self._found: dict[str, Packed] = {}

    def find(self, recording: Mapping[str, Any]) -> Packed:
        """Finds a recording's file. FaceVCError if it is outside the root."""
        sources = recording["sources"]
        if not isinstance(sources, list) or len(sources) != 1:
            raise ValueError("one source of each recording", f"{str(sources)[:120]}")
        kind, name = sources[0].get("type"), _read_text(sources[0], "source")
        if kind not in READERS:
            raise ValueError("a source of type file or url, because others are not opened", repr(kind))
        if name not in self._found:
            self._found[name] = self._open(cut_file_protocol(name))
        return self._found[name]

    def _open(self, name: str) -> Packed:
        if is_url(name) or (is_url(self.home) and not os.path.isabs(name)):
            url = check_url(name if is_url(name) else join_url(self.home, name))
            if not is_url(self.root) or not is_below(url, self.root):
                raise self._make_error(name)
            return pack_url(url)
        if is_url(self.home) and is_url(self.root):
            raise self._make_error(name)
        beside = os.path.join(self.home, name)
        path = Path(beside if os.path.exists(beside) or not os.path.exists(name) else name)
        if is_url(self.root) or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root)):
            raise self._make_error(name)
        if not os.path.isfile(path):  # unlike Path's, it takes a name that is too long for one that is not there
            raise FaceVCError(f"{self.where}: {name[:200]!r}: no such file. Check the paths in the manifest.")
        return Packed(str(path), path.name, path.stat().st_size, stamp=stamp_file(path))

    def _make_error(self, name: str) -> FaceVCError:
        return FaceVCError(
            f"{self.where}: {name[:200]!r} is not below {self.root}, so it is not opened. If the files are meant to be "
            "there, pass their folder or URL as --root."
        )


def _read_recordings(where: str, rule: _Root) -> dict[str, Packed]:
    folder, slash, name = where.rpartition("/")
    if "supervisions" not in name:
        raise FaceVCError(
            f"{where}: supervisions need their recordings. Name the manifest NAME_supervisions.jsonl.gz, and put "
            "NAME_recordings.jsonl.gz beside it, or give cuts."
        )
    beside = f"{folder}{slash}{name.replace('supervisions', 'recordings')}"
    return {_read_text(row, "id"): rule.find(row) for _, row in _read_lines(beside) if "sources" in row}


def _read_supervision(row: Mapping[str, Any], recordings: Mapping[str, Packed]) -> Spoken:
    recording = recordings.get(_read_text(row, "recording_id"))
    if recording is None:
        raise ValueError("a recording_id of the recordings' manifest", repr(row["recording_id"])[:120])
    speaker = row.get("speaker")
    return Spoken(
        _read_text(row, "id"), speaker if isinstance(speaker, str) else "", _cut(recording, row, row.get("channel"))
    )


def _read_cut(row: Mapping[str, Any], rule: _Root) -> Spoken:
    said = row.get("supervisions") or []
    speakers = {one.get("speaker") for one in said if isinstance(one.get("speaker"), str)}
    if len(speakers) > 1:
        raise ValueError("one speaker in each cut", ", ".join(sorted(speakers))[:120])
    packed = _cut(rule.find(row["recording"]), row, row.get("channel"))
    return Spoken(_read_text(row, "id"), next(iter(speakers), ""), packed)


def _cut(recording: Packed, row: Mapping[str, Any], channel: Any) -> Packed:
    start, duration = float(row["start"]), float(row["duration"])
    if not (0 <= start <= MOST_S and 0 < duration <= MOST_S):  # not so either if one is NaN
        raise ValueError(
            f"a start of 0 or more, and a duration above 0, in seconds and at most {MOST_S:,.0f}",
            f"{start} and {duration}",
        )
    channels = [channel] if isinstance(channel, int) else (channel or [])
    if not all(isinstance(number, int) and 0 <= number < 1024 for number in channels):
        raise ValueError("channels, counted from 0", repr(channel)[:120])
    part = Part(start, duration, tuple(channels))
    stamp = f"{recording.stamp}+{start}+{duration}" if recording.stamp else ""
    return Packed(recording.where, recording.name, recording.size, recording.offset, stamp, part)


def _read_text(row: Mapping[str, Any], name: str) -> str:
    found = row[name]
    if not isinstance(found, str) or not found or "\0" in found:
        raise ValueError(f"text as {name}", repr(found)[:120])
    return found


def _read_lines(where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (number, object) of each line. Lines are read one by one; none may be very long."""
    try:
        with ExitStack() as opened:
            if is_url(where):
                file: IO[bytes] = io.BytesIO(read_bytes(where, MOST_MANIFEST_BYTES))
            else:
                file = opened.enter_context(open(where, "rb"))
            if where.lower().endswith(".gz"):
                file = cast(IO[bytes], opened.enter_context(gzip.open(file)))
            number = 0
            while line := file.readline(MOST_LINE_BYTES + 1):
                number += 1
                if len(line) > MOST_LINE_BYTES:
                    raise FaceVCError(f"{where}, line {number}: expected at most 16 MB, found more. Split the line.")
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise FaceVCError(f"{where}, line {number}: expected JSON, found other text ({error}).") from error
                if not isinstance(row, dict):
                    raise FaceVCError(f"{where}, line {number}: expected a JSON object, found {str(row)[:80]}.")
                yield number, row
    except (OSError, EOFError, zlib.error) as error:
        raise FaceVCError(f"{where}: the manifest cannot be read ({error}). Check the path.") from error
