"""A benchmark's protocol: how many speakers and people of each gender it needs. It draws them from the data."""

import dataclasses
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from facevc_cli.batch.jobs import name_person
from facevc_cli.conversion.voice_request import Named
from facevc_cli.core.choices import name_nearest
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.parsing import parse_settings, read_text, shorten
from facevc_cli.core.settings import from_dict
from facevc_cli.manifest.contract import GENDERS, parse_gender, split_files

Row = Mapping[str, str]
Groups = dict[str, dict[str, list[Named]]]  # gender -> speaker or person -> files


@dataclass(frozen=True)
class SourceCounts:
    speakers: int = 0  # per gender
    utterances: int = 0  # per speaker


@dataclass(frozen=True)
class TextCounts:
    count: int = 0


@dataclass(frozen=True)
class TargetCounts:
    people: int = 0  # per gender
    images: int = 0  # per person


@dataclass(frozen=True)
class ReferenceCounts:
    """Real utterances of a target. A person with fewer than `least` is not drawn. At most `most` are used."""

    least: int = 0
    most: int = 10


@dataclass(frozen=True)
class Protocol:
    """Every drawn utterance is converted to every drawn image.

    So sources of each gender meet targets of each gender. A protocol of speaking has texts instead of sources.
    """

    name: str
    sources: SourceCounts = field(default_factory=SourceCounts)
    targets: TargetCounts = field(default_factory=TargetCounts)
    references: ReferenceCounts = field(default_factory=ReferenceCounts)
    texts: TextCounts = field(default_factory=TextCounts)

    @property
    def is_spoken(self) -> bool:
        return self.texts.count > 0

    @property
    def conversions(self) -> int:
        """The number of conversions of one system, without baselines."""
        genders = len(GENDERS)
        sources = self.texts.count or genders * self.sources.speakers * self.sources.utterances
        return sources * genders * self.targets.people * self.targets.images


def list_protocols() -> list[str]:
    """Lists the protocols of the package."""
    folder = files("facevc_cli.presets").joinpath("protocols")
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def load_protocol(name_or_path: str) -> Protocol:
    """Loads a protocol of the package by its name, or from a YAML file.

    UsageError if the name is unknown. FaceVCError if the file cannot be read, has an unknown key or a count of zero.
    """
    if name_or_path in list_protocols():
        where, name = f"protocol {name_or_path}", name_or_path
        text = files("facevc_cli.presets").joinpath("protocols", f"{name}.yaml").read_text(encoding="utf-8")
    else:
        where, name = str(name_or_path), Path(name_or_path).stem
        try:
            text = read_text(Path(name_or_path))
        except FaceVCError as error:
            names = ", ".join(list_protocols())
            what = f"--protocol {shorten(name_or_path)}: expected one of {names}, or a YAML file."
            if Path(name_or_path).suffix or Path(name_or_path).exists():
                raise FaceVCError(f"{what} {error}") from error
            raise UsageError(f"{what}{name_nearest(name_or_path, list_protocols())}") from error
    protocol = from_dict(Protocol, {"name": name, **parse_settings(text, where)}, where)
    _check(protocol, where)
    return protocol


def _check(protocol: Protocol, where: str) -> None:
    counts: dict[str, Any] = dataclasses.asdict(protocol)
    if counts["texts"]["count"] and (counts["sources"]["speakers"] or counts["sources"]["utterances"]):
        raise FaceVCError(f"{where}: expected sources or texts, found both. Remove one of the two lines.")
    for group in ("texts" if counts["texts"]["count"] else "sources", "targets"):
        for key, value in counts[group].items():
            if value < 1:
                raise FaceVCError(
                    f"{where}: {group}: {key}: expected 1 or more, found {value}. Add the line '{group}: {{{key}: "
                    "1}' or correct it."
                )
    least, most = protocol.references.least, protocol.references.most
    if least < 0 or most < max(1, least):
        raise FaceVCError(
            f"{where}: references: expected 0 <= least <= most and 1 <= most, found least {least}, most {most}. "
            "Correct them."
        )


def draw(
    protocol: Protocol,
    sources: Sequence[Named],
    faces: Sequence[Named],
    about_sources: Sequence[Row],
    about_targets: Sequence[Row],
    seed: int,
) -> tuple[list[Named], list[Named]]:
    """Draws the sources and the faces of a protocol, in the order of their ids.

    Nobody is both a source speaker and a target.

    about_sources: rows with source_id, gender and speaker. A source without a speaker counts as its own speaker.
    about_targets: rows with target, gender and references (separated by |).
    The draw depends on the files, the tables and the seed, but not on their order.
    FaceVCError gives the expected and the found number of each group that is too small.
    """
    speakers = _group_by_speaker(sources, about_sources)
    people = _group_by_person(faces, about_targets, protocol.references.least)
    wanted, lacks = protocol.sources, []
    kept_sources: list[Named] = []
    kept_faces: list[Named] = []
    for gender in GENDERS:
        shown = {who: found for who, found in people[gender].items() if len(found) >= protocol.targets.images}
        spoken = {who: found for who, found in speakers[gender].items() if len(found) >= wanted.utterances}
        rng = random.Random(f"{seed} {gender}")
        chosen = _draw_speakers(spoken, shown, max(0, len(shown) - protocol.targets.people), wanted.speakers, rng)
        free = sorted(set(shown) - set(chosen))
        lacks += _describe_lack(
            "source speakers", gender, wanted.speakers, len(chosen), _count_words(wanted.utterances, "utterance")
        )
        lacks += _describe_lack(
            "target people", gender, protocol.targets.people, len(free), _describe_target_needs(protocol)
        )
        if lacks:
            continue
        for speaker in chosen:
            kept_sources += rng.sample(_sort_by_id(spoken[speaker]), wanted.utterances)
        kept_faces += _draw_images(rng, free, shown, protocol.targets)
    if lacks:
        unknown = (
            f"{len(speakers[''])} of the speakers and {len(people[''])} of the people have no gender in the tables"
        )
        raise FaceVCError(
            f"protocol {protocol.name}: the data cannot fill it: {'; '.join(lacks)} ({unknown}). Add files, or rows "
            "to the tables of sources (source_id, speaker, gender) and of labels (target, gender, references), or "
            "pass a protocol of your own as a YAML file."
        )
    return _sort_by_id(kept_sources), _sort_by_id(kept_faces)


