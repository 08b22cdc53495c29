"""Networks that read a picture or a log-mel: style encoders, discriminators, the classifier of sources.

All have one trunk, and heads for the domains: the genders, and where a head knows them, the speakers after them.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.families.xfavot.networks.blocks import SLOPE, Block

GENDERS = 2


class Trunk(nn.Module):
    """(B, channels, H, W) -> (B, deep): blocks that halve, one convolution that fills what is left, and its mean."""

    def __init__(self, channels: int, widths: Sequence[int], kernel: int):
        """kernel: height that is left after the blocks. A longer input is averaged over the places of the kernel."""
        super().__init__()
        self.start = nn.Conv2d(channels, widths[0], 1)
        self.down = nn.ModuleList(Block(a, b, down=(2, 2)) for a, b in itertools.pairwise(widths))
        self.end = nn.Conv2d(widths[-1], widths[-1], kernel)

    def forward(self, x: Tensor) -> Tensor:
        found = self.start(x)
        for block in self.down:
            found = block(found)
        found = self.end(F.leaky_relu(found, SLOPE))
        return F.leaky_relu(found, SLOPE).mean(dim=(2, 3))


class StyleEncoder(nn.Module):
    """A style for each gender. It also guesses the gender, for inputs of which nobody says it."""

    def __init__(self, trunk: Trunk, deep: int, style_dim: int):
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleList(nn.Linear(deep, style_dim) for _ in range(GENDERS))
        self.gender = nn.Linear(deep, GENDERS)

    def forward(self, x: Tensor, gender: Tensor | None = None) -> Tensor:
        """gender: (B,) integers; None: as it guesses. Returns styles (B, style_dim)."""
        return self.read(x, gender)[0]

    def read(self, x: Tensor, gender: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns styles (B, style_dim), and the logits of the genders (B, 2). The trunk learns nothing from these."""
        found = self.trunk(x)
        guessed = self.gender(found.detach())
        gender = guessed.argmax(1) if gender is None else gender
        return select_domain(torch.stack([head(found) for head in self.heads], dim=1), gender), guessed


class DomainReader(nn.Module):
    """One number for each domain: a discriminator, or a classifier."""

    def __init__(self, trunk: Trunk, deep: int, domains: int):
        super().__init__()
        self.trunk, self.heads = trunk, nn.Linear(deep, domains)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (B, domains)."""
        return self.heads(self.trunk(x))


def select_domain(found: Tensor, domain: Tensor) -> Tensor:
    """(B, domains, ...) at the domain (B,) of each -> (B, ...)."""
    return found[torch.arange(len(found), device=found.device), domain]
