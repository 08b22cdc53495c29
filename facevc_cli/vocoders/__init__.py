"""Turns a log-mel into a waveform: one small interface for all vocoders, and synthesis of any length in
bounded memory.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.tuning import single_threaded_pool
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.dsp.windows import place_windows
from facevc_cli.vocoders.streams import StreamGraph, VocoderStream, WindowedStream

T = TypeVar("T")
SMALLEST_WINDOW = 64  # frames; utterances below it are synthesised whole


class Vocoder(nn.Module):
    """Turns the raw log-mel of one mel definition into a waveform.

    name: for reports. mel: a key of MEL_DEFINITIONS. context_frames: the number of frames on either side that a frame's
    samples depend on, or None if it is unlimited.
    window_frames: the number of frames that are synthesised at once. steady: True if each new length costs time because
    kernels are compiled for it; then shorter utterances also use a few fixed lengths. side_by_side: the number of
    windows at once, each on one CPU. licence: of the weights, if it is known. Subclasses implement `synthesise`, and
    `synthesise_batch` if that is faster.
    """

    licence = ""
    window_frames = 1024
    steady = False
    side_by_side = 1

    def __init__(self, name: str, mel: str, context_frames: int | None):
        super().__init__()
        if mel not in MEL_DEFINITIONS:
            raise FaceVCError(
                f"mel definition {mel!r} is not known: expected one of {', '.join(sorted(MEL_DEFINITIONS))}."
            )
        definition = MEL_DEFINITIONS[mel]
        self.name, self.mel, self.context_frames = name, mel, context_frames
        self.rate, self.hop_samples, self.n_mels = definition.rate, definition.hop_samples, definition.n_mels

    def freeze(self) -> "Vocoder":
        """Prepares it for inference: eval mode, no gradients."""
        return self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        return next((x.device for x in [*self.parameters(), *self.buffers()]), torch.device("cpu"))

    def synthesise(self, log_mel: Tensor, start_frame: int) -> Tensor:
        """(T, n_mels) float32 on this vocoder's device -> (T * hop_samples,)."""
        raise NotImplementedError

    def synthesise_batch(self, log_mels: Tensor, start_frames: Sequence[int]) -> Tensor:
        """(B, T, n_mels), pieces with their start frames -> (B, T * hop_samples), equal to one by one."""
        return torch.stack(
            [self.synthesise(log_mel, start) for log_mel, start in zip(log_mels, start_frames, strict=True)]
        )

    def open_stream(self, past_frames: int) -> VocoderStream:
        """Speaks a stream. past_frames: heard again in each step, if the vocoder keeps nothing of the past."""
        return WindowedStream(self, past_frames)

    def make_graph_module(self) -> nn.Module | None:
        """Returns a module that makes raw log-mels (B, T, n_mels) into waveforms (B, T * hop_samples) in float32, and
        can be traced at any length. None if there is none, because the vocoder draws noise or works in steps.
        """
        return None

    def make_stream_graph(self) -> StreamGraph | None:
        """Returns a step of a stream as a module. None if the vocoder keeps nothing of the past."""
        return None

    @torch.inference_mode()
    def forward(self, log_mel: Tensor, start_frame: int = 0) -> Tensor:
        """log_mel: (T, n_mels) RAW (not normalised), in the definition's log -> wav (T * hop_samples,) float32.

        start_frame: the piece's position in its utterance. Vocoders that draw noise draw the same noise for the same
        position. FaceVCError if the log-mel has another shape, or holds NaN or infinity.
        """
        if log_mel.ndim != 2 or log_mel.shape[1] != self.n_mels or log_mel.shape[0] == 0:
            raise FaceVCError(
                f"vocoder {self.name}: a log-mel of shape (frames, {self.n_mels}) with at least one frame was "
                f"expected, found {tuple(log_mel.shape)}. Give one utterance at a time, time first."
            )
        return self.synthesise(self.check_log_mels(log_mel), start_frame)

    def check_log_mels(self, log_mels: Tensor) -> Tensor:
        """Returns them in float32 on the vocoder's device. FaceVCError if one is NaN or infinite."""
        log_mels = log_mels.to(self.device, torch.float32)
        if not torch.isfinite(log_mels).all():
            raise FaceVCError(
                f"vocoder {self.name}: the log-mel holds NaN or infinite values; what made it has failed."
            )
        return log_mels

    @torch.inference_mode()
    def synthesise_windows(self, log_mels: Sequence[Tensor], size: int, context: int, batch: int) -> list[Tensor]:
        """Utterances (T, n_mels) of at least `size` frames -> wavs (T * hop_samples,) on the CPU, `batch` windows at a
        time.
        """
        wavs = [torch.empty(len(log_mel) * self.hop_samples) for log_mel in log_mels]
        places = (
            (i, *place) for i, log_mel in enumerate(log_mels) for place in place_windows(len(log_mel), size, context)
        )
        together = list(iter(lambda: list(islice(places, batch)), []))

        @torch.inference_mode()
        def make(several: list[tuple[int, int, int, int]]) -> Tensor:
            pieces = torch.stack([log_mels[i][first : first + size] for i, first, _, _ in several])
            return (
                self.synthesise_batch(self.check_log_mels(pieces), [first for _, first, _, _ in several]).float().cpu()
            )

        for several, made in zip(together, self._map_side_by_side(make, together), strict=True):
            for piece, (i, first, start, end) in zip(made, several, strict=True):
                kept = slice((start - first) * self.hop_samples, (end - first) * self.hop_samples)
                wavs[i][start * self.hop_samples : end * self.hop_samples] = piece[kept]
        return wavs

    def _map_side_by_side(self, make: Callable[[T], Tensor], items: Sequence[T]) -> Iterator[Tensor]:
        if self.side_by_side == 1:
            yield from map(make, items)
            return
        with single_threaded_pool(self.side_by_side, "vocoder") as threads:
            yield from threads.map(make, items)

    def compile_ahead(self) -> None:
        """Begins to compile the kernels for a window, in a thread."""
        threads = single_threaded_pool(1, "compile")
        threads.submit(self, torch.zeros(self.window_frames, self.n_mels))
        threads.shutdown(wait=False)

    def __call__(self, log_mel: Tensor, start_frame: int = 0) -> Tensor:
        wav: Any = super().__call__(log_mel, start_frame)
        return wav


