"""What the loudspeaker gets: the converted samples, in blocks, without clicks and never much too late."""

from dataclasses import dataclass

import numpy as np

from facevc_cli.live.fifo import SampleFifo, make_fade
from facevc_cli.live.figures import LiveFigures


@dataclass(frozen=True, kw_only=True)
class PlayerSettings:
    """spare_s: waits in the FIFO when the next piece comes, for pieces that come late. Each underrun adds
    `more_spare_s`, up to `most_spare_s`.

    late_s: what waits beyond a piece and the spare is dropped at once. excess_s: what was more than needed for all of
    `watched_s` is dropped.
    """

    spare_s: float = 0.02
    more_spare_s: float = 0.01
    most_spare_s: float = 0.12
    late_s: float = 0.1
    excess_s: float = 0.02
    watched_s: float = 4.0
    fade_s: float = 0.03
    search_s: float = 0.01


class Player:
    """Reads a FIFO for a device that asks for blocks. piece: the samples that usually arrive at once.

    If nothing is there in time, the last sound is played backwards while it fades, which begins where it ended.
    """

    def __init__(
        self, fifo: SampleFifo, rate: int, piece: int, figures: LiveFigures, settings: PlayerSettings = PlayerSettings()
    ):
        self.fifo, self.rate, self.piece, self.figures, self.settings = fifo, rate, piece, figures, settings
        self.spare = round(settings.spare_s * rate)
        self.fade, self._search = round(settings.fade_s * rate), round(settings.search_s * rate)
        self.is_waiting = True  # nothing was there, and nothing has come since
        self.is_ending = False  # no more sound will come, so its end is no underrun
        self._pause = 0  # samples of silence before the sound goes on
        self._rising = self.fade  # samples of the fade that are done
        self._tail = np.zeros(0, np.float32)
        self._last = np.zeros(self.fade, np.float32)
        self._lowest, self._watched = self._most, 0

    @property
    def _most(self) -> int:
        """More samples than this wait only because something was late."""
        return self.piece + self.spare + round(self.settings.late_s * self.rate)

    def raise_spare(self, spare_s: float) -> None:
        """Lets so much wait from the next start on, up to `most_spare_s`. It never lets less wait than before."""
        self.spare = max(self.spare, round(min(spare_s, self.settings.most_spare_s) * self.rate))

    def play(self, count: int) -> np.ndarray:
        """Returns the next block (count,) float32."""
        out = np.zeros(count, np.float32)
        fading, self._tail = self._tail[:count], self._tail[count:]
        if self.is_waiting and len(self.fifo):
            missing = max(0, self.piece - len(self.fifo))  # of the first piece, which may be short
            self.is_waiting, self._pause, self._rising = False, self.spare + missing, 0
        if not self.is_waiting:
            silent = min(self._pause, count)
            self._pause -= silent
            if silent < count:
                self._read(out[silent:])
        out[: len(fading)] += fading
        self._last = np.concatenate([self._last, out])[-self.fade :]
        return out

    def _read(self, out: np.ndarray) -> None:
        self._drop_late(len(out))
        got = self.fifo.take(len(out))
        if self._rising < self.fade:
            rising = make_fade(self.fade)[self._rising : self._rising + len(got)]
            got[: len(rising)] *= rising
            self._rising += len(rising)
        out[: len(got)] = got
        if len(got) < len(out):
            self._bridge(out, got)

    def _bridge(self, out: np.ndarray, got: np.ndarray) -> None:
        """Goes on with the last sound backwards, fading, and waits."""
        last = np.concatenate([self._last, got])[-self.fade :]
        tail = last[::-1] * make_fade(self.fade)[::-1]
        room = out[len(got) :]
        room[: len(tail)] = tail[: len(room)]
        self._tail = tail[len(room) :]
        self.is_waiting = True
        if not self.is_ending:
            self.figures.underruns += 1
            self.raise_spare(self.spare / self.rate + self.settings.more_spare_s)
            self._forget()

    def _drop_late(self, count: int) -> None:
        """Drops what makes the sound later than it need be."""
        if self._rising < self.fade:
            return
        waiting = len(self.fifo) - count
        if waiting > self._most:
            self._drop(waiting - self.piece - self.spare)
            return
        self._lowest = min(self._lowest, waiting)
        self._watched += count
        if self._watched >= self.settings.watched_s * self.rate:
            excess = self._lowest - self.spare
            if excess > self.settings.excess_s * self.rate:
                self._drop(excess)
            self._forget()

    def _drop(self, count: int) -> None:
        self.figures.count_drop(self.fifo.drop(count, self.fade, self._search) / self.rate)
        self._forget()

    def _forget(self) -> None:
        self._lowest, self._watched = self._most, 0
