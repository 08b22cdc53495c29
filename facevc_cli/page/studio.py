"""What the page does: keep the uploads of each open page, and convert. This module does not import Gradio."""

import hashlib
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, TypeVar

from facevc_cli.conversion.card import CARD_SUFFIX, save_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.traits import TraitRule
from facevc_cli.conversion.voice_reading import VoiceReading
from facevc_cli.conversion.voice_spec import VoiceSpec
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.memory import report_memory_errors
from facevc_cli.dsp.pitch import PitchRule
from facevc_cli.files.audio import LONGEST_S, load_audio
from facevc_cli.files.hashes import hash_file
from facevc_cli.page.people import MOST_PHOTOS, Card, Person, Photo, UploadResolver, name_in_errors
from facevc_cli.page.session import Converted, PageSession, Speech
from facevc_cli.page.uploads import (
    Stamp,
    Upload,
    delete_files,
    find_path,
    make_stem,
    name_upload,
    read_announced_s,
    read_stamp,
)
from facevc_cli.provenance.metadata import Provenance, describe_provenance
from facevc_cli.provenance.saving import save_converted

T = TypeVar("T")
P = ParamSpec("P")
FIRST, SECOND = 0, 1  # the two people of a mix
MIXED = (FIRST, SECOND)
MOST_PAGES = 32  # open pages that are kept at once; a further one replaces the page that was silent longest
FORGOTTEN_PAGES = 1000  # the last pages that were replaced; they get an error that says so
STOPPED = "facevc serve was stopped. Start it again."