def vocode_long(
    vocoder: Vocoder, log_mel: Tensor, chunk_frames: int | None = None, overlap_frames: int | None = None
) -> Tensor:
    """Makes the same waveform as `vocoder(log_mel)` in chunks. Its memory depends on the chunk, not on the utterance.

    log_mel: (T, n_mels) -> (T * hop_samples,) float32 on the CPU.
    chunk_frames: length of a chunk; by default the vocoder's window.
    overlap_frames: context on both sides of a chunk, which is cut off again. The default is the vocoder's own context,
    so there are no seams. A vocoder with unlimited context (Griffin-Lim) makes the whole waveform at once.
    """
    context = vocoder.context_frames if overlap_frames is None else overlap_frames
    if (chunk_frames is not None and chunk_frames < 1) or (context is not None and context < 0):
        raise FaceVCError(
            f"chunks of {chunk_frames} frames, {overlap_frames} overlapping: expected at least 1 and at least 0."
        )
    if vocoder.context_frames is None or context is None:
        return vocoder(log_mel).cpu()
    size = _choose_window(vocoder, len(log_mel)) if chunk_frames is None else chunk_frames + 2 * context
    if log_mel.ndim != 2 or log_mel.shape[1] != vocoder.n_mels or len(log_mel) <= max(size, 2 * context + 1):
        return vocoder(log_mel).cpu()
    return vocoder.synthesise_windows([log_mel], size, context, 1)[0]


def vocode_many(vocoder: Vocoder, log_mels: Sequence[Tensor], batch: int = 1) -> list[Tensor]:
    """Same as `vocode_long` for several utterances, `batch` windows at a time.

    All windows have one length, so nothing is padded.
    """
    wavs: dict[int, Tensor] = {}
    by_size: dict[int, list[int]] = {}
    for i, log_mel in enumerate(log_mels):
        size = _choose_window(vocoder, len(log_mel))
        if batch > 1 and vocoder.context_frames is not None and 2 * vocoder.context_frames < size <= len(log_mel):
            by_size.setdefault(size, []).append(i)
        else:
            wavs[i] = vocode_long(vocoder, log_mel)
    for size, several in by_size.items():
        made = vocoder.synthesise_windows([log_mels[i] for i in several], size, vocoder.context_frames or 0, batch)
        wavs |= dict(zip(several, made, strict=True))
    return [wavs[i] for i in range(len(log_mels))]


def _choose_window(vocoder: Vocoder, frames: int) -> int:
    """Chooses the window for an utterance: the vocoder's, or, if new lengths cost time, its largest half that is not
    longer than the utterance.
    """
    context = vocoder.context_frames or 0
    size = max(vocoder.window_frames, 4 * context)
    while vocoder.steady and size > frames and size // 2 >= max(SMALLEST_WINDOW, 2 * context + 1):
        size //= 2
    return size


__all__ = ["Vocoder", "vocode_long", "vocode_many"]
