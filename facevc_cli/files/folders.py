"""Searches folders. It follows links, and skips hidden and system folders."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from facevc_cli.core.errors import FaceVCError

# Files of systems, network disks and archivers. Names are compared without capitals.
SYSTEM_NAMES = frozenset(
    {
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "#recycle",
        "#snapshot",
        "__macosx",
        "$recycle.bin",
        "recycler",
        "system volume information",
        "lost+found",
        "network trash folder",
        "temporary items",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
    }
)
SHOWN = 5  # kinds in a note


@dataclass
class PassedOver:
    """Everything that a search skipped, so that the user can be told."""

    kinds: Counter[str] = field(default_factory=Counter)  # files of other kinds, by suffix
    dead_links: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)  # folders

    def list_notes(self) -> list[str]:
        """Returns one sentence for each kind of skipped thing."""
        return [
            *self._describe_kinds(),
            *_describe_paths(self.dead_links, "link leads", "links lead", "nowhere"),
            *_describe_paths(self.unreadable, "folder", "folders", "cannot be read"),
        ]

    def _describe_kinds(self) -> Iterator[str]:
        count = self.kinds.total()
        if count:
            ordered = sorted(self.kinds.items(), key=lambda pair: (-pair[1], pair[0]))
            listed = [f"{suffix or 'no suffix'} {number}" for suffix, number in ordered[:SHOWN]]
            more = ["..."] if len(ordered) > SHOWN else []
            what = "1 file of another kind was" if count == 1 else f"{count} files of other kinds were"
            yield f"{what} passed over ({', '.join(listed + more)})"


@dataclass(frozen=True)
class _Folder:
    """A folder in a search.

    above: the real folders on the way to it, and itself. seen: the folders that were already reached through the same
    link.
    """

    path: Path
    real: str
    above: frozenset[str]
    seen: set[str] | None = None


def is_hidden(name: str) -> bool:
    """Returns True for hidden files and folders, and for those that systems and archivers leave."""
    return name.startswith(".") or name.casefold() in SYSTEM_NAMES


def walk_files(folder: Path, suffixes: frozenset[str], passed: PassedOver | None = None) -> list[Path]:
    """Returns the files below a folder that have the wanted suffixes, sorted. Other files are counted in `passed`.

    Linked folders are searched. If two links lead to one folder, it is searched twice. A link to a folder that contains
    the link is not followed. `folder` itself may be hidden. FaceVCError if it cannot be read.
    """
    passed = PassedOver() if passed is None else passed
    real = os.path.realpath(folder)
    found: list[Path] = []
    waiting = [_Folder(folder, real, frozenset({real}))]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here.path) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if here.path == folder:
                raise FaceVCError(
                    f"{folder}: the folder cannot be read ({error.strerror}). Check its permissions."
                ) from error
            passed.unreadable.append(here.path)
            continue
        below: list[_Folder] = []
        for entry in listed:
            path, suffix = here.path / entry.name, os.path.splitext(entry.name)[1].lower()
            if is_hidden(entry.name):
                continue
            if _is_folder(entry):
                entered = _enter(here, path, entry.is_symlink())
                below += [entered] if entered else []
            elif suffix not in suffixes:
                passed.kinds[suffix] += 1
            elif path.is_file():
                found.append(path)
            elif entry.is_symlink():
                passed.dead_links.append(path)
        waiting += reversed(below)
    return sorted(found)


def _enter(here: _Folder, path: Path, linked: bool) -> _Folder | None:
    """Returns the next folder to search.

    None if a link leads back, or leads a second time to a folder behind the same link.
    """
    if not linked:
        real = os.path.join(here.real, path.name)
        return _Folder(path, real, here.above | {real}, here.seen) if real not in here.above else None
    real = os.path.realpath(path)
    if any(one == real or one.startswith(real.rstrip(os.sep) + os.sep) for one in here.above):
        return None
    # Folders that all link to each other have too many paths through them to search all.
    if here.seen is not None and real in here.seen:
        return None
    seen = set() if here.seen is None else here.seen
    seen.add(real)
    return _Folder(path, real, here.above | {real}, seen)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _describe_paths(paths: list[Path], one: str, several: str, what: str) -> Iterator[str]:
    if paths:
        yield f"{len(paths)} {one if len(paths) == 1 else several} {what}, such as {paths[0]}"
