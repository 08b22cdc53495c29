"""Adds the mark of `watermark.py` to a stream, without a delay.

A frame of the mark is 24 ms long, so a sample's mark depends on up to 24 ms of sound after it. The stream knows that
sound nearly: it gives its own forecast with each piece. Frames across the end of a piece are made from the forecast,
and again from the sound itself for the piece after.
"""

import numpy as np

from facevc_cli.provenance.watermark import HOPS_A_FRAME, KEY, WINDOWS_SUM, add_marked_frames, find_hop


class StreamWatermark:
    """Marks one stream at `rate` Hz. With a right forecast the result equals that of `add_watermark`."""

    def __init__(self, rate: int, key: bytes = KEY):
        self.rate, self.key = rate, key
        self._hop = find_hop(rate)
        self._size = HOPS_A_FRAME * self._hop
        self.reset()

    @property
    def forecast_samples(self) -> int:
        """How much of a forecast is used."""
        return self._size

    def reset(self) -> None:
        self._before = np.zeros(self._size, np.float32)  # the last samples, unmarked
        self._position = 0  # of the next sample

    def push(self, samples: np.ndarray, forecast: np.ndarray) -> np.ndarray:
        """Marks (n,) samples. forecast: what probably follows; `forecast_samples` are best. Returns (n,) float32."""
        count = len(samples)
        if not count:
            return np.zeros(0, np.float32)
        ahead = np.zeros(self._size, np.float32)
        ahead[: min(self._size, len(forecast))] = forecast[: self._size]
        sound = np.concatenate([self._before, samples, ahead])
        # the first frame that reaches a sample of this piece, and where it begins in `sound`
        first = (self._position - self._size) // self._hop + 1
        begin = first * self._hop - (self._position - self._size)
        frames = np.lib.stride_tricks.sliding_window_view(sound[begin:], self._size)[:: self._hop]
        out = np.zeros_like(sound)
        add_marked_frames(out[begin:], frames, first, self.rate, self.key)
        self._before = sound[count : count + self._size]
        self._position += count
        return np.asarray(out[self._size : self._size + count] / np.float32(WINDOWS_SUM), np.float32)
