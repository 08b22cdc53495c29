"""Gender-v1: dlib's small network of a face's gender (Cydral Technology, dlib-models)."""

import torch
from torch import nn

HIDDEN_DIM = 16
MEANS = (122.781998, 117.000999, 104.297997)


class GenderV1(nn.Module):
    """(B, 3, 32, 32) RGB from 0 to 255 -> (B, 16), its last hidden layer, and (B, 2), the logits female and male."""

    means: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("means", torch.tensor(MEANS).view(1, 3, 1, 1), persistent=False)
        layers: list[nn.Module] = []
        for channels, out_channels in ((3, 32), (32, 64)):
            layers += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.ReLU()]
            layers += [nn.Conv2d(out_channels, out_channels, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)]
        self.layers = nn.Sequential(*layers)
        self.hidden = nn.Linear(4096, HIDDEN_DIM)
        self.logits = nn.Linear(HIDDEN_DIM, 2)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.hidden(self.layers((pixels - self.means) / 256).flatten(1)).relu()
        return hidden, self.logits(hidden)
