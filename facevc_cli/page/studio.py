"""What the page does, without the page: keeps what each open page has given, and converts. It knows no Gradio."""

import hashlib
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import soundfile

from facevc_cli.conversion.card import CARD_SUFFIX, save_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.speech import Source
from facevc_cli.conversion.voice_spec import VoiceSpec
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.memory import memory_errors_told
from facevc_cli.dsp.pitch import PitchRule
from facevc_cli.files.audio import LONGEST_S, load_audio
from facevc_cli.files.hashes import file_sha256
from facevc_cli.page.people import MOST_PHOTOS, Card, Person, Photo, UploadResolver, name_in_errors
from facevc_cli.provenance.metadata import provenance
from facevc_cli.provenance.saving import save_converted

T = TypeVar("T")
P = ParamSpec("P")
FIRST, SECOND = 0, 1  # the two people of a mix
Upload = Mapping[str, Any] | None  # as the browser names it: path on this machine, orig_name as the person knows it
Stamp = tuple[int, int]  # of a file: which one it is, and since when
LONGEST_STEM = 40
LONGEST_NAME = 100
MOST_PAGES = 32  # whose recordings and faces are kept at once; the one that was silent longest is forgotten for another
FORGOTTEN_PAGES = 1000  # that are told so
STOPPED = "facevc serve was stopped. Start it again."


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
class Converted:
    """A finished file, its length and the time that it took."""

    path: Path
    seconds: float
    took_s: float


@dataclass
class Seat:
    """What one open page has given; a failure is kept too, so that pressing the button says it again."""

    resolver: UploadResolver
    speech: Speech | FaceVCError | None = None
    people: dict[int, Person | FaceVCError] = field(default_factory=dict)
    faces: dict[int, tuple[Path, ...]] = field(default_factory=dict)  # what a face field holds
    uploads: dict[Path, Stamp] = field(default_factory=dict)
    result: dict[Path, Stamp] = field(default_factory=dict)
    card: dict[Path, Stamp] = field(default_factory=dict)
    called_s: float = 0.0  # when the page called last, by a clock that only goes on

    @property
    def shown(self) -> set[Path]:
        """The files of all face fields."""
        return {path for files in self.faces.values() for path in files}


