"""Changes the rate of a stream, with a delay of about a millisecond.

soxr does the same for files. As a stream it returns the first samples after 40 ms in each direction, which is too late
for a conversation. This filter is shorter: less steep at the upper edge of the band, where speech has next to nothing.
"""

from fractions import Fraction

import numpy as np

ZERO_CROSSINGS = 16  # of the sinc, on each side
ROLL_OFF = 0.92  # of the lower Nyquist frequency
KAISER_BETA = 9.0  # 90 dB of attenuation


class StreamResampler:
    """Takes blocks of any size. The samples that it returns do not depend on the sizes.

    Output sample k is the input at the time k / to_rate, so nothing is shifted.
    """

    def __init__(self, from_rate: int, to_rate: int):
        step = Fraction(from_rate, to_rate)
        self._up, self._down = step.denominator, step.numerator
        self.from_rate, self.to_rate = from_rate, to_rate
        widest = max(1.0, from_rate / to_rate)
        # how many input samples after a sample's own time the filter hears
        self.lookahead_samples = 0 if self._up == self._down else int(np.ceil(ZERO_CROSSINGS * widest))
        self._filters = self._make_filters(ROLL_OFF / widest)
        self.reset()

    def reset(self) -> None:
        self._held = np.zeros(self.lookahead_samples, np.float32)  # silence before the stream
        self._first = -self.lookahead_samples  # the input position of the first held sample
        self._next = 0  # the output position that comes next

    def _make_filters(self, cutoff: float) -> np.ndarray:
        """(phases, 2 * lookahead + 1): the filter for each fraction of an input sample."""
        half = self.lookahead_samples
        distance = np.arange(-half, half + 1)[None] - np.arange(self._up)[:, None] / self._up
        window = np.i0(KAISER_BETA * np.sqrt(np.maximum(0, 1 - np.square(distance / (half + 1))))) / np.i0(KAISER_BETA)
        filters = cutoff * np.sinc(cutoff * distance) * window
        return np.asarray(filters / filters.sum(1, keepdims=True), np.float32)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """(n,) float32 -> (m,) float32: what the filter can decide."""
        if self._up == self._down:
            return np.asarray(samples, np.float32)
        self._held = np.concatenate([self._held, np.asarray(samples, np.float32)])
        last = self._first + len(self._held) - 1 - self.lookahead_samples  # the last centre with all samples after it
        end = (last * self._up + self._up - 1) // self._down + 1 if last >= 0 else 0
        if end <= self._next:
            return np.zeros(0, np.float32)
        at = np.arange(self._next, end) * self._down
        begin = at // self._up - self.lookahead_samples - self._first
        windows = np.lib.stride_tricks.sliding_window_view(self._held, 2 * self.lookahead_samples + 1)[begin]
        made = np.einsum("ij,ij->i", windows, self._filters[at % self._up])
        self._next = end
        used = end * self._down // self._up - self.lookahead_samples - self._first
        self._held, self._first = self._held[used:], self._first + used
        return np.asarray(made, np.float32)
