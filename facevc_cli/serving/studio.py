"""What the page does, without the page: keeps what each open page has given, and converts. It knows no Gradio."""

import hashlib
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile

from facevc_cli.converter import Converter, Source
from facevc_cli.errors import FaceVCError
from facevc_cli.features.face import FaceObservation
from facevc_cli.features.pitch import PitchRule
from facevc_cli.io.audio import load_audio
from facevc_cli.io.hashes import file_sha256
from facevc_cli.io.image import load_image
from facevc_cli.provenance.metadata import provenance
from facevc_cli.provenance.saving import save_converted

T = TypeVar("T")
FIRST, SECOND = 0, 1  # the two people of a mix
Upload = Mapping[str, Any] | None  # as the browser names it: path on this machine, orig_name as the person knows it
LONGEST_STEM = 40


@dataclass
class Speech:
    """A recording that was understood: (n,) float32 and its rate in Hz; what the model heard in it once that is known."""

    name: str
    sha256: str
    wav: np.ndarray
    rate: int
    source: Source | None = None

    @property
    def seconds(self) -> float:
        return len(self.wav) / self.rate


@dataclass(frozen=True)
class Person:
    """Who was found in a photograph."""

    name: str
    sha256: str
    face: FaceObservation


@dataclass(frozen=True)
class Converted:
    """A finished file, its length and the time that it took."""

    path: Path
    seconds: float
    took_s: float


@dataclass
class Seat:
    """What one open page has given; a failure is kept too, so that pressing the button says it again."""

    speech: Speech | FaceVCError | None = None
    people: dict[int, Person | FaceVCError] = field(default_factory=dict)
    uploads: set[Path] = field(default_factory=set)
    results: set[Path] = field(default_factory=set)


