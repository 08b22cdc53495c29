"""The landmark network: 468 points of a face. MediaPipe's face_landmark, converted by recipes/portraits."""

import torch
from torch import nn
from torch.nn import functional

from facevc_cli.faces.networks.faceres import pad_same

POINTS = 468
SIDE_PX = 192  # of its square input
# channels after each block, and its stride
BLOCKS = ((16, 1), (16, 1), *((c, s) for c in (32, 64, 128) for s in (2, 1, 1)), (128, 2), (128, 1), (128, 1))


class Block(nn.Module):
    """A depthwise convolution 3 x 3, a pointwise one, the sum with the input, then PReLU.

    With stride 2 the input is pooled before the sum. Missing channels are zero.
    """

    def __init__(self, channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.stride = stride
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, groups=channels)
        self.pointwise = nn.Conv2d(channels, out_channels, 1)
        self.activation = nn.PReLU(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = self.pointwise(self.depthwise(pad_same(x, self.stride)))
        kept = functional.max_pool2d(x, 2) if self.stride == 2 else x
        kept = functional.pad(kept, (0, 0, 0, 0, 0, seen.shape[1] - kept.shape[1]))
        return self.activation(kept + seen)


class Head(nn.Module):
    """The last blocks of one output."""

    def __init__(self, blocks: int, outputs: int):
        super().__init__()
        self.blocks = nn.Sequential(*(Block(128, 128, 2 if i == 0 else 1) for i in range(blocks)))
        self.narrow = nn.Conv2d(128, 32, 1)
        self.activation = nn.PReLU(32)
        self.block = Block(32, 32)
        self.last = nn.Conv2d(32, outputs, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.block(self.activation(self.narrow(self.blocks(x))))).flatten(1)


class LandmarkNetwork(nn.Module):
    """(B, 3, 192, 192) RGB from 0 to 1 -> points (B, 468, 3) in its pixels, logit (B,) that it is a face.

    x is to the right, y down, and z away from the camera.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = (16, *(c for c, _ in BLOCKS))
        self.first = nn.Conv2d(3, 16, 3, 2)
        self.activation = nn.PReLU(16)
        self.blocks = nn.Sequential(*(Block(channels[i], c, stride) for i, (c, stride) in enumerate(BLOCKS)))
        self.points = Head(3, POINTS * 3)
        self.face = Head(1, 1)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.blocks(self.activation(self.first(pad_same(pixels, 2))))
        return self.points(x).view(-1, POINTS, 3), self.face(x)[:, 0]
