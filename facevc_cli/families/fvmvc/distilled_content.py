"""Content encoder distilled from Whisper: Whisper's first layers on our log-mel, trained to give a bottleneck of its
last layer.

The bottleneck is normalised over time. That removes what is constant in an utterance, above all the speaker.
"""

from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.core.devices import prefers_bfloat16
from facevc_cli.dsp.frames import resample_frames
from facevc_cli.dsp.statistics import WHOLE, Statistics
from facevc_cli.families.fvmvc.content_encoder import ContentOutput
from facevc_cli.voices.whisper import WHISPER_FRAME_RATE, WhisperEncoder, scale_log_mel

# log10 power of Whisper's mel against our log magnitude: scale, offset (least squares over 40 recordings of speech).
WHISPER_SCALE = {"ln": (0.8686, 0.69), "log10": (2.0, 1.73)}
WINDOWS_AT_ONCE = 32
RIDGE = 1e-3  # times the mean power of the teacher's numbers
LONG_S = 120.0  # for longer input without gradients, hidden frames are not kept


def normalise_over_time(z: Tensor, statistics: Statistics = WHOLE) -> Tensor:
    """Scales (B, T, dim) to zero mean and unit deviation over the frames that `statistics` gathers."""
    measured = statistics.gather("content", z, axis=1)
    return (z - measured.mean(1, keepdim=True)) / (measured.std(1, keepdim=True, unbiased=False) + 1e-3)


