"""Whose voice a command asks for: pictures, people of several pictures, mixes, voice cards and recordings."""

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from facevc_cli.conversion.card import CARD_SUFFIX
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter
from facevc_cli.dsp.pitch import AUTO_PITCH, PitchRule
from facevc_cli.files.inputs import AUDIO_SUFFIXES, IMAGE_SUFFIXES, list_files
from facevc_cli.files.names import normalise_name, real_path

FACE_SUFFIXES = IMAGE_SUFFIXES | {CARD_SUFFIX}
MOST_STEPS = 101  # of a sweep: two decimals of a share tell them apart
MOST_GUIDANCE = 4.0
MIX_EXAMPLE = "--mix 'a.jpg=.6 b.jpg=.4'"
_PART = re.compile(r"\s*(\S.*?)=(\d*\.?\d+)(?=[\s,]|$)[\s,]*")  # names may hold blanks and equals signs
Named = tuple[Path, str]  # a file and its id


@dataclass(frozen=True)
class VoiceSpec:
    """Whose voice: a recording's, a card's, or what is recalled for pictures. The mean face has every picture of every person."""

    by: str  # "face", "voice", "card" or "mix"
    people: tuple[tuple[Path, ...], ...]  # their files; one of one, but for people of several pictures and the mean face
    degradation: str = ""  # of every picture, as in faces/degradation.py
    name: str = ""  # of a person of several pictures
    parts: tuple[tuple["VoiceSpec", float], ...] = ()  # of a mix, with shares that sum to 1

    @classmethod
    def of(cls, by: str, file: Path, degradation: str = "") -> "VoiceSpec":
        return cls(by, ((file,),), degradation)

    @classmethod
    def person(cls, name: str, files: Sequence[Path]) -> "VoiceSpec":
        """One person's pictures, several or one."""
        return cls("face", (tuple(files),), name=name) if len(files) > 1 else cls.of("face", files[0])

    @classmethod
    def mix(cls, parts: Sequence[tuple["VoiceSpec", float]]) -> "VoiceSpec":
        total = math.fsum(weight for _, weight in parts)
        return cls("mix", (), parts=tuple((part, weight / total) for part, weight in parts))

    def degraded(self, degradation: str) -> "VoiceSpec":
        """The same with every picture degraded; cards and recordings are none."""
        parts = tuple((part.degrade(degradation), share) for part, share in self.parts)
        return replace(self, parts=parts, degradation=degradation if self.has_pictures else self.degradation)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file for files in self.people for file in files) + tuple(file for part, _ in self.parts for file in part.files)

    @property
    def file(self) -> Path | None:
        """The one file that drives; None for a mean of several and for a mix."""
        return self.files[0] if len(self.files) == 1 and not self.parts else None

    @property
    def sees(self) -> bool:
        """Whether pictures are looked at, for which the face networks are needed."""
        return self.by == "face" or any(part.has_pictures for part, _ in self.parts)

    def __str__(self) -> str:
        if self.parts:
            plain = [(part.degrade("") if part.has_pictures else part, share) for part, share in self.parts]
            what = "mix of " + " and ".join(f"{part.file.name if part.file else part} {share:.2f}" for part, share in plain)
        elif self.name:
            what = f"person {self.name} ({len(self.files)} pictures)"
        else:
            what = f"{self.by} {self.file.name}" if self.file else f"mean of {len(self.files)} faces"
        return f"{what} ({self.degradation})" if self.degradation else what


@dataclass(frozen=True)
class TargetRequest:
    """One target that is asked for. `path` is its file, of several pictures the first; `who` names it where its file does not."""

    by: str  # "face", "person", "mix", "card" or "voice"
    path: Path
    id: str
    spec: VoiceSpec
    who: str = ""


