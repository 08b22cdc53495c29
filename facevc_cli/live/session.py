"""A live session: devices on one side, a worker on the other, and the controls of whoever speaks."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.tuning import use_one_thread
from facevc_cli.live.path import LivePath

WATCHED_EVERY_S = 0.05
SWITCHED_EVERY_S = 0.001  # so soon the device's thread gets its turn; Python's own is 5 ms
ENDED_S = 5.0  # a worker that needs longer for its last step hangs
Capture = Callable[[np.ndarray, float], None]  # a block (n,), and when its last sample was captured
Play = Callable[[int, float], np.ndarray]  # the samples of a block, and when the first is heard


class LiveDevice(Protocol):
    """A microphone and a loudspeaker. Their clock is `time.monotonic`."""

    def start(self, capture: Capture, play: Play) -> None: ...
    def stop(self) -> None: ...
    def check(self) -> None:
        """Raises FaceVCError if a device is lost."""

    @property
    def is_finished(self) -> bool:
        """Whether the microphone gives no more, as a file does at its end."""


@dataclass(frozen=True)
class Voice:
    """A voice to speak in. name: for people. target: what the converter takes."""

    name: str
    target: Any


class Worker:
    """Converts steps until it is stopped. All of it is one call in the thread that loaded the model.

    A second thread that computes would start OpenMP threads of its own, which makes both slower.
    """

    def __init__(self, path: LivePath, pool: Executor):
        self.path, self._pool = path, pool
        self._stopping, self._ending = threading.Event(), threading.Event()
        self._done: Future[None] | None = None

    def start(self) -> None:
        self._done = self._pool.submit(self._work)

    def check(self) -> None:
        """Raises what stopped the worker, if anything did."""
        if self._done is not None and self._done.done():
            self._done.result()

    def finish(self) -> None:
        """Converts what the microphone has given, and what the converter keeps back."""
        self._ending.set()
        self.path.ready.set()
        if self._done is not None:
            self._done.result()

    def stop(self, wait: bool = True) -> None:
        """Stops after the step in hand, and waits for that, but not for ever."""
        self._stopping.set()
        self.path.ready.set()
        if self._done is None or not wait:
            return
        with suppress(Exception):  # `check` has reported it, or it comes from what is being stopped
            if not self._done.cancel():
                self._done.exception(ENDED_S)

    def _work(self) -> None:
        figures = self.path.figures
        while not self._stopping.is_set():
            ending = self._ending.is_set()
            self.path.ready.clear()
            step = self.path.take(last=ending)
            if step is not None:
                began = time.perf_counter()
                made = self.path.convert(step)
                figures.busy_s += time.perf_counter() - began
                figures.converted_s += len(step.samples) / self.path.in_rate
                self.path.give(made)
            elif ending:
                self.path.give(self.path.convert_end())
                return
            else:
                self.path.ready.wait(WATCHED_EVERY_S)


class LiveSession:
    """Runs a path between devices. voices: what the key for the next face walks through."""

    def __init__(self, path: LivePath, device: LiveDevice, pool: Executor, voices: Sequence[Voice] = ()):
        self.path, self.device, self.voices = path, device, voices
        self.worker = Worker(path, pool)
        self.current = 0
        self.is_stopped = False
        self._played: deque[np.ndarray] = deque()

    @property
    def voice(self) -> Voice | None:
        return self.voices[self.current] if self.voices else None

    def choose_next_voice(self) -> None:
        """A step soon begins with the next voice. The worker goes on while that is prepared."""
        if len(self.voices) > 1:
            self.current = (self.current + 1) % len(self.voices)
            with use_one_thread():
                self.path.converter.set_voice(self.voices[self.current].target)

    def run(
        self,
        *,
        seconds: float | None = None,
        control: Callable[["LiveSession"], None] = lambda session: None,
        report: Callable[[dict[str, float | str]], None] = lambda figures: None,
        record: Callable[[np.ndarray], None] | None = None,
    ) -> None:
        """Runs until `control` sets `is_stopped`, the time is over, or the microphone gives no more.

        control: is called 20 times a second. report: gets the figures of each second. record: gets all that was
        played. Both are called in this thread. FaceVCError if a device or the converter fails. Whatever happens, no
        thread of ours is left.
        """

        def play(count: int, heard_s: float) -> np.ndarray:
            block = self.path.play(count, heard_s)
            if record is not None:
                self._played.append(block)
            return block

        figures = self.path.figures
        switching_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCHED_EVERY_S)
        self.worker.start()
        try:
            figures.begin()
            self.device.start(self.path.capture, play)
            told_s = 1.0
            while not self.is_stopped and (seconds is None or figures.seconds < seconds):
                self.worker.check()
                self.device.check()
                control(self)
                self._record(record)
                if self.device.is_finished:
                    self._play_rest(record)
                    break
                if figures.seconds >= told_s:
                    told_s += 1.0
                    report(figures.finish_second())
                time.sleep(WATCHED_EVERY_S)
        finally:
            try:
                self.device.stop()
                self._record(record)
            finally:
                self.worker.stop()
                sys.setswitchinterval(switching_s)

    def _play_rest(self, record: Callable[[np.ndarray], None] | None) -> None:
        """Converts what the microphone has given, and lets the loudspeaker play it to its end."""
        player = self.path.player
        player.is_ending = True
        self.worker.finish()
        until = time.monotonic() + ENDED_S
        while (len(player.fifo) or not player.is_waiting) and time.monotonic() < until:
            self.device.check()
            self._record(record)
            time.sleep(WATCHED_EVERY_S)

    def _record(self, record: Callable[[np.ndarray], None] | None) -> None:
        while record is not None and self._played:
            record(self._played.popleft())


def run_alone(call: Callable[[], Any], what: str, longest_s: float) -> None:
    """Runs a call that may hang, such as closing an unplugged device. FaceVCError if it takes too long."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="closing", daemon=True)
    thread.start()
    thread.join(longest_s)
    if thread.is_alive():
        raise FaceVCError(f"{what} does not answer. Unplug it, or restart the computer's sound.")
    if failed:
        raise failed[0]
