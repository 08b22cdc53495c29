"""Turns the files, folders and @lists that the user gives into a sorted list of inputs with ids and speakers."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.files.folders import PassedOver, walk_files
from facevc_cli.files.names import find_real_path, index_by_name, is_broken_url, look_up, normalise_name
from facevc_cli.files.packed import Packed
from facevc_cli.files.tables import decode_text, read_table


def _split_suffixes(names: str) -> frozenset[str]:
    return frozenset(f".{name}" for name in names.split())


# Files with these suffixes are found in folders: libsndfile, FFmpeg and Pillow read them. A file that is named itself
# is
# tried whatever its suffix.
AUDIO_SUFFIXES = _split_suffixes(
    "wav wave w64 rf64 flac ogg oga opus spx mp3 mp2 mpga m4a m4b m4r aac ac3 eac3 aif aiff aifc au snd caf amr awb "
    "wma mka weba ape wv tta mpc voc sph"
)
VIDEO_SUFFIXES = _split_suffixes(
    "mp4 m4v mov qt mkv webm avi divx mpg mpeg mpe m2ts m2t mts ts vob 3gp 3g2 flv f4v wmv asf ogv ogm dv mxf rm rmvb"
)
IMAGE_SUFFIXES = _split_suffixes(
    "jpg jpeg jpe jfif png apng bmp dib webp tif tiff gif avif mpo jp2 j2k jpx jpf heic heif hif ppm pgm pbm pnm"
)


@dataclass(frozen=True)
class SpeakerRule:
    """Finds the speaker of a file: from a table (utterance, speaker), from a pattern's first group in the id, or from
    its folder's name.
    """

    pattern: str | None = None
    table: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_options(cls, pattern: str | None, table: Path | None) -> "SpeakerRule":
        """Checks the pattern (UsageError) and reads the table (FaceVCError)."""
        if pattern is not None:
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise UsageError(f"--speaker-pattern {pattern!r} is not a regular expression: {error}.") from error
            if groups < 1:
                raise UsageError(
                    f"--speaker-pattern {pattern!r} has no group: put the part that names the speaker in parentheses."
                )
        rows = read_table(table, ("utterance", "speaker")) if table else []
        if table and not rows:
            raise FaceVCError(f"{table}: the speakers table has no rows. Add one for each utterance.")
        return cls(pattern, index_by_name((row["utterance"], row["speaker"].strip()) for row in rows))

    def find_speaker(self, utterance: str, path: Path) -> str:
        """Returns the speaker of an utterance id. FaceVCError if the pattern or the table does not give one."""
        if self.table:
            speaker = look_up(self.table, utterance)
            if speaker is None:
                raise FaceVCError(f"{path}: the speakers table has no row for the utterance {utterance!r}. Add one.")
            return speaker
        if self.pattern:
            found = re.search(self.pattern, utterance)
            if not found:
                raise FaceVCError(
                    f"{path}: --speaker-pattern {self.pattern!r} does not match the utterance id {utterance!r}."
                )
            return found.group(1)
        # not resolve(): a link counts as a file of the folder that holds it
        return normalise_name(Path(os.path.abspath(path)).parent.name)


@dataclass(frozen=True)
class Input:
    """One file to work on. Its `id` is the path below the given folder, with '/' between parts.

    The suffix is part of the id only if the paths of two files differ in nothing else. Accents are written as one
    character (NFC), whatever the disk uses.
    """

    path: Path
    id: str
    speaker: str
    packed: Packed | None = None  # if it is not a file of its own; `path` then only names it


def _iterate_sources(sources: Sequence[str | Path]) -> Iterator[Path]:
    for source in sources:
        text = str(source)
        if not text.startswith("@"):
            yield find_real_path(Path(source))
            continue
        listed = find_real_path(Path(text[1:]))
        lines = decode_text(listed, "list of inputs", "Give a UTF-8 file with one path per line.").splitlines()
        yield from (find_real_path(listed.parent / line.strip()) for line in lines if line.strip())


def find_files(
    sources: Sequence[str | Path], suffixes: frozenset[str], reporter: Reporter = SILENT
) -> list[tuple[Path, str]]:
    """Returns (path, id) of every given file, and of the files in given folders that have the wanted suffixes, sorted
    within each folder.

    A given file is used whatever its suffix. The reporter gets notes about skipped files in folders. If two files of
    one folder differ only in the suffix, their ids have the suffix. FaceVCError if nothing is found, a path is missing,
    or two other files have one id.
    """
    found: dict[str, list[tuple[Path, str]]] = {}  # by id without suffix: the file, and its id with suffix
    for path, whole in _search(sources, suffixes, reporter):
        if not is_text(str(path)):
            raise FaceVCError(
                f"the file name {str(path)!r} is not UTF-8, so no table or store can hold it. Rename the file."
            )
        alike = found.setdefault(PurePosixPath(whole).with_suffix("").as_posix(), [])
        if not any(other.resolve() == path.resolve() and same == whole for other, same in alike):
            alike.append((path, whole))
    return _tell_apart(found)


def list_files(sources: Sequence[str | Path], suffixes: frozenset[str], reporter: Reporter = SILENT) -> list[Path]:
    """Same as `find_files`, but without ids, so names may repeat.

    FaceVCError if nothing is found or a path is missing.
    """
    return list({path.resolve(): path for path, _ in reversed(_search(sources, suffixes, reporter))}.values())[::-1]


def _search(sources: Sequence[str | Path], suffixes: frozenset[str], reporter: Reporter) -> list[tuple[Path, str]]:
    """Returns (path, path below the given folder) of every file.

    FaceVCError if a path is missing, or nothing is found.
    """
    passed, found = PassedOver(), []
    for source in _iterate_sources(sources):
        if os.path.isdir(source):  # unlike Path's, it takes a name that is too long for one that is not there
            found += [
                (path, normalise_name(path.relative_to(source).as_posix()))
                for path in walk_files(source, suffixes, passed)
            ]
        elif os.path.exists(source):
            found.append((source, normalise_name(source.name)))
        else:
            raise _make_missing_error(source)
    if not found:
        notes = "".join(f" ({note})" for note in passed.list_notes())
        raise FaceVCError(
            f"nothing to do: {', '.join(map(str, sources))} holds no {name_kinds(suffixes)}{notes}. Name files or a "
            "folder that does."
        )
    for note in passed.list_notes():
        reporter.note(f"{', '.join(map(str, sources))}: {note}")
    return found


def name_kinds(suffixes: frozenset[str]) -> str:
    """Names the kinds of files with these suffixes, each with examples: nobody reads a list of sixty."""
    kinds = {
        "sound file (.wav, .flac, .mp3 and the like)": AUDIO_SUFFIXES,
        "video (.mp4, .mkv, .mov and the like)": VIDEO_SUFFIXES,
        "picture (.jpg, .png, .webp and the like)": IMAGE_SUFFIXES,
    }
    named = [kind for kind, those in kinds.items() if those <= suffixes]
    others = sorted(suffixes.difference(*(kinds[kind] for kind in named)))
    return " and no ".join([*named, *([f"file ending in {', '.join(others)}"] if others else [])])


def _make_missing_error(source: Path) -> FaceVCError:
    if is_broken_url(source):
        return FaceVCError(
            f"{source}: expected a file or folder on this disk, found an address on the network. Download it first."
        )
    return FaceVCError(f"{source}: no such file or folder. Check the path.")


def _tell_apart(found: Mapping[str, Sequence[tuple[Path, str]]]) -> list[tuple[Path, str]]:
    """Returns (path, id).

    The id has the suffix only if it is ambiguous without. FaceVCError if it is ambiguous even with the suffix.
    """
    for alike in found.values():
        path, whole = alike[0]
        for other, same in alike[1:]:
            if other.parent.resolve() != path.parent.resolve() or sum(name == same for _, name in alike) > 1:
                raise _clash(path, other, whole)
    named = [
        (path, whole, plain if len(alike) == 1 else whole) for plain, alike in found.items() for path, whole in alike
    ]
    while len(count := Counter(name for _, _, name in named)) < len(named):  # a.wav beside a.wav.flac and a.flac
        named = [(path, whole, whole if count[name] > 1 else name) for path, whole, name in named]
    return [(path, name) for path, _, name in named]


def _clash(path: Path, other: Path, name: str) -> FaceVCError:
    plain = PurePosixPath(name).with_suffix("").as_posix()
    if path.parent == other.parent and normalise_name(path.name) == normalise_name(other.name):
        return FaceVCError(
            f"{path} and {other} would both be called {plain!r}: their names differ only in how accents are "
            "written. Rename one."
        )
    return FaceVCError(
        f"{path} and {other} would both be called {plain!r}. Rename one, or name their common parent folder "
        "instead, so that the folders are part of "
        "their names."
    )


def is_text(name: str) -> bool:
    """Whether a table or store can hold a name: it is UTF-8 and has no zero byte."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in name


def find_inputs(
    sources: Sequence[str | Path],
    suffixes: frozenset[str],
    speakers: SpeakerRule | None = None,
    reporter: Reporter = SILENT,
) -> list[Input]:
    """Same as `find_files`, with the speaker of each file."""
    rule = speakers or SpeakerRule()
    return [
        Input(path, identifier, rule.find_speaker(identifier, path))
        for path, identifier in find_files(sources, suffixes, reporter)
    ]


def parse_shard(shard: str | None) -> tuple[int, int]:
    """'I/N' -> (I, N), 1 <= I <= N; None -> (1, 1). UsageError for anything else."""
    if shard is None:
        return 1, 1
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {shard!r}: expected I/N with 1 <= I <= N, for example 2/4.")
    return int(match[1]), int(match[2])


def join_inside(folder: Path, relative: str) -> Path:
    """Returns `folder / relative`. FaceVCError if the path leads out of the folder, because names come from data."""
    path = folder / relative
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FaceVCError(
            f"the name {relative!r} leads outside {folder}, by itself or by a link there. Rename the input, or "
            "remove the link."
        )
    return path
