"""Search folders: links are followed, hidden and system folders are left out."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from facevc_cli.core.errors import FaceVCError

# What systems, network disks and archivers put beside people's files. Names are compared without capitals.
SYSTEM_NAMES = frozenset({
    "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "__macosx", "$recycle.bin", "recycler",
    "system volume information", "lost+found", "network trash folder", "temporary items",
    "thumbs.db", "ehthumbs.db", "desktop.ini",
})  # fmt: skip
SHOWN = 5  # kinds in a note


@dataclass
class PassedOver:
    """What a search left out, for the user to know."""

    kinds: Counter[str] = field(default_factory=Counter)  # files of other kinds, by suffix
    dead_links: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)  # folders

    def list_notes(self) -> list[str]:
        """One sentence for each thing that was left out."""
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
    """A folder on the way. above: the real folders that lead to it, itself among them; seen: those that the link it
    lies behind has led to."""

    path: Path
    real: str
    above: frozenset[str]
    seen: set[str] | None = None


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or is no one's: what systems and archivers leave."""
    return name.startswith(".") or name.casefold() in SYSTEM_NAMES


def walk_files(folder: Path, suffixes: frozenset[str], passed: PassedOver | None = None) -> list[Path]:
    """The files below a folder that end as wanted, sorted; what else is there is counted in `passed`.

    Linked folders are searched, also twice where two links lead to one, but a link that leads to a folder it lies in
    is not followed. The folder named
    may itself be hidden. FaceVCError if it cannot be read.
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
    """The folder as the next to search; None if a link leads back, or a second time to a folder behind the same
    link."""
    if not linked:
        real = os.path.join(here.real, path.name)
        return _Folder(path, real, here.above | {real}, here.seen) if real not in here.above else None
    real = os.path.realpath(path)
    if any(one == real or one.startswith(real.rstrip(os.sep) + os.sep) for one in here.above):
        return None
    # Folders that all link to each other have more ways through them than there is time to walk.
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