class Studio:
    """Any number of pages, one model. Not thread-safe but for `leave`: the page's queue lets one call in at a time.

    folder: where uploads arrive and results are put; nothing outside it is ever read for a page or deleted.
    """

    def __init__(self, converter: Converter, folder: Path, max_seconds: float):
        self.converter = converter
        self.folder = folder.resolve()
        self.max_seconds = max_seconds
        self.conversions = 0
        self.pitched = converter.model.pitch_level is not None  # whether the model can be told a pitch
        self._seats: dict[str, Seat] = {}

    def hear(self, page: str, upload: Upload) -> Speech | None:
        """Takes the recording of a page, or forgets it (None). FaceVCError where it is no sound or longer than allowed."""
        seat = self._seat(page)
        seat.speech = None
        if upload is None:
            return None
        try:
            path, name = self._received(seat, upload)
            with _called(path, name):
                self._check_length(name, _announced_s(path))
                (wav, rate), digest = load_audio(path), file_sha256(path)
            self._check_length(name, len(wav) / rate)
            seat.speech = Speech(name, digest, wav, rate)
        except FaceVCError as error:
            seat.speech = error
            raise
        return seat.speech

    def look(self, page: str, who: int, upload: Upload) -> tuple[np.ndarray, Person] | None:
        """Takes a photograph of a page, or forgets it (None): the picture, and who was found. FaceVCError where there is no face."""
        seat = self._seat(page)
        seat.people.pop(who, None)
        if upload is None:
            return None
        try:
            path, name = self._received(seat, upload)
            with _called(path, name):
                image, digest = load_image(path), file_sha256(path)
            try:
                person = Person(name, digest, self.converter.find_face(image))
            except FaceVCError as error:
                raise type(error)(f"{name}: {error}") from error
        except FaceVCError as error:
            seat.people[who] = error
            raise
        seat.people[who] = person
        return image, person

    def convert(self, page: str, share: float = 0.5, pitch: PitchRule = PitchRule()) -> Converted:
        """The page's speech in the voice of its people; share: of the second in a mix, 0 to 1. Deletes what was uploaded."""
        started = time.perf_counter()
        seat = self._seat(page)
        speech = _usable(seat.speech)
        people = {who: person for who, given in sorted(seat.people.items()) if (person := _usable(given))}
        if speech is None:
            raise FaceVCError("There is no speech yet. Record some, or drop a sound file into the first field.")
        if not people:
            raise FaceVCError("There is no face yet. Take a photo, or drop one into the second field.")
        if speech.source is None:
            speech.source = self.converter.analyse((speech.wav, speech.rate))
        weights = {FIRST: 1 - share, SECOND: share} if len(people) == 2 else dict.fromkeys(people, 1.0)
        people = {who: person for who, person in people.items() if weights[who] > 0}
        targets = [self.converter.target_from_embedding(person.face.embedding) for person in people.values()]
        target = targets[0] if len(targets) == 1 else self.converter.target_from_mix(targets, [weights[who] for who in people])
        wav = self.converter.speak(speech.source, self.converter.pitched(target, pitch))
        stem = "__".join((_stem(speech.name), "_".join(_stem(person.name) for person in people.values())))
        path = self.folder / "results" / uuid.uuid4().hex / f"{stem}.wav"
        made = provenance(
            self._key(speech, people, weights, pitch), self.converter.checkpoint.config.name, self.converter.checkpoint.weights_sha256,
            speech.sha256, [person.sha256 for person in people.values()],
        )  # fmt: skip
        names = [person.name for person in people.values()]
        said = f"face {names[0]}" if len(names) == 1 else f"mix of {' and '.join(f'{p.name} {weights[who]:.2f}' for who, p in people.items())}"
        save_converted(path, wav, self.converter.rate, made, speech.name, said)
        _delete(seat.results)
        seat.results.add(path)
        _delete(seat.uploads)
        if self._seats.get(page) is not seat:  # closed while this was under way
            _delete(seat.results)
            raise FaceVCError("the page was closed before the conversion was done.")
        self.conversions += 1
        return Converted(path, len(wav) / self.converter.rate, time.perf_counter() - started)

    def leave(self, page: str) -> None:
        """Forgets all that a page has given, and deletes its files."""
        seat = self._seats.pop(page, None)
        if seat is not None:
            _delete(seat.uploads)
            _delete(seat.results)

    def _seat(self, page: str) -> Seat:
        return self._seats.setdefault(page, Seat())

    def _received(self, seat: Seat, upload: Mapping[str, Any]) -> tuple[Path, str]:
        """The file of an upload and its name. Only what arrived in our own folder is read, whatever the request says."""
        path = Path(str(upload.get("path") or "")).resolve()
        name = Path(str(upload.get("orig_name") or path.name)).name
        if not path.is_relative_to(self.folder) or not path.is_file():
            raise FaceVCError(f"{name or 'the upload'}: the file is not here any more. Uploads are deleted after use: give it again.")
        seat.uploads.add(path)
        return path, name

    def _check_length(self, name: str, seconds: float) -> None:
        if seconds > self.max_seconds:
            raise FaceVCError(
                f"{name}: expected at most {self.max_seconds:g} s of speech, found {seconds:.0f} s. Cut it with the scissors below the "
                "recording, or convert it with 'facevc convert', which has no such limit."
            )

    def _key(self, speech: Speech, people: Mapping[int, Person], weights: Mapping[int, float], pitch: PitchRule) -> str:
        """16 digits of what a result was made from."""
        given = [f"{person.sha256}={weights[who]:g}" for who, person in people.items()]
        parts = (self.converter.checkpoint.weights_sha256, self.converter.vocoder.name, str(pitch), speech.sha256, *given)
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def _usable(given: T | FaceVCError) -> T:
    if isinstance(given, FaceVCError):
        raise FaceVCError(str(given)) from given
    return given


@contextmanager
def _called(path: Path, name: str) -> Iterator[None]:
    """Errors name the file as the person who gave it does, not where it lay here."""
    try:
        yield
    except FaceVCError as error:
        raise type(error)(str(error).replace(str(path), name)) from error


def _announced_s(path: Path) -> float:
    """Seconds of sound by the file's header, before anything is decoded; 0 where it does not say."""
    try:
        return float(soundfile.info(path).duration)
    except (soundfile.LibsndfileError, OSError, TypeError):  # TypeError: the suffix .raw
        return 0.0


def _stem(name: str) -> str:
    """For a file name: letters, digits and little else."""
    return re.sub(r"[^\w-]+", "_", Path(name).stem)[:LONGEST_STEM] or "unnamed"


def _delete(files: set[Path]) -> None:
    """The files, and their folders where nothing else lies in them."""
    for path in files:
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()
    files.clear()
