"""Turns a command line's files, --person, --mix and --sweep into targets with their voice specs."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facevc_cli.conversion.card import CARD_SUFFIX
from facevc_cli.conversion.traits import TraitRule
from facevc_cli.conversion.voice_spec import VoiceKind, VoiceSpec, is_card, refuse_cards
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.dsp.pitch import AUTO_PITCH, PitchRule
from facevc_cli.files.inputs import AUDIO_SUFFIXES, IMAGE_SUFFIXES, list_files
from facevc_cli.files.names import find_real_path, normalise_name

FACE_SUFFIXES = IMAGE_SUFFIXES | {CARD_SUFFIX}
MOST_STEPS = 101  # most steps of a sweep, because names give shares with two decimals
MOST_GUIDANCE = 4.0
MIX_EXAMPLE = "--mix 'a.jpg=.6 b.jpg=.4'"
_PART = re.compile(r"\s*(\S.*?)=(\d*\.?\d+)(?=[\s,]|$)[\s,]*")  # names may contain blanks and equals signs
Named = tuple[Path, str]  # a file and its id
TargetKind = Literal["face", "person", "mix", "card", "voice"]


@dataclass(frozen=True)
class TargetRequest:
    """One requested target.

    `path` is its file, or the first of several pictures. `who` names it if its file does not.
    """

    kind: TargetKind
    path: Path
    id: str
    voice_spec: VoiceSpec
    who: str = ""


@dataclass(frozen=True, kw_only=True)
class VoiceOptions:
    """Options for voices beyond single pictures and recordings."""

    persons: tuple[str, ...] = ()  # each is one person: a folder, or pictures separated by , or |
    mixes: tuple[str, ...] = ()  # such as 'a.jpg=.6 b.jpg=.4'
    sweep: int | None = None  # count of steps from only the first part of a mix to only the second
    pitch: str = "auto"  # as in PitchRule.parse
    guidance: float | None = None  # strength of the move away from the source's voice; None: the model's setting
    register: str = "auto"  # as in TraitRule.parse
    age: str = "auto"

    def check(self) -> None:
        """UsageError if options do not go together or a value is wrong."""
        self.parse_pitch()
        self.parse_traits()
        if self.guidance is not None and not 0 <= self.guidance <= MOST_GUIDANCE:
            raise UsageError(
                f"--guidance {self.guidance}: expected a number from 0 (off) to {MOST_GUIDANCE:g}. Above 1 the sound "
                "gets worse."
            )
        if self.sweep is not None and not self.mixes:
            raise UsageError(
                f"--sweep {self.sweep} writes the steps between the two parts of a mix, but there is no mix. Give "
                f"{MIX_EXAMPLE}."
            )
        if self.sweep is not None and not 2 <= self.sweep <= MOST_STEPS:
            raise UsageError(f"--sweep {self.sweep}: expected 2 to {MOST_STEPS} steps.")

    def parse_pitch(self) -> PitchRule:
        return PitchRule.parse(self.pitch)

    def parse_traits(self) -> TraitRule:
        return TraitRule.parse(self.register, self.age)

    @property
    def settings(self) -> tuple[str, ...]:
        """Options that change every result, as texts. Empty if all have their defaults."""
        rule = self.parse_pitch()
        guidance = () if self.guidance is None else (f"guidance {self.guidance:g}",)
        return (*(() if rule == AUTO_PITCH else (f"pitch {rule}",)), *guidance, *self.parse_traits().settings)

    def find_targets(self, reporter: Reporter = SILENT) -> list[TargetRequest]:
        """Returns the people and mixes. FaceVCError if a file is missing, or two targets have the same name."""
        requests = [_request_person(text, reporter) for text in self.persons]
        requests += [mix for text in self.mixes for mix in _request_mixes(text, self.sweep, reporter)]
        seen: dict[str, TargetRequest] = {}
        for one in requests:
            other = seen.setdefault(one.id, one)
            if other is not one:
                raise FaceVCError(
                    f"{other.voice_spec} and {one.voice_spec} would both be called {one.id!r}. "
                    "Rename a folder or file, or leave one out."
                )
        return requests


def request_faces(named: Sequence[Named]) -> list[TargetRequest]:
    """Makes one target per picture or voice card."""
    return [_request_file("card" if is_card(path) else "face", path, identifier) for path, identifier in named]


def request_recordings(named: Sequence[Named]) -> list[TargetRequest]:
    return [_request_file("voice", path, identifier) for path, identifier in named]


def parse_person(text: str, option: str = "--person", reporter: Reporter = SILENT) -> VoiceSpec:
    """Parses a folder of one person's pictures, or files separated by , or |. FaceVCError if there are none."""
    whole = find_real_path(Path(text))
    listed = [text] if whole.exists() else [name.strip() for name in re.split(r"[,|]", text) if name.strip()]
    expected = f"{option} {text}: expected pictures and no voice card"
    refuse_cards([Path(name) for name in listed], expected, f"Pass it as --face, or mix it, as in {MIX_EXAMPLE}.")
    if not listed:
        raise UsageError(f"{option} {text!r}: expected a folder of one person's pictures, or pictures between commas.")
    files = list_files(listed, IMAGE_SUFFIXES, reporter)
    first = normalise_name(Path(listed[0].lstrip("@")).stem)
    return VoiceSpec.from_pictures(_name_folder(whole) if whole.is_dir() else first, files)


