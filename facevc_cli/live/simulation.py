"""A device that plays a recording into the path in real time, and keeps what comes out."""

import threading
import time

import numpy as np

from facevc_cli.live.path import BLOCK_S
from facevc_cli.live.session import Capture, Play


class SimulatedDevice:
    """A microphone that hears a recording (n,), and a loudspeaker that nobody hears.

    Both run by one clock, as one sound card's do. A block that is late is made up for at once, as a card does.
    """

    def __init__(self, wav: np.ndarray, rate: int):
        self.wav, self.rate = wav, rate
        self.is_finished = False
        self._stopping = threading.Event()
        self._failed: Exception | None = None
        self._thread: threading.Thread | None = None

    def start(self, capture: Capture, play: Play) -> None:
        self._thread = threading.Thread(target=self._run, args=(capture, play), name="simulated device", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def check(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _run(self, capture: Capture, play: Play) -> None:
        size, began_s, done = round(BLOCK_S * self.rate), time.monotonic(), 0
        try:
            while not self._stopping.is_set():
                end_s = began_s + (done + size) / self.rate
                if (left := end_s - time.monotonic()) > 0:
                    time.sleep(left)
                block = self.wav[done : done + size]
                done += size
                if len(block):
                    capture(block, end_s)
                play(size, end_s)
                self.is_finished = done >= len(self.wav)
        except Exception as error:  # the main thread raises it
            self._failed = error
