"""Resampling of a stream, for devices that refuse the model's rate."""

import numpy as np


class StreamResampler:
    """Resamples piece by piece. The n-th sample is that of its time, but it comes some milliseconds later.

    soxr's medium quality keeps back 15 ms; its high quality, 30 ms.
    """

    def __init__(self, rate: int, to_rate: int):
        self.rate, self.to_rate = rate, to_rate
        self._stream = None
        if rate != to_rate:
            import soxr

            self._stream = soxr.ResampleStream(rate, to_rate, 1, dtype="float32", quality="MQ")

    def push(self, samples: np.ndarray, *, last: bool = False) -> np.ndarray:
        """(n,) float32 -> what is ready (m,) float32. last: nothing follows, so all is ready."""
        if self._stream is None:
            return samples
        return np.asarray(self._stream.resample_chunk(np.ascontiguousarray(samples, np.float32), last=last))