class TeacherBottleneck(nn.Module):
    """Reduces the teacher's output to what the decoder needs.

    Only pretraining uses it, because the content encoder learns to replace it.
    """

    def __init__(self, teacher_dim: int = 512, z_dim: int = 64):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(teacher_dim), nn.Linear(teacher_dim, z_dim)

    def forward(self, content: Tensor, frames: int) -> Tensor:
        """content: (B, T50, teacher_dim) -> (B, frames, z_dim), normalised over time."""
        return normalise_over_time(resample_frames(self.linear(self.norm(content)), frames))

    @torch.no_grad()
    def fit(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fits itself to a trained content encoder by ridge regression.

        pairs: the teacher's content (B, T50, teacher_dim) and the encoder's z (B, frames, z_dim) of the same speech.
        """
        dim = self.linear.in_features
        gram, product = torch.zeros(dim, dim).double(), torch.zeros(dim, self.linear.out_features).double()
        for content, z in pairs:
            heard = resample_frames(self.norm(content), z.shape[1]).double().cpu()
            heard = (heard - heard.mean(1, keepdim=True)).flatten(0, 1)
            gram += heard.T @ heard
            product += heard.T @ z.double().cpu().flatten(0, 1)
        ridge = RIDGE * gram.diagonal().mean() * torch.eye(dim).double()
        self.linear.weight.copy_(torch.linalg.solve(gram + ridge, product).T)
        self.linear.bias.zero_()


class DistilledContentEncoder(nn.Module):
    """Normalised log-mel (B, n_mels, T) -> content z (B, ceil(T / 2), z_dim), normalised over time; no code book.

    Input longer than a window with its context is encoded in windows, because attention does not work well on lengths
    that it was not trained on. Trained on crops of 1.9 s, it reaches a cosine to the teacher's bottleneck of 0.80 in
    windows of that length, and of 0.73 on whole utterances.
    """

    def __init__(
        self,
        frame_rate: float,
        log: str,
        n_mels: int = 80,
        z_dim: int = 64,
        dim: int = 512,
        layers: int = 4,
        heads: int = 8,
        window_s: float = 1.0,
        context_s: float = 0.5,
    ):
        super().__init__()
        self.frame_rate = frame_rate  # of the mel, Hz
        self.window_s, self.context_s = window_s, context_s
        self.encoder = WhisperEncoder(layers, dim, heads, n_mels, final_norm=False)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, z_dim))
        scale, offset = WHISPER_SCALE[log]
        self.band_scale = nn.Parameter(torch.full((n_mels, 1), scale))
        self.band_offset = nn.Parameter(torch.full((n_mels, 1), offset))
        self.register_buffer("mel_mean", torch.zeros(n_mels))
        self.register_buffer("mel_std", torch.ones(n_mels))
        self.mel_mean: Tensor
        self.mel_std: Tensor

    def forward(self, mel: Tensor, statistics: Statistics = WHOLE) -> ContentOutput:
        """Encodes mel.

        The context is the last layer's output at z's frames (z_before if longer than LONG_S). All indices are -1, the
        loss is 0.
        """
        half = (mel.shape[-1] + 1) // 2
        whisper_mel = self._make_whisper_mel(mel)
        if whisper_mel.shape[-1] > LONG_S * WHISPER_FRAME_RATE and not torch.is_grad_enabled():
            z_before = hidden = self._encode_long(whisper_mel, half)  # an hour's hidden frames would take gigabytes
        else:
            hidden = resample_frames(torch.cat(list(self._encode_windows(whisper_mel)), dim=1), half)
            z_before = self.head(hidden)
        zero = mel.new_zeros(())
        indices = torch.full(z_before.shape[:2], -1, dtype=torch.long, device=mel.device)
        return ContentOutput(normalise_over_time(z_before, statistics), hidden, indices, zero, zero, z_before)

    def _encode_long(self, whisper_mel: Tensor, frames: int) -> Tensor:
        """Applies the head to the resampled hidden frames, block by block: (B, frames, z_dim)."""
        count = (whisper_mel.shape[-1] + 1) // 2
        place = ((torch.arange(frames, dtype=torch.float64) + 0.5) * (count / frames) - 0.5).clamp(0, count - 1)
        low = place.floor().long()
        share = (place - low).to(whisper_mel)[:, None]
        parts, done, first = [], 0, 0  # first: index of the first kept hidden frame
        kept = whisper_mel.new_zeros(len(whisper_mel), 0, self.encoder.dim)
        for block in self._encode_windows(whisper_mel):
            kept = torch.cat([kept, block], dim=1)
            until = (
                frames if first + kept.shape[1] == count else int(torch.searchsorted(low, first + kept.shape[1] - 1))
            )
            here = (low[done:until] - first).to(kept.device)
            after = (here + 1).clamp(max=kept.shape[1] - 1)
            parts.append(self.head(torch.lerp(kept[:, here], kept[:, after], share[done:until])))
            kept, first, done = kept[:, -1:], first + kept.shape[1] - 1, until
        return torch.cat(parts, dim=1)

    def _make_whisper_mel(self, mel: Tensor) -> Tensor:
        raw = mel * self.mel_std[:, None] + self.mel_mean[:, None]
        frames = max(2, 2 * round(mel.shape[-1] / self.frame_rate * WHISPER_FRAME_RATE / 2))
        log_power = F.interpolate(raw * self.band_scale + self.band_offset, size=frames, mode="linear")
        return scale_log_mel(10.0 ** log_power.clamp(-10, 10))

    def _encode_windows(self, mel: Tensor) -> Iterator[Tensor]:
        """mel (B, n_mels, T) at 100 Hz -> the encoder's output in blocks (B, ..., dim), together T / 2 frames, rounded
        up.
        """
        window, context = (2 * round(s * WHISPER_FRAME_RATE / 2) for s in (self.window_s, self.context_s))
        total = mel.shape[-1]
        if total <= window + 2 * context:
            yield self._run_encoder(mel)
            return
        yield self._run_encoder(mel[..., : window + context])[:, : window // 2]
        inner = list(range(window, total - window - context, window))
        for i in range(0, len(inner), WINDOWS_AT_ONCE):  # all of one length: one batch
            pieces = torch.stack([mel[..., s - context : s + window + context] for s in inner[i : i + WINDOWS_AT_ONCE]])
            hidden = self._run_encoder(pieces.flatten(0, 1))[:, context // 2 : (context + window) // 2]
            yield hidden.unflatten(0, (len(pieces), len(mel))).transpose(0, 1).flatten(1, 2)
        last = inner[-1] + window if inner else window
        yield self._run_encoder(mel[..., last - context :])[:, context // 2 :]

    def _run_encoder(self, mel: Tensor) -> Tensor:
        """Computes in bfloat16 on a CPU that multiplies in it, but only for inference. Training chooses for itself."""
        if not (torch.is_inference_mode_enabled() and prefers_bfloat16(mel.device)):
            return cast(Tensor, self.encoder(mel))
        with torch.autocast(mel.device.type, torch.bfloat16):
            return cast(Tensor, self.encoder(mel)).float()
