"""From what the user names (files, folders, @lists) to a sorted list of inputs with ids and speakers."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facevc_cli.errors import FaceVCError
from facevc_cli.io.manifest import read_table

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".wma"})
VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".mpg", ".mpeg", ".avi", ".webm", ".mov", ".m4v", ".ts", ".3gp", ".flv", ".wmv"})
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"})


@dataclass(frozen=True)
class SpeakerRule:
    """Who speaks in a file: its parent folder's name, a pattern's first group on the id, or a table (utterance, speaker)."""

    pattern: str | None = None
    table: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_options(cls, pattern: str | None, table: Path | None) -> "SpeakerRule":
        """Checks the pattern and reads the table; FaceVCError where either is unusable."""
        if pattern is not None:
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise FaceVCError(f"--speaker-pattern {pattern!r} is not a regular expression: {error}.") from error
            if groups < 1:
                raise FaceVCError(f"--speaker-pattern {pattern!r} has no group: put the part that names the speaker in parentheses.")
        rows = read_table(table, ("utterance", "speaker")) if table else []
        if table and not rows:
            raise FaceVCError(f"{table}: the speakers table has no rows. Add one for each utterance.")
        return cls(pattern, {row["utterance"]: row["speaker"] for row in rows})

    def speaker_of(self, utterance: str, path: Path) -> str:
        """The speaker of an utterance id; FaceVCError where the pattern or the table does not know it."""
        if self.table:
            if utterance not in self.table:
                raise FaceVCError(f"{path}: the speakers table has no row for the utterance {utterance!r}. Add one.")
            return self.table[utterance]
        if self.pattern:
            found = re.search(self.pattern, utterance)
            if not found:
                raise FaceVCError(f"{path}: --speaker-pattern {self.pattern!r} does not match the utterance id {utterance!r}.")
            return found.group(1)
        return Path(os.path.abspath(path)).parent.name  # not resolve(): a link stands in the folder of the speaker it is put under


@dataclass(frozen=True)
class Input:
    """One file to work on. `id` is its path below the folder that was named, without suffix, with '/' between parts."""

    path: Path
    id: str
    speaker: str


def _named(sources: Sequence[str | Path]) -> Iterator[Path]:
    for source in sources:
        text = str(source)
        if not text.startswith("@"):
            yield Path(source)
            continue
        listed = Path(text[1:])
        try:
            lines = listed.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise FaceVCError(f"{listed}: the list of inputs cannot be read ({error}). Give a UTF-8 file with one path a line.") from error
        yield from (listed.parent / line.strip() for line in lines if line.strip())


def find_files(sources: Sequence[str | Path], suffixes: frozenset[str]) -> list[tuple[Path, str]]:
    """Every file named, or below a folder named, that ends as wanted: (path, id), sorted within each folder.

    A file named outright is taken whatever its suffix. Nothing found, a missing path and two files with one id raise FaceVCError.
    """
    found: dict[str, Path] = {}
    for source in _named(sources):
        pairs = _found(source, suffixes)
        for path, identifier in pairs:
            if not _is_text(str(path)):
                raise FaceVCError(f"the file name {str(path)!r} is not UTF-8, so no table or store can hold it. Rename the file.")
            other = found.setdefault(identifier, path)
            if other.resolve() != path.resolve():
                raise FaceVCError(
                    f"{other} and {path} would both be called {identifier!r}. Rename one, or name their common parent folder instead."
                )
    if not found:
        raise _nothing(sources, suffixes)
    return [(path, identifier) for identifier, path in found.items()]


def list_files(sources: Sequence[str | Path], suffixes: frozenset[str]) -> list[Path]:
    """`find_files` for those who need no ids: every file once, whatever others are called. FaceVCError where none or a path is missing."""
    found = {path: None for source in _named(sources) for path, _ in _found(source, suffixes)}
    if not found:
        raise _nothing(sources, suffixes)
    return list(found)


def _found(source: Path, suffixes: frozenset[str]) -> list[tuple[Path, str]]:
    """(path, id) of a file, or of the files below a folder, sorted; FaceVCError where there is neither."""
    if source.is_dir():
        below = sorted(p for p in source.rglob("*") if p.suffix.lower() in suffixes and p.is_file() and not p.name.startswith("."))
        return [(p, p.relative_to(source).with_suffix("").as_posix()) for p in below]
    if source.exists():
        return [(source, source.stem)]
    raise FaceVCError(f"{source}: no such file or folder. Check the path.")


def _nothing(sources: Sequence[str | Path], suffixes: frozenset[str]) -> FaceVCError:
    return FaceVCError(
        f"nothing to do: {', '.join(map(str, sources))} holds no file ending in {', '.join(sorted(suffixes))}. Name files or a folder that does."
    )


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def find_inputs(sources: Sequence[str | Path], suffixes: frozenset[str], speakers: SpeakerRule | None = None) -> list[Input]:
    """`find_files` with the speaker of each."""
    rule = speakers or SpeakerRule()
    return [Input(path, identifier, rule.speaker_of(identifier, path)) for path, identifier in find_files(sources, suffixes)]


def parse_shard(shard: str | None) -> tuple[int, int]:
    """'I/N' -> (I, N), 1 <= I <= N; None -> (1, 1)."""
    if shard is None:
        return 1, 1
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise FaceVCError(f"--shard {shard!r}: expected I/N with 1 <= I <= N, for example 2/4.")
    return int(match[1]), int(match[2])


def inside(folder: Path, relative: str) -> Path:
    """`folder / relative`, refused where it would leave the folder: names come from data."""
    path = folder / relative
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FaceVCError(f"the name {relative!r} leads outside {folder}, by itself or by a link there. Rename the input, or remove the link.")
    return path