@dataclass(frozen=True)
class VoiceOptions:
    """What is asked for beyond a picture or a recording for a voice."""

    persons: tuple[str, ...] = ()  # folders, or pictures between , or |; each is one person
    mixes: tuple[str, ...] = ()  # such as 'a.jpg=.6 b.jpg=.4'
    sweep: int | None = None  # steps from all of a mix's first to all of its second
    pitch: str = "auto"  # as in PitchRule.parse
    guidance: float | None = None  # away from the source's voice; None: the model's

    def check(self) -> None:
        """UsageError where options do not go together or say nothing."""
        self.parse_pitch()
        if self.guidance is not None and not 0 <= self.guidance <= MOST_GUIDANCE:
            raise UsageError(f"--guidance {self.guidance}: expected a number from 0 (off) to {MOST_GUIDANCE:g}. Above 1 the sound suffers.")
        if self.sweep is not None and not self.mixes:
            raise UsageError(f"--sweep {self.sweep} writes the steps between the two of a mix, and there is none. Give {MIX_EXAMPLE}.")
        if self.sweep is not None and not 2 <= self.sweep <= MOST_STEPS:
            raise UsageError(f"--sweep {self.sweep}: expected 2 to {MOST_STEPS} steps.")

    def pitch_rule(self) -> PitchRule:
        return PitchRule.parse(self.pitch)

    @property
    def settings(self) -> tuple[str, ...]:
        """What every result depends on besides its inputs; nothing where all is as it is by default."""
        rule = self.parse_pitch()
        guidance = () if self.guidance is None else (f"guidance {self.guidance:g}",)
        return (*(() if rule == AUTO_PITCH else (f"pitch {rule}",)), *guidance)

    def targets(self, reporter: Reporter = SILENT) -> list[TargetRequest]:
        """The people and mixes; FaceVCError where one cannot be, or two have one name."""
        asked = [_person(text, reporter) for text in self.persons]
        asked += [mixed for text in self.mixes for mixed in _mixed(text, self.sweep, reporter)]
        seen: dict[str, TargetRequest] = {}
        for one in asked:
            other = seen.setdefault(one.id, one)
            if other is not one:
                raise FaceVCError(f"{other.voice_spec} and {one.voice_spec} would both be called {one.id!r}. Rename a folder or file, or leave one out.")
        return asked


def request_faces(named: Sequence[Named]) -> list[TargetRequest]:
    """Pictures and voice cards, each a target."""
    return [_file_asked("card" if is_card(path) else "face", path, identifier) for path, identifier in named]


def request_recordings(named: Sequence[Named]) -> list[TargetRequest]:
    return [_file_asked("voice", path, identifier) for path, identifier in named]


def is_card(path: Path) -> bool:
    return path.suffix.lower() == CARD_SUFFIX


def parse_person(text: str, option: str = "--person", reporter: Reporter = SILENT) -> VoiceSpec:
    """A folder whose pictures are one person, or files between , or |. FaceVCError where there are none."""
    whole = real_path(Path(text))
    listed = [text] if whole.exists() else [name.strip() for name in re.split(r"[,|]", text) if name.strip()]
    cards = [name for name in listed if is_card(Path(name))]
    if cards:
        raise FaceVCError(
            f"{option} {text}: expected pictures, found the voice card {cards[0]}: a card holds a voice, which no picture can be averaged with. "
            f"Pass it as --face, or mix it, as in {MIX_EXAMPLE}."
        )
    if not listed:
        raise UsageError(f"{option} {text!r}: expected a folder of one person's pictures, or pictures between commas.")
    files = list_files(listed, IMAGE_SUFFIXES, reporter)
    return VoiceSpec.from_pictures(_folder_name(whole) if whole.is_dir() else normalise_name(Path(listed[0].lstrip("@")).stem), files)


def _folder_name(folder: Path) -> str:
    """What a folder is called: a link by its own name, not by that of the folder it leads to."""
    return normalise_name(Path(os.path.abspath(folder)).name)


