"""What faceres and gender-v1 see in a face, beside dlib's descriptor: numbers that know a voice's register and age."""

import torch
from torch import nn

from facevc_cli.faces.networks.faceres import POOLED_DIM, Faceres
from facevc_cli.faces.networks.gender_v1 import HIDDEN_DIM, GenderV1
from facevc_cli.faces.reading import DLIB_DIM

PROJECTION_DIM = 32


class FusedNetwork(nn.Module):
    """dlib's descriptor and crops of one face -> (PROJECTION_DIM + 2,): a projection, the register's log odds, years.

    The features are means over the crops, so that a face and its mirror image give the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.faceres = Faceres()
        self.gender_v1 = GenderV1()
        self.projection = nn.Linear(POOLED_DIM, PROJECTION_DIM)
        self.register_and_age = nn.Linear(DLIB_DIM + POOLED_DIM + HIDDEN_DIM, 2)

    def forward(self, descriptor: torch.Tensor, crops: torch.Tensor, small_crops: torch.Tensor) -> torch.Tensor:
        """descriptor: (128,), crops: (N, 3, 160, 160), small_crops: (N, 3, 32, 32), RGB from 0 to 255."""
        pooled = self.faceres(crops).mean(0)
        features = torch.cat([descriptor, pooled, self.gender_v1(small_crops)[0].mean(0)])
        return torch.cat([self.projection(pooled), self.register_and_age(features)])
