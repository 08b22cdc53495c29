"""Voice embeddings: channel attention over a d-vector, or a convolutional encoder of the log-mel.

Sources: Sheng et al., arXiv 2309.09470 (channel attention); Chou et al., "One-shot Voice Conversion by Separating
Speaker and Content Representations with Instance Normalization", 2019 (the convolutional encoder).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facevc_cli.core.errors import FaceVCError


class ChannelAttention(nn.Module):
    """Attention among the channels of one vector, L2-normalised: softmax(q^T k) mixes the channels of the value.

    Attention (B, out_dim, out_dim): row i weights the value's channels for output channel i.
    """

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(in_dim, out_dim)
        self.key = nn.Linear(in_dim, out_dim)
        self.value = nn.Linear(in_dim, out_dim)

    def forward(self, vector: Tensor) -> Tensor:
        """`vector` (B, in_dim) -> (B, out_dim), of unit length."""
        attention = (self.query(vector).unsqueeze(2) * self.key(vector).unsqueeze(1)).softmax(dim=-1)
        mixed = torch.bmm(self.value(vector).unsqueeze(1), attention.transpose(1, 2)).squeeze(1)
        return F.normalize(mixed, dim=-1)


class DVectorEncoder(ChannelAttention):
    """Channel attention on an utterance's d-vector: (B, dvector_dim) -> (B, voice_dim)."""

    def __init__(self, dvector_dim: int = 256, voice_dim: int = 256) -> None:
        super().__init__(dvector_dim, voice_dim)


def _reflect(x: Tensor, kernel: int) -> Tensor:
    """Pad (B, C, T) so that a convolution of `kernel` at stride 1 keeps T; the longer side is the left."""
    left, right = kernel // 2, (kernel - 1) // 2
    # Reflection needs more frames than it adds; very short inputs repeat their edge instead.
    return F.pad(x, (left, right), mode="reflect" if x.shape[-1] > left else "replicate")


class MelSpeakerEncoder(nn.Module):
    """Log-mel -> one voice embedding: a bank of kernels 1..bank_kernels, strided residual blocks, mean over time, dense
    blocks.

    VQMIVC uses the output unchanged (`normalize=False`). FVMVC L2-normalises it.
    """

    def __init__(
        self,
        n_mels: int = 80,
        channels: int = 128,
        voice_dim: int = 256,
        bank_kernels: int = 8,
        subsample: Sequence[int] = (1, 2, 1, 2, 1, 2),
        dense_blocks: int = 6,
        kernel: int = 5,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        self.normalize, self.subsample = normalize, tuple(subsample)
        self.bank = nn.ModuleList(nn.Conv1d(n_mels, channels, size) for size in range(1, bank_kernels + 1))
        self.merge = nn.Conv1d(channels * bank_kernels + n_mels, channels, 1)
        self.conv_first = nn.ModuleList(nn.Conv1d(channels, channels, kernel) for _ in self.subsample)
        self.conv_second = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, stride=stride) for stride in self.subsample
        )
        self.dense_first = nn.ModuleList(nn.Linear(channels, channels) for _ in range(dense_blocks))
        self.dense_second = nn.ModuleList(nn.Linear(channels, channels) for _ in range(dense_blocks))
        self.output = nn.Linear(channels, voice_dim)

    def forward(self, mel: Tensor) -> Tensor:
        """`mel` (B, n_mels, T), normalised log-mel, T >= 1 -> (B, voice_dim).

        Raises FaceVCError if there are no frames.
        """
        if mel.shape[-1] == 0:
            raise FaceVCError("The mel speaker encoder was given an utterance with no frames. It needs at least one.")
        x = torch.cat([*(_convolve(layer, mel) for layer in self.bank), mel], dim=1)
        x = _convolve(self.merge, x)
        for first, second, stride in zip(self.conv_first, self.conv_second, self.subsample, strict=True):
            shortcut = F.avg_pool1d(x, stride, ceil_mode=True) if stride > 1 else x
            x = _convolve(second, _convolve(first, x)) + shortcut
        x = x.mean(dim=-1)
        for first, second in zip(self.dense_first, self.dense_second, strict=True):
            x = F.relu(second(F.relu(first(x)))) + x
        embedding = self.output(x)
        return F.normalize(embedding, dim=-1) if self.normalize else embedding


def _convolve(layer: nn.Module, x: Tensor) -> Tensor:
    return F.relu(layer(_reflect(x, layer.kernel_size[0])))  # type: ignore[index, arg-type]
