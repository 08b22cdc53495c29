"""Vector quantiser whose code book follows the encoder by exponential moving averages.

Source: van den Oord et al., "Neural Discrete Representation Learning", 2017, appendix A.1 (EMA update, Laplace-smoothed
counts).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Counts must not start at zero: a code unused in the first step would be divided by the smoothing term alone and become
# huge.
INITIAL_COUNT = 0.01


class Quantized(NamedTuple):
    """`z` (B, T, dim) straight-through, `indices` (B, T) int64, `loss` (commitment, weighted) and
    `perplexity` scalars.
    """

    z: Tensor
    indices: Tensor
    loss: Tensor
    perplexity: Tensor


class VectorQuantizer(nn.Module):
    """Nearest code by Euclidean distance.

    The code book holds `codes` x `dim` vectors and no parameters. In training mode, each forward pass moves each code
    by `1 - decay` towards the mean of its vectors. Without a gradient on the input nothing moves, so a frozen encoder
    keeps its code book.
    """

    embedding: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(
        self, codes: int = 512, dim: int = 64, commitment: float = 0.25, decay: float = 0.999, epsilon: float = 1e-5
    ) -> None:
        super().__init__()
        self.commitment, self.decay, self.epsilon = commitment, decay, epsilon
        embedding = torch.empty(codes, dim).uniform_(-1 / codes, 1 / codes)
        self.register_buffer("embedding", embedding)
        self.register_buffer("counts", torch.full((codes,), INITIAL_COUNT))
        self.register_buffer("sums", INITIAL_COUNT * embedding)

    def forward(self, z_before: Tensor) -> Quantized:
        """Quantise `z_before` (B, T, dim); always in float32, because half precision would round the averages away."""
        with torch.autocast(z_before.device.type, enabled=False):
            vectors = z_before.float()
            flat = vectors.detach().reshape(-1, vectors.shape[-1])
            indices = self.find_nearest(flat)
            quantized = self.embedding[indices].view_as(vectors)
            one_hot = F.one_hot(indices, len(self.embedding)).to(flat.dtype)
            if self.training and torch.is_grad_enabled() and z_before.requires_grad:
                self._update(flat, one_hot)
            loss = self.commitment * F.mse_loss(vectors, quantized)
            usage = one_hot.mean(dim=0)
            perplexity = torch.exp(-(usage * (usage + 1e-10).log()).sum())
            z = vectors + (quantized - vectors).detach()
        return Quantized(z, indices.view(z_before.shape[:-1]), loss, perplexity)

    def find_nearest(self, flat: Tensor) -> Tensor:
        """Index of the find_nearest code for each row of `flat` (n, dim) -> (n,)."""
        squares = self.embedding.pow(2).sum(dim=1)
        return (squares - 2 * flat @ self.embedding.T).argmin(dim=1)

    @torch.no_grad()
    def _update(self, flat: Tensor, one_hot: Tensor) -> None:
        counts, sums = one_hot.sum(dim=0), one_hot.T @ flat
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            # Every process must average over the whole batch; else the processes' code books become different.
            torch.distributed.all_reduce(counts)
            torch.distributed.all_reduce(sums)
        self.counts.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        total = self.counts.sum()
        self.counts.add_(self.epsilon).mul_(total / (total + len(self.counts) * self.epsilon))
        self.sums.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        self.embedding.copy_(self.sums / self.counts.unsqueeze(1))
