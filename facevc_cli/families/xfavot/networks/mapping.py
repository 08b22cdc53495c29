"""The mapping network: noise becomes a style of a domain, which serves pictures and speech alike."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LAYERS = 4  # of the trunk, and of each branch


class MappingNetwork(nn.Module):
    """A trunk for all domains, then a branch for each. With `shared` all have one branch, told the domain by a vector.

    With 130 domains of 512 channels, the branches of their own have 107 million parameters.
    """

    def __init__(self, latent_dim: int, hidden: int, style_dim: int, domains: int, shared: bool):
        super().__init__()
        self.trunk = make_layers([latent_dim, *([hidden] * LAYERS)])
        self.domain = nn.Embedding(domains, hidden) if shared else None
        self.branches = nn.ModuleList(
            make_layers([*([hidden] * LAYERS), style_dim]) for _ in range(1 if shared else domains)
        )

    def forward(self, latent: Tensor, domain: Tensor) -> Tensor:
        """Noise (B, latent_dim), domains (B,) -> styles (B, style_dim)."""
        found = F.relu(run_layers(self.trunk, latent))
        if self.domain is not None:
            return run_layers(self.branches[0], found + self.domain(domain))
        wanted = domain.unique()
        kept = [torch.nonzero(domain == one).flatten() for one in wanted]
        made = [run_layers(self.branches[int(one)], found[rows]) for one, rows in zip(wanted, kept, strict=True)]
        return torch.cat(made)[torch.cat(kept).argsort()]


def make_layers(widths: list[int]) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))


def run_layers(layers: nn.Module, x: Tensor) -> Tensor:
    """Runs linear layers with rectifiers between them."""
    for i, layer in enumerate(layers.children()):
        x = layer(F.relu(x) if i else x)
    return x
