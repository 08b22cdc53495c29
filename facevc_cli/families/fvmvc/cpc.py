"""Contrastive predictive coding: linear predictions of future content from the context.

Source: van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018; the loss is
`losses.compute_cpc_loss`.
"""

from torch import Tensor, nn


class CPCPredictor(nn.Module):
    """One linear map for each of `steps` steps ahead."""

    def __init__(self, context_dim: int = 256, z_dim: int = 64, steps: int = 6) -> None:
        super().__init__()
        self.predictors = nn.ModuleList(nn.Linear(context_dim, z_dim) for _ in range(steps))

    def forward(self, context: Tensor) -> list[Tensor]:
        """`context` (B, T, context_dim) -> predictions of z, entry k (B, T, z_dim) is k + 1 frames ahead."""
        return [predictor(context) for predictor in self.predictors]
