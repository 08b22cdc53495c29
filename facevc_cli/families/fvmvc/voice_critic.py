"""Voice critic: recognises the voice of a log-mel. Training uses it to make the decoder speak in the wanted voice."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

REMEMBERED = 256  # d-vectors of earlier batches, used as negatives


class ResidualBlock(nn.Module):
    """Dilated Conv3, normalisation, residual."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.convolution = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.norm = nn.GroupNorm(8, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, T) -> the same."""
        return x + F.relu(self.norm(self.convolution(x)))


class VoiceCritic(nn.Module):
    """Dilated convolutions, attentive mean and deviation over time, a vector of unit length in the d-vectors' space.

    On real speech it learns which of many d-vectors belongs to a log-mel (InfoNCE, van den Oord et al., 2018). It is no
    copy of the network that made the d-vectors.
    """

    def __init__(self, n_mels: int = 80, voice_dim: int = 256, channels: int = 256):
        super().__init__()
        self.input = nn.Conv1d(n_mels, channels, 5, stride=2, padding=2)
        self.blocks = nn.Sequential(nn.ReLU(), *(ResidualBlock(channels, d) for d in (1, 2, 3)))
        self.attention = nn.Conv1d(channels, channels, 1)
        self.output = nn.Sequential(nn.LayerNorm(2 * channels), nn.Linear(2 * channels, voice_dim))
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        self.register_buffer("remembered", F.normalize(torch.randn(REMEMBERED, voice_dim), dim=-1))
        self.remembered: Tensor

    def forward(self, mel: Tensor) -> Tensor:
        """mel: (B, T, n_mels) normalised -> (B, voice_dim), of unit length."""
        x = self.blocks(self.input(mel.transpose(1, 2)))
        share = self.attention(x).softmax(-1)
        mean = (share * x).sum(-1)
        deviation = ((share * (x - mean[..., None]) ** 2).sum(-1) + 1e-5).sqrt()
        return F.normalize(self.output(torch.cat([mean, deviation], -1)), dim=-1)

    def compute_loss(self, mel: Tensor, voice: Tensor, others: Tensor | None = None) -> Tensor:
        """Cross entropy of choosing each mel's own voice (B, voice_dim) against `others` (B, voice_dim) and the
        remembered voices.
        """
        heard = self(mel)
        own = (heard * voice).sum(-1, keepdim=True)
        against = [heard @ self.remembered.T]
        if others is not None:
            against.append((heard * others).sum(-1, keepdim=True))
        logits = self.log_scale.exp().clamp(max=50) * torch.cat([own, *against], -1)
        return F.cross_entropy(logits, torch.zeros(len(mel), dtype=torch.long, device=mel.device))

    @torch.no_grad()
    def remember(self, voices: Tensor) -> None:
        """Replaces the oldest remembered voices by a batch's voices (B, voice_dim)."""
        self.remembered.copy_(torch.cat([self.remembered, voices.to(self.remembered)])[-len(self.remembered) :])
