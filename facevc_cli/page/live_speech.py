"""Live calls of the page: whose voice, how many at once, and when each ends. This module does not import Gradio."""

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from facevc_cli.conversion.recordings import Recording
from facevc_cli.conversion.stream.settings import StreamSettings
from facevc_cli.conversion.stream.voice_stream import Sink, VoiceStream
from facevc_cli.conversion.traits import TraitRule
from facevc_cli.conversion.voice import Target
from facevc_cli.core.errors import FaceVCError
from facevc_cli.live.path import LivePath
from facevc_cli.live.session import Worker
from facevc_cli.live.speed import choose_step
from facevc_cli.page.studio import Studio, mix_people
from facevc_cli.page.uploads import delete_files

WHO = 3  # the number of this person in the studio
VOICE = (WHO,)
MOST_CALLS = 2  # at once; each keeps the model busy for a large part of the time
TICKET_S = 30.0  # between the button and the first sound, in which somebody allows the microphone
RATES = range(8000, 96001)  # Hz that browsers use


class TurnStream:
    """A stream whose work is done in the studio's turn, between the conversions of other pages."""

    def __init__(self, stream: VoiceStream, studio: Studio):
        self._stream, self._studio = stream, studio
        self.rate, self.latency_samples, self.step_samples = stream.rate, stream.latency_samples, stream.step_samples

    def push(self, samples: np.ndarray) -> np.ndarray:
        return self._studio.run_in_turn(self._stream.push, samples)

    def flush(self) -> np.ndarray:
        return self._studio.run_in_turn(self._stream.flush)

    def speak_into(self, sink: Sink) -> None:
        self._studio.run_in_turn(self._stream.speak_into, sink)

    def reset(self) -> None:
        self._studio.run_in_turn(self._stream.reset)

    def set_voice(self, target: Target) -> None:
        self._studio.run_in_turn(self._stream.set_voice, target)

    def calibrate(self, recording: Recording) -> None:
        self._studio.run_in_turn(self._stream.calibrate, recording)


class LiveCall:
    """One browser that speaks. Its blocks are the clock: as many samples go back as came."""

    def __init__(self, page: str, stream: VoiceStream, spare_s: float, clock: Callable[[], float] = time.monotonic):
        self.page, self._stream, self._spare_s, self._clock = page, stream, spare_s, clock
        self.begun_s, self.is_connected, self.is_over = clock(), False, False
        self.path: LivePath | None = None
        self._worker: Worker | None = None
        self._pool: ThreadPoolExecutor | None = None

    @property
    def is_expired(self) -> bool:
        return not self.is_connected and self._clock() - self.begun_s > TICKET_S

    def start(self, rate: int) -> None:
        """The browser is there. rate: of its sound, in Hz."""
        self.is_connected = True
        self.path = LivePath(self._stream, rate, rate, spare_s=self._spare_s)
        self._pool = ThreadPoolExecutor(1, "live call")
        self._worker = Worker(self.path, self._pool)
        self._worker.start()
        self.path.figures.begin()

    def exchange(self, block: np.ndarray) -> np.ndarray:
        """Takes what was said (n,), and returns what is to be heard (n,). FaceVCError if the conversion failed."""
        if self.path is None or self._worker is None or self.is_over:
            raise FaceVCError("this call is over.")
        self._worker.check()
        now = self._clock()
        self.path.capture(block, now)
        return self.path.play(len(block), now)

    def end(self) -> None:
        """Frees the converter after the step in hand, for which it does not wait. It may be called again."""
        self.is_over = True
        if self._worker is not None and self._pool is not None:
            self._worker.stop(wait=False)
            self._pool.shutdown(wait=False)


class LiveSpeech:
    """Any number of pages, of which a few may speak at once. A page that is left speaks no more."""

    def __init__(self, studio: Studio, clock: Callable[[], float] = time.monotonic):
        self.studio, self._clock = studio, clock
        self._calls: dict[str, LiveCall] = {}  # by ticket
        self._lock = threading.Lock()  # of the calls; connections and the studio work in several threads
        self._step: tuple[int, float] | None = None  # frames, and the spare in seconds, once they are measured
        studio.leaving.append(self.leave)

    @property
    def count(self) -> int:
        """How many calls there are now."""
        self._forget_expired()
        return len(self._calls)

    def begin(self, page: str, register: float = 0.0, age_years: float = 0.0) -> str:
        """Prepares the voice of the page's person, then deletes the photos. Returns a ticket for one connection.

        The sliders count as in `Studio.convert`. FaceVCError if there is no face, or others speak already.
        """
        self.leave(page)
        if self.count >= MOST_CALLS:
            raise FaceVCError(
                f"{MOST_CALLS} people speak already, which is as much as this computer can do. Try again later."
            )
        return self.studio.run_in_turn(self._begin, page, register, age_years)

    def connect(self, ticket: str, rate: int) -> LiveCall | None:
        """Starts the call of a ticket, once. None if there is none, or the rate is none of a browser's."""
        self._forget_expired()
        with self._lock:
            call = self._calls.get(ticket)
            if call is None or call.is_connected or rate not in RATES:
                return None
            call.start(rate)
        return call

    def end(self, call: LiveCall) -> None:
        """Ends a call, and forgets it."""
        with self._lock:
            self._calls = {ticket: other for ticket, other in self._calls.items() if other is not call}
        call.end()

    def leave(self, page: str) -> None:
        """Ends the calls of a page."""
        for call in [call for call in self._calls.values() if call.page == page]:
            self.end(call)

    def _begin(self, page: str, register: float, age_years: float) -> str:
        session = self.studio.find_session(page)
        target = session.resolver.resolve(mix_people(session, 0.0, VOICE))
        traits = TraitRule.from_sliders(session.readings.get(VOICE), register, age_years)
        frames, spare_s = self._step or self._measure(target)
        stream = self._open(self.studio.converter.apply_trait_rule(target, traits), frames)
        given = session.faces.get(WHO, ())
        delete_files({file: session.uploads.pop(file) for file in given if file in session.uploads})
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._calls[ticket] = LiveCall(page, TurnStream(stream, self.studio), spare_s, self._clock)
        return ticket

    def _measure(self, target: Target) -> tuple[int, float]:
        """Finds once which steps this computer converts in time."""
        speed = choose_step(lambda frames: self._open(target, frames))
        self._step = speed.frames, speed.spare_s
        return self._step

    def _open(self, target: Target, frames: int) -> VoiceStream:
        return self.studio.converter.stream(target, settings=StreamSettings(step_frames=frames))

    def _forget_expired(self) -> None:
        for call in [call for call in self._calls.values() if call.is_expired or call.is_over]:
            self.end(call)