def _take_turn(call: "Callable[Concatenate[Studio, P], T]") -> "Callable[Concatenate[Studio, P], T]":
    """Make a method run as `Studio.run_in_turn` does."""

    @wraps(call)
    def run(self: "Studio", *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run_in_turn(call, self, *args, **kwargs)

    return run


class Studio:
    """Any number of pages, one model, and one call at a time. Only `leave` never waits.

    load: makes the model, in the thread that does all the work. Each thread that computes starts OpenMP threads of its
    own. With more OpenMP threads than CPUs a conversion takes nearly twice as long.
    folder: for uploads and results. Nothing outside it is ever read for a page or deleted.
    """

    def __init__(self, load: Callable[[], Converter], folder: Path, max_seconds: float):
        self._worker = ThreadPoolExecutor(1, "network")
        self.converter = self._worker.submit(load).result()
        self.folder = folder.resolve()
        self.max_seconds = max_seconds
        self.conversions = 0
        self.pitched = self.converter.predicts_pitch  # whether the model can be told a pitch
        self._sessions: dict[str, PageSession] = {}
        self._forgotten: deque[str] = deque(maxlen=FORGOTTEN_PAGES)
        self.leaving: list[Callable[[str], None]] = []  # get the id of a page that is left
        self._last: Future[Any] | None = None  # the last of the calls, which run in their order

    def run_in_turn(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call in the worker thread, after all earlier calls. FaceVCError if the studio closes first."""
        try:
            self._last = done = self._worker.submit(report_memory_errors()(call), *args, **kwargs)
        except RuntimeError as error:
            raise FaceVCError(STOPPED) from error
        try:
            return done.result()
        except CancelledError as error:
            raise FaceVCError(STOPPED) from error

    @_take_turn
    def hear(self, page: str, upload: Upload) -> Speech | None:
        """Take the recording of a page, or forget it (None). FaceVCError if it has no sound or is too long."""
        session = self.find_session(page)
        session.speech = None
        if upload is None:
            return None
        try:
            session.speech = self.read_speech(session, upload)
        except FaceVCError as error:
            session.speech = error
            raise
        return session.speech

    def read_speech(self, session: PageSession, upload: Mapping[str, Any]) -> Speech:
        """Read an uploaded recording. FaceVCError if it has no sound or is too long."""
        path, name = self.receive(session, upload)
        with name_in_errors(path, name):
            self._check_length(name, read_announced_s(path))
            (wav, rate), digest = load_audio(path, longest_s=min(self.max_seconds, LONGEST_S)), hash_file(path)
        self._check_length(name, len(wav) / rate)
        return Speech(name, digest, wav, rate)

    @_take_turn
    def look(self, page: str, who: int, uploads: Sequence[Mapping[str, Any]] = ()) -> Person | None:
        """Take the files of a page's face field and return who was found; forget the person if there are none.

        FaceVCError if no face can be used.
        """
        session = self.find_session(page)
        before, given = session.faces.get(who, ()), {find_path(upload): upload for upload in uploads}
        taken, over = list(given)[:MOST_PHOTOS], list(given.values())[MOST_PHOTOS:]
        session.faces[who] = tuple(taken)
        session.people.pop(who, None)
        for path in taken:
            self._take(session, path, given[path])
        try:
            for upload in over:  # not read, but registered, so that they are deleted with the others
                self.receive(session, upload)
            if over:
                raise FaceVCError(
                    f"expected at most {MOST_PHOTOS} photos of one person, found {len(given)}. Remove some."
                )
            if taken:
                session.people[who] = session.resolver.find_person(taken)
        except FaceVCError as error:
            session.people[who] = error
        kept = session.shown
        session.resolver.keep_only(kept)
        delete_files(
            {path: session.uploads.pop(path) for path in before if path not in kept and path in session.uploads}
        )
        return check_usable(session.people.get(who))

    @_take_turn
    def read(self, page: str, share: float = 0.5, people: tuple[int, ...] = MIXED) -> VoiceReading | None:
        """Read what the voice of these people of a page sounds like.

        None if there is nobody yet, or nothing can be read.
        """
        session = self.find_session(page)
        session.readings[people] = None
        with suppress(FaceVCError):  # reported already, beside the face
            target = session.resolver.resolve(mix_people(session, share, people))
            session.readings[people] = self.converter.read_voice(target)
        return session.readings[people]

    @_take_turn
    def convert(
        self,
        page: str,
        share: float = 0.5,
        pitch: PitchRule = PitchRule(),
        register: float = 0.0,
        age_years: float = 0.0,
    ) -> Converted:
        """Convert the page's speech to the voice of its people, then delete the uploads.

        share: of the second person in a mix, 0 to 1. register, age_years: as the sliders say; they count if they were
        moved from what `read` returned.
        """
        started = time.perf_counter()
        session = self.find_session(page)
        speech = check_usable(session.speech)
        if speech is None:
            raise FaceVCError("There is no speech yet. Record some, or drop a sound file into the first field.")
        spec = mix_people(session, share)
        target, files = session.resolver.resolve(spec), session.resolver.weigh_shown(spec)
        if speech.source is None:
            speech.source = self.converter.analyse((speech.wav, speech.rate))
        traits = TraitRule.from_sliders(session.readings.get(MIXED), register, age_years)
        steered = self.converter.apply_trait_rule(target, traits)
        wav = self.converter.speak(speech.source, self.converter.apply_pitch_rule(steered, pitch))
        made = self.describe_result(speech.sha256, files, pitch, traits)
        path = self.choose_path(f"{make_stem(speech.name)}__{name_result(session, spec)}.wav")
        save_converted(path, wav, self.converter.rate, made, speech.name, spec.describe(session.resolver.name_file))
        self.keep_result(page, session, session.result, path)
        delete_files(session.uploads)
        self.conversions += 1
        return Converted(path, len(wav) / self.converter.rate, time.perf_counter() - started)

    @_take_turn
    def make_card(
        self,
        page: str,
        share: float = 0.5,
        register: float = 0.0,
        age_years: float = 0.0,
        people: tuple[int, ...] = MIXED,
    ) -> Path:
        """Save the voice of these people of a page as a voice card, then delete their photos.

        The sliders count as in `convert`. FaceVCError if there is nobody, or only a card.
        """
        session = self.find_session(page)
        spec = mix_people(session, share, people)
        target, files = session.resolver.resolve(spec), session.resolver.weigh_shown(spec)
        if len(files) == 1 and isinstance(files[0][0], Card):
            raise FaceVCError(f"{files[0][0].name} is a voice card already. Give photos, or mix it with a second face.")
        origin = [{"file": file.name, "sha256": file.sha256, "share": f"{weight:.4f}"} for file, weight in files]
        path = self.choose_path(f"{name_result(session, spec)}{CARD_SUFFIX}")
        traits = TraitRule.from_sliders(session.readings.get(people), register, age_years)
        save_card(path, self.converter.make_card(self.converter.apply_trait_rule(target, traits), origin))
        self.keep_result(page, session, session.card, path)
        delete_files({path: session.uploads.pop(path) for path in session.shown if path in session.uploads})
        return path

    def leave(self, page: str) -> None:
        """Forget a page, and delete its files."""
        for leave in self.leaving:
            leave(page)
        session = self._sessions.pop(page, None)
        if session is not None:
            for files in session.files:
                delete_files(files)

    @property
    def busy(self) -> bool:
        return self._last is not None and not self._last.done()

    def close(self) -> None:
        """Wait for the running call and refuse others.

        A process must not end while torch computes in another thread.
        """
        for leave in self.leaving:
            for page in list(self._sessions):
                leave(page)
        self._worker.shutdown(cancel_futures=True)

    def find_session(self, page: str) -> PageSession:
        """Find the session of a page. FaceVCError if it was replaced by others: its fields still show deleted files."""
        if page in self._forgotten:
            raise FaceVCError(
                f"More than {MOST_PAGES} pages were in use, and the files of this one were deleted. Reload it and "
                "upload everything again."
            )
        session = self._sessions.setdefault(page, PageSession(UploadResolver(self.converter)))
        session.called_s = time.monotonic()
        if len(sessions := self._sessions.copy()) > MOST_PAGES:  # a copy: `leave` may come in between
            silent = min(sessions, key=lambda other: sessions[other].called_s)
            self.leave(silent)
            self._forgotten.append(silent)
        return session

    def _take(self, session: PageSession, path: Path, upload: Mapping[str, Any]) -> None:
        """Read a file of a face field, once. It is deleted after a conversion, but the field still names it."""
        if session.resolver.knows(path) and (not path.is_file() or session.uploads.get(path) == read_stamp(path)):
            return
        try:
            _, name = self.receive(session, upload)
        except FaceVCError as error:
            session.resolver.take(path, name_upload(upload), error)
        else:
            session.resolver.take(path, name)

    def receive(self, session: PageSession, upload: Mapping[str, Any]) -> tuple[Path, str]:
        """Find the file of an upload, and its name.

        Only files in our own folder are read, whatever the request says.
        """
        path = find_path(upload)
        name = name_upload(upload)
        if not path.is_relative_to(self.folder) or not path.is_file():
            raise FaceVCError(
                f"{name or 'the upload'}: the file is no longer here. Uploads are deleted after use. Upload it again."
            )
        session.uploads[path] = read_stamp(path)
        return path, name

    def choose_path(self, name: str) -> Path:
        return self.folder / "results" / uuid.uuid4().hex / name

    def keep_result(self, page: str, session: PageSession, kept: dict[Path, Stamp], path: Path) -> None:
        """Keep a new file in place of the last of its kind. FaceVCError if the page was closed in the meantime."""
        delete_files(kept)
        kept[path] = read_stamp(path)
        try:
            self.check_open(page, session)
        except FaceVCError:
            delete_files(kept)
            raise

    def check_open(self, page: str, session: PageSession) -> None:
        """FaceVCError if the page was closed in the meantime."""
        if self._sessions.get(page) is not session:
            raise FaceVCError("the page was closed before this was done.")

    def _check_length(self, name: str, seconds: float) -> None:
        if seconds > self.max_seconds:
            raise FaceVCError(
                f"{name}: expected at most {self.max_seconds:g} s of speech, found {seconds:.0f} s. Cut it with the "
                "scissors below the recording, or convert it with 'facevc convert', which has no such limit."
            )

    def describe_result(
        self,
        source_sha256: str,
        files: Sequence[tuple[Photo | Card, float]],
        pitch: PitchRule,
        traits: TraitRule,
        about: Mapping[str, str] = MappingProxyType({}),
    ) -> Provenance:
        """Describe a result for its metadata. about: as in `describe_provenance`."""
        model, given = self.converter.checkpoint, [f"{file.sha256}={weight:g}" for file, weight in files]
        parts = (
            model.weights_sha256,
            self.converter.vocoder.name,
            str(pitch),
            *traits.settings,
            source_sha256,
            *given,
        )
        key = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
        digests = [file.sha256 for file, _ in files]
        return describe_provenance(key, model.config.name, model.weights_sha256, source_sha256, digests, about=about)


def check_usable(given: T | FaceVCError) -> T:
    if isinstance(given, FaceVCError):
        raise FaceVCError(str(given)) from given
    return given


def mix_people(session: PageSession, share: float, whose: tuple[int, ...] = MIXED) -> VoiceSpec:
    """Make the voice spec of these people of a page. FaceVCError if there is nobody, or one cannot be used."""
    people = {who: person for who in whose if who in session.people and (person := check_usable(session.people[who]))}
    if not people:
        raise FaceVCError("There is no face yet. Take a photo, or drop one into the second field.")
    weights = {FIRST: 1 - share, SECOND: share} if len(people) == 2 else dict.fromkeys(people, 1.0)
    weighing = [(person.spec, weights[who]) for who, person in people.items() if weights[who] > 0]
    session.resolver.keep_only(session.shown)  # drop earlier mixes: a slider has many positions
    return weighing[0][0] if len(weighing) == 1 else VoiceSpec.from_mix(weighing)


def name_result(session: PageSession, spec: VoiceSpec) -> str:
    """Make the stem of a result's name from the first file of each person."""
    people = [part for part, _ in spec.parts] or [spec]
    return "_".join(make_stem(session.resolver.name_file(person.files[0])) for person in people)