def parse_mix(text: str) -> list[tuple[str, float]]:
    """'a.jpg=.6 b.jpg=.4' -> names and weights. UsageError if it cannot be read, or names fewer than two."""
    parts, at = [], 0
    while match := _PART.match(text, at):
        parts.append((match[1], float(match[2])))
        at = match.end()
    if at < len(text) or len(parts) < 2 or not any(weight for _, weight in parts):
        rest = f", and no weight after {text[at:]!r}" if at < len(text) else ""
        raise UsageError(
            f"--mix {text!r}: expected at least two pictures or voice cards with weights that are not all 0, as in "
            f"{MIX_EXAMPLE}; found {len(parts)}{rest}."
        )
    return parts


def find_mix(parts: Sequence[tuple[str, float]], reporter: Reporter = SILENT) -> VoiceSpec:
    """Names and weights -> the mix. FaceVCError if a file is missing."""
    return VoiceSpec.from_mix([(_find_part(name, reporter), weight) for name, weight in parts])


def take_mix_words(sources: Sequence[str], mixes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns sources and mixes after an unquoted `--mix a.jpg=.6 b.jpg=.4`, whose second part is among the sources.

    It moves words that look like parts and are no files. With several mixes their owner is unknown: they stay, and are
    refused.
    """
    words = [word for word in sources if is_mix_word(word)]
    if len(mixes) != 1 or not words:
        return list(sources), list(mixes)
    return [word for word in sources if word not in words], [" ".join([mixes[0], *words])]


def is_mix_word(word: str) -> bool:
    return _PART.fullmatch(word) is not None and not Path(word).exists()


def _request_file(kind: Literal["face", "card", "voice"], path: Path, identifier: str) -> TargetRequest:
    return TargetRequest(kind, path, identifier, VoiceSpec.from_file(kind, path))


def _request_person(text: str, reporter: Reporter) -> TargetRequest:
    spec, folder = parse_person(text, reporter=reporter), find_real_path(Path(text))
    name = spec.name or (_name_folder(folder) if folder.is_dir() else normalise_name(spec.files[0].stem))
    return TargetRequest("person", spec.files[0], name, spec, name)


def _request_mixes(text: str, sweep: int | None, reporter: Reporter) -> Iterator[TargetRequest]:
    """Yields the mix, or each step of its sweep."""
    parts = parse_mix(text)
    if sweep is not None and len(parts) != 2:
        raise UsageError(
            f"--sweep {sweep} moves from one voice to another: expected a mix of two, found {len(parts)} in --mix "
            f"{text!r}."
        )
    weights = [[weight for _, weight in parts]]
    if sweep is not None:
        weights = [[1 - i / (sweep - 1), i / (sweep - 1)] for i in range(sweep)]
    for several in weights:
        spec = find_mix([(name, weight) for (name, _), weight in zip(parts, several, strict=True)], reporter)
        reporter = SILENT  # the other steps of a sweep would repeat the same messages
        shares = zip(_name_parts(spec), spec.parts, strict=True)
        identifier = "+".join(f"{name}={share:.2f}" for name, (_, share) in shares)
        yield TargetRequest("mix", spec.files[0], identifier, spec, identifier)


def _find_part(name: str, reporter: Reporter) -> VoiceSpec:
    path = find_real_path(Path(name))
    if path.is_dir():
        return parse_person(name, "--mix", reporter)
    if not path.exists():
        raise FaceVCError(
            f"--mix: {name}: no such picture, voice card, recording or folder of one person's pictures. Check the path."
        )
    kind: VoiceKind = "card" if is_card(path) else "voice" if path.suffix.lower() in AUDIO_SUFFIXES else "face"
    return VoiceSpec.from_file(kind, path)


def _name_parts(mix: VoiceSpec) -> list[str]:
    """Names the parts after their files, with the folder if two names are equal."""
    files = [part.files[0] for part, _ in mix.parts]
    plain = [part.name or normalise_name(file.stem) for (part, _), file in zip(mix.parts, files, strict=True)]
    if len(set(plain)) == len(plain):
        return plain
    return [f"{file.absolute().parent.name}-{name}" for name, file in zip(plain, files, strict=True)]


def _name_folder(folder: Path) -> str:
    """Names a folder. A link keeps its own name instead of its target's name."""
    return normalise_name(Path(os.path.abspath(folder)).name)