def draw_spoken(
    protocol: Protocol, texts: Sequence[str], faces: Sequence[Named], about_targets: Sequence[Row], seed: int
) -> tuple[list[str], list[Named]]:
    """Draws the texts, by their ids and in their order, and the faces of a protocol of speaking.

    FaceVCError gives the expected and the found number of what is too small.
    """
    people, count = _group_by_person(faces, about_targets, protocol.references.least), protocol.texts.count
    lacks = [f"expected {count} texts, found {len(texts)}"] if len(texts) < count else []
    kept: list[Named] = []
    for gender in GENDERS:
        shown = {who: found for who, found in people[gender].items() if len(found) >= protocol.targets.images}
        lacks += _describe_lack(
            "target people", gender, protocol.targets.people, len(shown), _describe_target_needs(protocol)
        )
        if not lacks:
            kept += _draw_images(random.Random(f"{seed} {gender}"), sorted(shown), shown, protocol.targets)
    if lacks:
        raise FaceVCError(
            f"protocol {protocol.name}: the data cannot fill it: {'; '.join(lacks)} ({len(people[''])} of the "
            "people have no gender in the table). Add texts or faces, or rows to the table of labels (target, "
            "gender, references), or pass a protocol of your own as a YAML file."
        )
    chosen = set(random.Random(f"{seed} texts").sample(sorted(texts), count))
    return [text for text in texts if text in chosen], _sort_by_id(kept)


def _draw_images(
    rng: random.Random, people: Sequence[str], images: Mapping[str, Sequence[Named]], counts: TargetCounts
) -> list[Named]:
    """Draws as many people as the counts say, and as many images of each."""
    drawn = rng.sample(people, counts.people)
    return [image for person in drawn for image in rng.sample(_sort_by_id(images[person]), counts.images)]


def limit_references(protocol: Protocol, references: Sequence[str], seed: int) -> list[str]:
    """Draws at most `most` of a target's recordings, in the order of their names."""
    found = sorted(set(references))
    return sorted(random.Random(f"{seed} {found}").sample(found, min(protocol.references.most, len(found))))


def _group_by_speaker(sources: Sequence[Named], about: Sequence[Row]) -> Groups:
    """Groups sources by gender ("" if unknown) and speaker."""
    known = {row["source_id"]: row for row in about if row.get("source_id")}
    speaker_of = {
        identifier: (known.get(identifier, {}).get("speaker") or "").strip() or identifier for _, identifier in sources
    }
    genders: dict[str, str] = {}
    for _, identifier in sources:
        speaker, gender = speaker_of[identifier], parse_gender(known.get(identifier, {}).get("gender") or "")
        if gender and genders.setdefault(speaker, gender) != gender:
            raise FaceVCError(
                f"table of sources: the speaker {speaker!r} is female in one row and male in another. Correct the rows."
            )
    groups: Groups = {gender: {} for gender in ("", *GENDERS)}
    for path, identifier in sources:
        speaker = speaker_of[identifier]
        groups[genders.get(speaker, "")].setdefault(speaker, []).append((path, identifier))
    return groups


def _group_by_person(faces: Sequence[Named], about: Sequence[Row], least: int) -> Groups:
    """Groups faces by gender ("" if unknown) and person. People of a known gender need at least `least` references."""
    genders: dict[str, str] = {}
    heard: dict[str, set[str]] = {}
    for row in about:
        target, gender = row.get("target") or "", parse_gender(row.get("gender") or "")
        if gender and genders.setdefault(target, gender) != gender:
            raise FaceVCError(
                f"table of labels: the target {target!r} is female in one row and male in another. Correct the rows."
            )
        heard.setdefault(target, set()).update(name.strip() for name in split_files(row.get("references") or ""))
    groups: Groups = {gender: {} for gender in ("", *GENDERS)}
    for path, identifier in faces:
        person = name_person(path, identifier)
        gender = genders.get(person, "")
        if not gender or len(heard.get(person, ())) >= least:
            groups[gender].setdefault(person, []).append((path, identifier))
    return groups


def _draw_speakers(
    spoken: Collection[str], people: Collection[str], spare: int, count: int, rng: random.Random
) -> list[str]:
    """Draws up to `count` speakers. At most `spare` of them are people who could be targets."""
    chosen: list[str] = []
    for speaker in rng.sample(sorted(spoken), len(spoken)):
        if len(chosen) == count or (speaker in people and spare == 0):
            continue
        spare -= speaker in people
        chosen.append(speaker)
    return chosen


def _describe_lack(what: str, gender: str, expected: int, found: int, each: str) -> list[str]:
    return [f"expected {expected} {gender} {what} with {each}, found {found}"] if found < expected else []


def _describe_target_needs(protocol: Protocol) -> str:
    images, recordings = protocol.targets.images, protocol.references.least
    return _count_words(images, "image") + (f" and {_count_words(recordings, 'real recording')}" if recordings else "")


def _count_words(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"


def _sort_by_id(named: Sequence[Named]) -> list[Named]:
    return sorted(named, key=lambda pair: pair[1])
