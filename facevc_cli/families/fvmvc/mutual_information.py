"""Estimates the mutual information of content, pitch and voice, which pretraining minimises.

Source: Cheng et al., "CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information", ICML 2020, as VQMIVC uses it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facevc_cli.families.fvmvc.losses import compute_club_bound, compute_gaussian_loglikelihood


def _build_network(in_dim: int, hidden: int, out_dim: int, layers: int) -> list[nn.Module]:
    stack: list[nn.Module] = []
    for index in range(layers - 1):
        stack += [nn.Linear(in_dim if index == 0 else hidden, hidden), nn.ReLU()]
    return [*stack, nn.Linear(hidden, out_dim)]


class CLUBEstimator(nn.Module):
    """q(y | x), a diagonal Gaussian whose mean and log-variance (tanh-bounded) are networks of x.

    x: (B, x_dim) for an utterance or (B, T, x_dim); y: (B, T, y_dim). An utterance's x applies to all frames of its y.
    """

    def __init__(self, x_dim: int, y_dim: int, hidden: int = 256, layers: int = 4) -> None:
        super().__init__()
        self.mean = nn.Sequential(*_build_network(x_dim, hidden, y_dim, layers))
        self.logvar = nn.Sequential(*_build_network(x_dim, hidden, y_dim, layers), nn.Tanh())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of y, each (B, T or 1, y_dim)."""
        x = x.unsqueeze(1) if x.ndim == 2 else x
        return self.mean(x), self.logvar(x)

    def compute_loglikelihood(self, x: Tensor, y: Tensor) -> Tensor:
        """Scalar to maximise in the estimator's own steps.

        At frame level it is twice the log-likelihood, as in the published code.
        """
        scale = 1 if x.ndim == 2 else 2
        mean, logvar = self(x)
        return scale * compute_gaussian_loglikelihood(mean, logvar, y)

    def estimate_mi(
        self, x: Tensor, y: Tensor, index: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Scalar upper bound in nats, to minimise in the model's step.

        The negatives are the y of other utterances: `index` (B,), or a permutation drawn from the (CPU) `generator`.
        """
        if index is None:
            index = torch.randperm(len(y), generator=generator)
        mean, logvar = self(x)
        return compute_club_bound(mean, logvar, y, index.to(y.device))


def halve_rate(lf0: Tensor) -> Tensor:
    """Log-F0 at the content's frame rate, as the mean of every two frames: (B, T) -> (B, T/2 rounded up, 1)."""
    return F.avg_pool1d(lf0.unsqueeze(1), kernel_size=2, ceil_mode=True).transpose(1, 2)
