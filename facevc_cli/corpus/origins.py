"""Knows the file that an extracted item came from.

The item is done if the id, the file and the content are the same.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.progress import Reporter
from facevc_cli.files.hashes import hash_readable_file, stamp_file
from facevc_cli.files.inputs import Input
from facevc_cli.files.names import find_real_path, normalise_name
from facevc_cli.files.packed import hash_input
from facevc_cli.files.tables import make_relative_path

COLUMNS = ("source", "source_sha256", "source_stamp")  # of stores and manifests


@dataclass(frozen=True)
class Origin:
    """The file that an item was made from. It is unknown without a sha256, because earlier versions stored none."""

    source: str = ""  # its path, seen from the folder of the store or manifest
    sha256: str = ""
    stamp: str = ""  # as of stamp_file
    speaker: str = ""

    @classmethod
    def of(cls, source: Input, folder: Path) -> "Origin":
        """Describes the file as it is now. Call it before the file is decoded.

        If the file changes during decoding, the item then counts as outdated.
        """
        if source.packed is not None:
            place = source.packed.describe(Path(os.path.realpath(folder)))
            return cls(place, hash_readable_file(source.path), source.packed.stamp, source.speaker)
        stamp = stamp_file(source.path)
        return cls(
            make_relative_path(Path(os.path.realpath(folder)), _resolve_folder(source.path)),
            hash_readable_file(source.path),
            stamp,
            source.speaker,
        )

    @classmethod
    def read(cls, row: Mapping[str, object], speaker: str) -> "Origin":
        """Reads an origin from the columns of a store or a manifest. They may be missing."""
        source, sha256, stamp = (str(row.get(name, "")) for name in COLUMNS)
        return cls(source, sha256, stamp, speaker)

    def as_columns(self) -> dict[str, str]:
        return dict(zip(COLUMNS, (self.source, self.sha256, self.stamp), strict=True))


@dataclass
class Standing:
    """The inputs that are done, and those that wait. Some of these replace an item because its file has changed."""

    done: list[Input] = field(default_factory=list)
    waiting: list[Input] = field(default_factory=list)
    changed: list[Input] = field(default_factory=list)  # a subset of those that wait
    unknown: list[Input] = field(default_factory=list)  # a subset of those that are done, known only by the id

    def tell(self, output: Path, reporter: Reporter) -> None:
        """Writes one note about items that are made again, and one about items that count as done without proof."""
        if self.changed:
            first = self.changed[0].path
            reporter.note(
                f"{_count_files(self.changed)} changed since {output} was made, such as {first}: extracting again"
            )
        if self.unknown:
            reporter.note(
                f"{output}: an earlier version made {len(self.unknown)} of its items and did not record their files, "
                "so only their ids say that they are done. Pass --overwrite if files have changed since."
            )


def find_standing(inputs: Sequence[Input], known: Mapping[str, Origin], output: Path, folder: Path) -> Standing:
    """Compares the inputs with the items of an output. folder: the output's paths are relative to it.

    FaceVCError if the output holds an id of another file, because both would be one item.
    """
    standing, clashes = Standing(), []
    for source in inputs:
        origin = known.get(source.id)
        if origin is None:
            standing.waiting.append(source)
        elif not origin.sha256:
            standing.done.append(source)
            standing.unknown.append(source)
        else:
            same_place = _is_same_place(origin, source, folder)
            if _is_same_content(origin, source) and (same_place or not _is_someone_else(origin, source, folder)):
                standing.done.append(source)
            elif same_place:
                standing.waiting.append(source)
                standing.changed.append(source)
            else:
                clashes.append((source, origin))
    if clashes:
        source, origin = clashes[0]
        found = source.packed or source.path
        more = f" ({len(clashes)} files in all)" if len(clashes) > 1 else ""
        made_from = _place(origin, folder) if origin.source else "a file of other content"
        raise FaceVCError(
            f"{found} would be called {source.id!r}, but {output} holds an item of that name that was made from "
            f"{made_from}{more}. Name the common parent folder of the two, so that the folders are part of the names "
            "(--speaker-pattern says who speaks, if that is not the folder), or choose another output. If the first "
            "file replaces the second, pass --overwrite to make the output again."
        )
    return standing


def _is_same_content(origin: Origin, source: Input) -> bool:
    stamp = stamp_file(source.path) if source.packed is None else source.packed.stamp
    return (origin.stamp != "" and stamp == origin.stamp) or hash_input(source) == origin.sha256


def _is_same_place(origin: Origin, source: Input, folder: Path) -> bool:
    """Returns True if it is the file that the item was made from, or a file in its place, such as a wav that became a
    flac.
    """
    if not origin.source:
        return False
    if source.packed is not None:
        return origin.source == source.packed.describe(Path(os.path.realpath(folder)))
    path = source.path
    before, now = _place(origin, folder), _resolve_folder(path)
    if normalise_name(str(before)) == normalise_name(str(now)) or os.path.realpath(before) == os.path.realpath(now):
        return True
    return not os.path.exists(before) and before.parent == now.parent and before.stem == now.stem


def _is_someone_else(origin: Origin, source: Input, folder: Path) -> bool:
    """Returns True if another speaker still has a file with the same content. A moved file does not count."""
    return origin.speaker != source.speaker and origin.source != "" and os.path.exists(_place(origin, folder))


def _place(origin: Origin, folder: Path) -> Path:
    return find_real_path(Path(os.path.normpath(os.path.join(os.path.realpath(folder), origin.source))))


def _resolve_folder(path: Path) -> Path:
    """Returns the path with the links of its folder resolved. The file keeps its own name, even if it is a link."""
    return Path(os.path.realpath(path.parent)) / path.name


def _count_files(inputs: Sequence[Input]) -> str:
    return "1 file" if len(inputs) == 1 else f"{len(inputs)} files"
