"""log-mel -> waveform. One small interface for every vocoder, and synthesis of any length in bounded memory."""

from typing import Any

import torch
from torch import Tensor, nn

from facevc_cli.errors import FaceVCError
from facevc_cli.features.mel import MEL_DEFINITIONS


class Vocoder(nn.Module):
    """Turns the raw log-mel of one mel definition into a waveform.

    name: what it is, for reports. mel: a key of MEL_DEFINITIONS. context_frames: how many frames on either side a frame's
    samples depend on, or None where that has no bound. Subclasses write `synthesise`.
    """

    def __init__(self, name: str, mel: str, context_frames: int | None):
        super().__init__()
        if mel not in MEL_DEFINITIONS:
            raise FaceVCError(f"mel definition {mel!r} is not known: expected one of {', '.join(sorted(MEL_DEFINITIONS))}.")
        definition = MEL_DEFINITIONS[mel]
        self.name, self.mel, self.context_frames = name, mel, context_frames
        self.rate, self.hop_samples, self.n_mels = definition.rate, definition.hop_samples, definition.n_mels

    def ready(self) -> "Vocoder":
        """For inference only: eval mode, no gradients."""
        return self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        return next((x.device for x in [*self.parameters(), *self.buffers()]), torch.device("cpu"))

    def synthesise(self, log_mel: Tensor, start_frame: int) -> Tensor:
        """(T, n_mels) float32 on this vocoder's device -> (T * hop_samples,)."""
        raise NotImplementedError

    @torch.inference_mode()
    def forward(self, log_mel: Tensor, start_frame: int = 0) -> Tensor:
        """log_mel: (T, n_mels) RAW (not normalised), in the definition's log -> wav (T * hop_samples,) float32.

        start_frame: where this piece lies in its utterance (vocoders that draw noise draw the same for the same place).
        Raises FaceVCError where the log-mel has another shape, or holds NaN or infinity.
        """
        if log_mel.ndim != 2 or log_mel.shape[1] != self.n_mels or log_mel.shape[0] == 0:
            raise FaceVCError(
                f"vocoder {self.name}: a log-mel of shape (frames, {self.n_mels}) with at least one frame was expected, "
                f"found {tuple(log_mel.shape)}. Give one utterance at a time, time first."
            )
        log_mel = log_mel.to(self.device, torch.float32)
        if not torch.isfinite(log_mel).all():
            raise FaceVCError(f"vocoder {self.name}: the log-mel holds NaN or infinite values; what made it has failed.")
        return self.synthesise(log_mel, start_frame)

    def __call__(self, log_mel: Tensor, start_frame: int = 0) -> Tensor:
        wav: Any = super().__call__(log_mel, start_frame)
        return wav


def vocode_long(vocoder: Vocoder, log_mel: Tensor, chunk_frames: int = 1024, overlap_frames: int | None = None) -> Tensor:
    """The same waveform as `vocoder(log_mel)`, chunk by chunk: memory is bounded by the chunk, not by the utterance.

    log_mel: (T, n_mels) -> (T * hop_samples,) float32 on the CPU. Each chunk is synthesised with `overlap_frames` of real
    context on both sides, which is cut off again; by default as much as the vocoder looks at, so that seams do not exist.
    A vocoder without such a bound (Griffin-Lim) works on the whole.
    """
    if chunk_frames < 1 or (overlap_frames is not None and overlap_frames < 0):
        raise FaceVCError(f"chunks of {chunk_frames} frames, {overlap_frames} overlapping: expected at least 1 and at least 0.")
    context = vocoder.context_frames if overlap_frames is None else overlap_frames
    total = len(log_mel)
    if vocoder.context_frames is None or context is None or total <= chunk_frames:
        return vocoder(log_mel).cpu()
    wav = torch.empty(total * vocoder.hop_samples)
    for start in range(0, total, chunk_frames):
        end = min(start + chunk_frames, total)
        first = max(0, start - context)
        piece = vocoder(log_mel[first : min(end + context, total)], start_frame=first)
        lead = (start - first) * vocoder.hop_samples
        size = (end - start) * vocoder.hop_samples
        wav[start * vocoder.hop_samples : start * vocoder.hop_samples + size] = piece[lead : lead + size].cpu()
    return wav


__all__ = ["Vocoder", "vocode_long"]