def parse_mix(text: str) -> list[tuple[str, float]]:
    """'a.jpg=.6 b.jpg=.4' -> names and weights. UsageError where it cannot be read, or says less than two."""
    parts, at = [], 0
    while match := _PART.match(text, at):
        parts.append((match[1], float(match[2])))
        at = match.end()
    if at < len(text) or len(parts) < 2 or not any(weight for _, weight in parts):
        rest = f", and no weight behind {text[at:]!r}" if at < len(text) else ""
        raise UsageError(
            f"--mix {text!r}: expected at least two pictures or voice cards with weights that are not all 0, as in {MIX_EXAMPLE}; "
            f"found {len(parts)}{rest}."
        )
    return parts


def take_mix_words(sources: Sequence[str], mixes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Sources and mixes of an unquoted `--mix a.jpg=.6 b.jpg=.4`, whose second part a command line leaves among the sources.

    Taken are words that read as parts and are no files. With several mixes nobody knows whose they are: they stay, and are refused.
    """
    words = [word for word in sources if is_mix_word(word)]
    if len(mixes) != 1 or not words:
        return list(sources), list(mixes)
    return [word for word in sources if word not in words], [" ".join([mixes[0], *words])]


def is_mix_word(word: str) -> bool:
    return _PART.fullmatch(word) is not None and not Path(word).exists()


def find_mix(parts: Sequence[tuple[str, float]], reporter: Reporter = SILENT) -> VoiceSpec:
    """Names and weights -> the mix; FaceVCError where a file is missing."""
    return VoiceSpec.from_mix([(_part(name, reporter), weight) for name, weight in parts])


def _file_asked(by: str, path: Path, identifier: str) -> TargetRequest:
    return TargetRequest(by, path, identifier, VoiceSpec.from_file(by, path))


def _person(text: str, reporter: Reporter) -> TargetRequest:
    spec, folder = parse_person(text, reporter=reporter), real_path(Path(text))
    name = spec.name or (_folder_name(folder) if folder.is_dir() else normalise_name(spec.files[0].stem))
    return TargetRequest("person", spec.files[0], name, spec, name)


def _part(name: str, reporter: Reporter) -> VoiceSpec:
    path = real_path(Path(name))
    if path.is_dir():
        return parse_person(name, "--mix", reporter)
    if not path.exists():
        raise FaceVCError(f"--mix: {name}: no such picture, voice card, recording or folder of one person's pictures. Check the path.")
    suffix = path.suffix.lower()
    return VoiceSpec.from_file("card" if is_card(path) else "voice" if suffix in AUDIO_SUFFIXES else "face", path)


def _mixed(text: str, sweep: int | None, reporter: Reporter) -> Iterator[TargetRequest]:
    parts = parse_mix(text)
    if sweep is not None and len(parts) != 2:
        raise UsageError(f"--sweep {sweep} goes from one to another: expected a mix of two, found {len(parts)} in --mix {text!r}.")
    weights = [[weight for _, weight in parts]] if sweep is None else [[1 - i / (sweep - 1), i / (sweep - 1)] for i in range(sweep)]
    for several in weights:
        spec = find_mix([(name, weight) for (name, _), weight in zip(parts, several, strict=True)], reporter)
        reporter = SILENT  # the other steps of a sweep say nothing new
        identifier = "+".join(f"{name}={share:.2f}" for name, (_, share) in zip(_names(spec), spec.parts, strict=True))
        yield TargetRequest("mix", spec.files[0], identifier, spec, identifier)


def _names(mix: VoiceSpec) -> list[str]:
    """What the parts are called: after their files, with the folder where that does not tell them apart."""
    files = [part.files[0] for part, _ in mix.parts]
    plain = [part.name or normalise_name(file.stem) for (part, _), file in zip(mix.parts, files, strict=True)]
    return plain if len(set(plain)) == len(plain) else [f"{file.absolute().parent.name}-{name}" for name, file in zip(plain, files, strict=True)]
