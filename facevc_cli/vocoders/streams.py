"""A vocoder that speaks a stream, step by step."""

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from facevc_cli.vocoders import Vocoder


class VocoderStream(Protocol):
    def reset(self) -> None:
        """Forgets what was spoken."""

    def speak(self, log_mels: Tensor, count: int, spoken: int, start_frame: int) -> Tensor:
        """Speaks log-mels (T, n_mels) that follow what was spoken: the samples of their first `count` frames.

        The first `spoken` of them are spoken now; the next call begins after them. Frames beyond `count` are only
        heard. start_frame: the place of the first frame in the stream.
        """


class StreamGraph(Protocol):
    """A step of a stream as a module that can be traced.

    log_mel (1, T, n_mels), past (past_size,), spoken (1,), count (1,) -> wav (count * hop_samples,), the next past. The
    first past is zeros. count, spoken: as `VocoderStream.speak` takes them.
    """

    past_size: int

    def __call__(self, log_mel: Tensor, past: Tensor, spoken: Tensor, count: Tensor) -> tuple[Tensor, Tensor]: ...


class WindowedStream:
    """Hears the last frames again in each step. Any vocoder can do that."""

    def __init__(self, vocoder: "Vocoder", past_frames: int):
        self.vocoder, self.past_frames = vocoder, past_frames
        self.reset()

    def reset(self) -> None:
        self._past: Tensor | None = None

    def speak(self, log_mels: Tensor, count: int, spoken: int, start_frame: int) -> Tensor:
        past = log_mels[:0] if self._past is None else self._past
        wav = self.vocoder(torch.cat([past, log_mels]), start_frame - len(past))
        heard = torch.cat([past, log_mels[:spoken]])
        self._past = heard[len(heard) - min(self.past_frames, len(heard)) :]
        hop = self.vocoder.hop_samples
        return wav[len(past) * hop : (len(past) + count) * hop]