def _run_in_turn(call: "Callable[Concatenate[Studio, P], T]") -> "Callable[Concatenate[Studio, P], T]":
    """A call that waits for the studio's worker, and for all calls before it; FaceVCError where the studio closes first."""

    @wraps(call)
    def waiting(self: "Studio", *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            self._last = done = self._worker.submit(memory_errors_told()(call), self, *args, **kwargs)
        except RuntimeError as error:
            raise FaceVCError(STOPPED) from error
        try:
            return done.result()
        except CancelledError as error:
            raise FaceVCError(STOPPED) from error

    return waiting


class Studio:
    """Any number of pages, one model, one call at a time; `leave` alone never waits.

    load: makes the model, in the thread that then does all the work: each thread that computes brings OpenMP threads of its own, and with more of
    those than processors a conversion takes nearly twice as long.
    folder: where uploads arrive and results are put; nothing outside it is ever read for a page or deleted.
    """

    def __init__(self, load: Callable[[], Converter], folder: Path, max_seconds: float):
        self._worker = ThreadPoolExecutor(1, "network")
        self.converter = self._worker.submit(load).result()
        self.folder = folder.resolve()
        self.max_seconds = max_seconds
        self.conversions = 0
        self.pitched = self.converter.predicts_pitch  # whether the model can be told a pitch
        self._seats: dict[str, Seat] = {}
        self._forgotten: deque[str] = deque(maxlen=FORGOTTEN_PAGES)
        self._last: Future[Any] | None = None  # of the calls, which are done in their order

    @_run_in_turn
    def hear(self, page: str, upload: Upload) -> Speech | None:
        """Takes the recording of a page, or forgets it (None). FaceVCError where it is no sound or longer than allowed."""
        seat = self._seat(page)
        seat.speech = None
        if upload is None:
            return None
        try:
            path, name = self._receive(seat, upload)
            with name_in_errors(path, name):
                self._check_length(name, _read_announced_s(path))
                (wav, rate), digest = load_audio(path, longest_s=min(self.max_seconds, LONGEST_S)), file_sha256(path)
            self._check_length(name, len(wav) / rate)
            seat.speech = Speech(name, digest, wav, rate)
        except FaceVCError as error:
            seat.speech = error
            raise
        return seat.speech

    @_run_in_turn
    def look(self, page: str, who: int, uploads: Sequence[Mapping[str, Any]] = ()) -> Person | None:
        """Takes all that a face field of a page holds, or forgets it (none): who was found. FaceVCError where there is no usable face."""
        seat = self._seat(page)
        before, given = seat.faces.get(who, ()), {_find_path(upload): upload for upload in uploads}
        taken, over = list(given)[:MOST_PHOTOS], list(given.values())[MOST_PHOTOS:]
        seat.faces[who] = tuple(taken)
        seat.people.pop(who, None)
        for path in taken:
            self._take(seat, path, given[path])
        try:
            for upload in over:  # not read, but known, so that they are deleted with the others
                self._receive(seat, upload)
            if over:
                raise FaceVCError(f"expected at most {MOST_PHOTOS} photos of one person, found {len(given)}. Take some away.")
            if taken:
                seat.people[who] = seat.resolver.find_person(taken)
        except FaceVCError as error:
            seat.people[who] = error
        kept = seat.shown
        seat.resolver.keep_only(kept)
        _delete({path: seat.uploads.pop(path) for path in before if path not in kept and path in seat.uploads})
        return _check_usable(seat.people.get(who))

    @_run_in_turn
    def convert(self, page: str, share: float = 0.5, pitch: PitchRule = PitchRule()) -> Converted:
        """The page's speech in the voice of its people; share: of the second in a mix, 0 to 1. Deletes what was uploaded."""
        started = time.perf_counter()
        seat = self._seat(page)
        speech = _check_usable(seat.speech)
        if speech is None:
            raise FaceVCError("There is no speech yet. Record some, or drop a sound file into the first field.")
        spec = _mix_people(seat, share)
        target, files = seat.resolver.resolve(spec), seat.resolver.weigh_shown(spec)
        if speech.source is None:
            speech.source = self.converter.analyse((speech.wav, speech.rate))
        wav = self.converter.speak(speech.source, self.converter.apply_pitch_rule(target, pitch))
        key, model = self._make_key(speech, files, pitch), self.converter.checkpoint
        digests = [file.sha256 for file, _ in files]
        made = provenance(key, model.config.name, model.weights_sha256, speech.sha256, digests)
        path = self._choose_path(f"{_make_stem(speech.name)}__{_name_result(seat, spec)}.wav")
        save_converted(path, wav, self.converter.rate, made, speech.name, spec.describe(seat.resolver.name_file))
        self._keep_result(page, seat, seat.result, path)
        _delete(seat.uploads)
        self.conversions += 1
        return Converted(path, len(wav) / self.converter.rate, time.perf_counter() - started)

    @_run_in_turn
    def card(self, page: str, share: float = 0.5) -> Path:
        """The voice of the page's people as a voice card. Deletes their photos. FaceVCError where there is nobody, or a card alone."""
        seat = self._seat(page)
        spec = _mix_people(seat, share)
        target, files = seat.resolver.resolve(spec), seat.resolver.weigh_shown(spec)
        if len(files) == 1 and isinstance(files[0][0], Card):
            raise FaceVCError(f"{files[0][0].name} is a voice card already. Give photos, or mix it with a second face.")
        origin = [{"file": file.name, "sha256": file.sha256, "share": f"{weight:.4f}"} for file, weight in files]
        path = self._choose_path(f"{_name_result(seat, spec)}{CARD_SUFFIX}")
        save_card(path, self.converter.make_card(target, origin))
        self._keep_result(page, seat, seat.card, path)
        _delete({path: seat.uploads.pop(path) for path in seat.shown if path in seat.uploads})
        return path

    def leave(self, page: str) -> None:
        """Forgets all that a page has given, and deletes its files."""
        seat = self._seats.pop(page, None)
        if seat is not None:
            for files in (seat.uploads, seat.result, seat.card):
                _delete(files)

    @property
    def busy(self) -> bool:
        return self._last is not None and not self._last.done()

    def close(self) -> None:
        """Waits for the call under way, and refuses others: a process must not end while torch computes in another thread."""
        self._worker.shutdown(cancel_futures=True)

    def _seat(self, page: str) -> Seat:
        """What a page has given. FaceVCError if it was forgotten for others: its fields still show what is gone."""
        if page in self._forgotten:
            raise FaceVCError(
                f"More than {MOST_PAGES} pages were in use, and what this one held was deleted. Reload it and give everything again."
            )
        seat = self._seats.setdefault(page, Seat(UploadResolver(self.converter)))
        seat.called_s = time.monotonic()
        if len(seats := self._seats.copy()) > MOST_PAGES:  # a copy: `leave` may come in between
            silent = min(seats, key=lambda other: seats[other].called_s)
            self.leave(silent)
            self._forgotten.append(silent)
        return seat

    def _take(self, seat: Seat, path: Path, upload: Mapping[str, Any]) -> None:
        """A file of a face field, read once: it is deleted after a conversion, and the field goes on naming it."""
        if seat.resolver.knows(path) and (not path.is_file() or seat.uploads.get(path) == _read_stamp(path)):
            return
        try:
            _, name = self._receive(seat, upload)
        except FaceVCError as error:
            seat.resolver.take(path, _name_upload(upload), error)
        else:
            seat.resolver.take(path, name)

    def _receive(self, seat: Seat, upload: Mapping[str, Any]) -> tuple[Path, str]:
        """The file of an upload and its name. Only what arrived in our own folder is read, whatever the request says."""
        path = _find_path(upload)
        name = _name_upload(upload)
        if not path.is_relative_to(self.folder) or not path.is_file():
            raise FaceVCError(f"{name or 'the upload'}: the file is not here any more. Uploads are deleted after use: give it again.")
        seat.uploads[path] = _read_stamp(path)
        return path, name

    def _choose_path(self, name: str) -> Path:
        return self.folder / "results" / uuid.uuid4().hex / name

    def _keep_result(self, page: str, seat: Seat, kept: dict[Path, Stamp], path: Path) -> None:
        """A new file in place of the last of its kind. FaceVCError where the page was closed while it was made."""
        _delete(kept)
        kept[path] = _read_stamp(path)
        if self._seats.get(page) is not seat:
            _delete(kept)
            raise FaceVCError("the page was closed before this was done.")

    def _check_length(self, name: str, seconds: float) -> None:
        if seconds > self.max_seconds:
            raise FaceVCError(
                f"{name}: expected at most {self.max_seconds:g} s of speech, found {seconds:.0f} s. Cut it with the scissors below the "
                "recording, or convert it with 'facevc convert', which has no such limit."
            )

    def _make_key(self, speech: Speech, files: Sequence[tuple[Photo | Card, float]], pitch: PitchRule) -> str:
        """16 digits of what a result was made from."""
        given = [f"{file.sha256}={weight:g}" for file, weight in files]
        parts = (self.converter.checkpoint.weights_sha256, self.converter.vocoder.name, str(pitch), speech.sha256, *given)
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def _find_path(upload: Mapping[str, Any]) -> Path:
    try:
        return Path(str(upload.get("path") or "")).resolve()
    except (OSError, RuntimeError, ValueError):  # no path at all
        return Path()


def _name_upload(upload: Mapping[str, Any]) -> str:
    """An upload's name as the page shows it: in one line, not too long, with its suffix."""
    name = Path(str(upload.get("orig_name") or _find_path(upload).name)).name
    line = "".join(character if character.isprintable() else " " for character in name)
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 10]}…{line[-9:]}"


