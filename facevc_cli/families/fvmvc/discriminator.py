"""A small patch discriminator on log-mels. It removes the blur that an L1 loss alone would leave."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


class MelDiscriminator(nn.Module):
    """Three strided 5 x 5 convolutions and a score for each patch (Mao et al., least squares GAN)."""

    def __init__(self, widths: tuple[int, ...] = (1, 24, 48, 96)):
        super().__init__()
        norm = nn.utils.parametrizations.weight_norm
        self.layers = nn.ModuleList(
            norm(nn.Conv2d(a, b, 5, stride=(2 if a > 1 else 1, 2), padding=2)) for a, b in pairwise(widths)
        )
        self.output = norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, mel: Tensor) -> tuple[Tensor, list[Tensor]]:
        """mel: (B, T, n_mels) -> the patches' scores and the layers' features."""
        x, features = mel[:, None], []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            features.append(x)
        return self.output(x), features
