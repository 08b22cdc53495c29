"""Finds inputs that are not plain files: URLs, tar files and lhotse manifests, among files, folders and lists."""

import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.files.inputs import Input, SpeakerRule, find_inputs, is_text, name_kinds
from facevc_cli.files.lhotse import Spoken, is_manifest, read_manifest
from facevc_cli.files.names import normalise_name
from facevc_cli.files.packed import Packed, pack_url
from facevc_cli.files.tables import decode_text
from facevc_cli.files.tar_shards import expand_braces, is_tar, list_members
from facevc_cli.files.urls import (
    check_url,
    cut_file_protocol,
    describe_file,
    is_below,
    is_url,
    join_url,
    list_files,
    read_bytes,
)

MOST_LIST_BYTES = 1 << 30


def find_all_inputs(
    sources: Sequence[str | Path],
    suffixes: frozenset[str],
    speakers: SpeakerRule | None = None,
    reporter: Reporter = SILENT,
    root: str | None = None,
) -> list[Input]:
    """As `find_inputs`, and takes URLs of files and folders, tar files, and lhotse manifests too.

    root: what lists and manifests name must be below this folder or URL. FaceVCError if two inputs have one id.
    """
    rule = speakers or SpeakerRule()
    if root is not None:
        root = _check_root(root)
    plain, packed = split_sources(sources, root)
    if not packed:
        return find_inputs(plain, suffixes, rule, reporter)
    found = find_inputs(plain, suffixes, rule, reporter) if plain else []
    for source in packed:
        found += _find_packed(source, suffixes, rule, root)
    if not found:
        named = ", ".join(map(str, packed))
        raise FaceVCError(f"nothing to do: {named} holds no {name_kinds(suffixes)}. Name another.")
    _check_ids(found)
    return found


def _check_root(root: str) -> str:
    """Returns the root as a path or a checked URL. UsageError if it is neither."""
    try:
        place = cut_file_protocol(root)
        if is_url(place):
            return check_url(place)
    except FaceVCError as error:
        raise UsageError(f"--root {error}") from error
    if not os.path.isdir(place):
        raise UsageError(f"--root {root}: expected a folder or a URL, found no such folder. Check the path.")
    return place


def split_sources(sources: Sequence[str | Path], root: str | None = None) -> tuple[list[str | Path], list[str | Path]]:
    """Parts sources into plain paths, folders and lists, and those that are not. root: as in `find_all_inputs`."""
    plain: list[str | Path] = []
    packed: list[str | Path] = []
    for source in _expand(sources, root):
        (packed if _is_packed(source) else plain).append(source)
    return plain, packed


def _is_packed(source: str | Path) -> bool:
    text = str(source)
    return not text.startswith("@") and (is_url(text) or is_tar(text) or is_manifest(text)) and not os.path.isdir(text)


def _expand(sources: Sequence[str | Path], root: str | None) -> Iterator[str | Path]:
    """Replaces lists that hold more than paths by their lines, and braces by their numbers."""
    for source in sources:
        text = str(source)
        if not text.startswith("@"):
            text = cut_file_protocol(text)
            names = expand_braces(text) if is_tar(text) and not os.path.exists(text) else [text]
            yield from names if text != str(source) or len(names) > 1 else [source]
            continue
        listed = cut_file_protocol(text[1:])
        written = _read_list(listed)
        lines = written if is_url(listed) else [cut_file_protocol(line) for line in written]
        if not is_url(listed) and lines == written and not any(_is_packed(line) for line in lines):
            yield source  # paths alone
            continue
        home = listed.rpartition("/")[0] if is_url(listed) else ""
        for line in lines:
            yield _place_line(line, listed, home, root)


def _read_list(listed: str) -> list[str]:
    if is_url(listed):
        try:
            text = read_bytes(listed, MOST_LIST_BYTES).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FaceVCError(f"{listed}: not a UTF-8 list of inputs ({error.reason}). Save it as UTF-8.") from error
    else:
        text = decode_text(Path(listed), "list of inputs", "Give a UTF-8 file with one path per line.")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _place_line(line: str, listed: str, home: str, root: str | None) -> str:
    """Returns the path or URL that a line names. FaceVCError for a URL that is not below the root.

    A list on this disk may name any path, because it is the user's. Then URLs in it need --root.
    """
    if not is_url(line) and not home:
        return os.path.join(os.path.dirname(listed), line)
    url = line if is_url(line) else join_url(home, line)
    allowed = root or home
    if posixpath.isabs(line) or not allowed or not is_url(allowed) or not is_below(check_url(url), check_url(allowed)):
        raise FaceVCError(
            f"{listed}: {line[:200]!r} is not below {allowed or 'a place that you named'}, so it is not opened. Name "
            "it on the command line. For the extracting commands its folder or bucket may be passed as --root."
        )
    return url


def _find_packed(source: str | Path, suffixes: frozenset[str], rule: SpeakerRule, root: str | None) -> list[Input]:
    text = str(source)
    if is_url(text):
        check_url(text)
    if is_manifest(text):
        return [
            Input(Path(one.packed.where), normalise_name(one.id), _find_speaker(rule, one), one.packed)
            for one in read_manifest(text, root)
        ]
    if is_tar(text):
        members = [member for member in list_members(text) if PurePosixPath(member.name).suffix.lower() in suffixes]
        stem = Path(text).with_suffix("")
        return [_make_input(member, member.name, stem / member.name, rule) for member in members]
    kind, _, _ = describe_file(text)
    if kind == "file":
        packed = pack_url(text)
        return [_make_input(packed, packed.name, Path(text), rule)]
    found = [one for one in list_files(text) if PurePosixPath(one[0]).suffix.lower() in suffixes]
    above = text.rstrip("/") + "/"
    return [
        _make_input(Packed(url, PurePosixPath(url).name, size, stamp=stamp), url.removeprefix(above), Path(url), rule)
        for url, size, stamp in found
    ]


def _make_input(packed: Packed, name: str, path: Path, rule: SpeakerRule) -> Input:
    name = normalise_name(PurePosixPath(name).as_posix())  # tar names often begin with ./
    identifier = PurePosixPath(name).with_suffix("").as_posix()
    return Input(path, identifier, rule.find_speaker(identifier, path), packed)


def _find_speaker(rule: SpeakerRule, one: Spoken) -> str:
    """Returns the speaker by the options if there are any, else the manifest's, else the recording's folder."""
    if rule.table or rule.pattern or not one.speaker:
        return rule.find_speaker(one.id, Path(one.packed.where))
    return normalise_name(one.speaker)


def _check_ids(found: Sequence[Input]) -> None:
    places: dict[str, Input] = {}
    for source in found:
        if not (is_text(source.id) and is_text(source.speaker)):
            place = str(source.packed or source.path)
            raise FaceVCError(
                f"{place!a}: no table or store can hold its name {source.id!a}, or its speaker {source.speaker!a}, "
                "because it is not UTF-8 or holds a zero byte. Pack the files again, or correct the manifest."
            )
        other = places.setdefault(source.id, source)
        if other is not source:
            first, second = (one.packed or one.path for one in (other, source))
            raise FaceVCError(
                f"{first} and {second} would both be called {source.id!r}. Rename one, or extract them into two stores."
            )
