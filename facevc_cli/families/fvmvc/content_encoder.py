"""Content encoder: log-mel at T frames -> quantised content at T/2 frames, and its recurrent context.

Source: Wang et al., "VQMIVC", Interspeech 2021 (arXiv 2106.10132), section 2; the FVMVC paper uses it unchanged.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facevc_cli.dsp.statistics import WHOLE, Statistics
from facevc_cli.families.fvmvc.vq import VectorQuantizer


class ContentOutput(NamedTuple):
    """`z`, `z_before` (B, T/2, z_dim); `context` (B, T/2, context_dim); `indices` (B, T/2) int64; `loss`, `perplexity`
    scalars.

    T/2 is rounded up. `z` is quantised, with the gradient passed straight through; `loss` is the weighted commitment.
    """

    z: Tensor
    context: Tensor
    indices: Tensor
    loss: Tensor
    perplexity: Tensor
    z_before: Tensor


class VQContentEncoder(nn.Module):
    """Strided convolution, `layers` x (LayerNorm, ReLU, Linear), bottleneck, vector quantiser, LSTM (1.58 M by
    default).
    """

    def __init__(
        self,
        n_mels: int = 80,
        channels: int = 512,
        z_dim: int = 64,
        codes: int = 512,
        context_dim: int = 256,
        commitment: float = 0.25,
        decay: float = 0.999,
        epsilon: float = 1e-5,
        layers: int = 4,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(n_mels, channels, kernel_size=4, stride=2, padding=1, bias=False)
        stack: list[nn.Module] = []
        for _ in range(layers):
            stack += [nn.LayerNorm(channels), nn.ReLU(), nn.Linear(channels, channels, bias=False)]
        stack += [nn.LayerNorm(channels), nn.ReLU(), nn.Linear(channels, z_dim)]
        self.layers = nn.Sequential(*stack)
        self.quantizer = VectorQuantizer(codes, z_dim, commitment, decay, epsilon)
        self.context = nn.LSTM(z_dim, context_dim, batch_first=True)

    def forward(self, mel: Tensor, statistics: Statistics = WHOLE) -> ContentOutput:
        """Encode `mel` (B, n_mels, T), normalised log-mel.

        If T is odd, the last frame is repeated, so that no frame is lost.

        statistics: not used, because codes are not normalised over time.
        """
        if mel.shape[-1] % 2:
            mel = F.pad(mel, (0, 1), mode="replicate")
        z_before = self.layers(self.conv(mel).transpose(1, 2))
        quantized = self.quantizer(z_before)
        context, _ = self.context(quantized.z)
        return ContentOutput(quantized.z, context, quantized.indices, quantized.loss, quantized.perplexity, z_before)

    @torch.no_grad()
    def encode(self, mel: Tensor) -> ContentOutput:
        """`forward` without gradients. It never changes the code book."""
        return self(mel)