def _check_usable(given: T | FaceVCError) -> T:
    if isinstance(given, FaceVCError):
        raise FaceVCError(str(given)) from given
    return given


def _mix_people(seat: Seat, share: float) -> VoiceSpec:
    """Whose voice a page asks for at this moment. FaceVCError if nobody is given, or what is given cannot be used."""
    people = {who: person for who, given in sorted(seat.people.items()) if (person := _check_usable(given))}
    if not people:
        raise FaceVCError("There is no face yet. Take a photo, or drop one into the second field.")
    weights = {FIRST: 1 - share, SECOND: share} if len(people) == 2 else dict.fromkeys(people, 1.0)
    weighing = [(person.spec, weights[who]) for who, person in people.items() if weights[who] > 0]
    seat.resolver.keep_only(seat.shown)  # no earlier mix: a slider has many places
    return weighing[0][0] if len(weighing) == 1 else VoiceSpec.from_mix(weighing)


def _name_result(seat: Seat, spec: VoiceSpec) -> str:
    """The stem of a result's name: after the first file of each person."""
    people = [part for part, _ in spec.parts] or [spec]
    return "_".join(_make_stem(seat.resolver.name_file(person.files[0])) for person in people)


def _read_announced_s(path: Path) -> float:
    """Seconds of sound by the file's header, before anything is decoded; 0 where it does not say."""
    try:
        return float(soundfile.info(path).duration)
    except (soundfile.LibsndfileError, OSError, TypeError):  # TypeError: the suffix .raw
        return 0.0


def _make_stem(name: str) -> str:
    """For a file name: letters, digits and little else."""
    return re.sub(r"[^\w-]+", "_", Path(name).stem)[:LONGEST_STEM] or "unnamed"


def _read_stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _delete(files: dict[Path, Stamp]) -> None:
    """The files, and their folders where nothing else lies in them.

    Not those that came again since: equal files of two pages lie in one place, and the other page has yet to read its own.
    """
    for path, stamp in list(files.items()):  # a copy: `leave` may come in between
        with suppress(OSError):
            if _read_stamp(path) == stamp:
                path.unlink()
                path.parent.rmdir()
    files.clear()
