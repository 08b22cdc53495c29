"""The network of CAM++ (Wang et al., "CAM++: A fast and efficient network for speaker verification using context-aware
masking", Interspeech 2023).

Modules have the names of the published weights (3D-Speaker, Apache-2.0).
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BANDS = 80
CHANNELS, GROWTH, BOTTLENECK = 32, 32, 128
SEGMENT = 100  # number of frames of a segment that has its own mean in the masks
DENSE_BLOCKS = ((12, 1), (24, 2), (16, 2))  # layers, dilation
EMBEDDING_DIM = 192


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions; a stride of 2 halves the bands."""

    def __init__(self, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(CHANNELS, CHANNELS, 3, (stride, 1), 1, bias=False), nn.BatchNorm2d(CHANNELS)
        self.conv2, self.bn2 = nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1, bias=False), nn.BatchNorm2d(CHANNELS)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(CHANNELS, CHANNELS, 1, (stride, 1), bias=False), nn.BatchNorm2d(CHANNELS)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 32, bands, T) -> (B, 32, bands / stride, T)."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ConvolutionalFrontEnd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, CHANNELS, 3, 1, 1, bias=False), nn.BatchNorm2d(CHANNELS)
        self.layer1 = nn.Sequential(ResidualBlock(2), ResidualBlock(1))
        self.layer2 = nn.Sequential(ResidualBlock(2), ResidualBlock(1))
        self.conv2, self.bn2 = nn.Conv2d(CHANNELS, CHANNELS, 3, (2, 1), 1, bias=False), nn.BatchNorm2d(CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 80, T) -> (B, 320, T)."""
        x = F.relu(self.bn1(self.conv1(x[:, None])))
        return F.relu(self.bn2(self.conv2(self.layer2(self.layer1(x))))).flatten(1, 2)


class Normalised(nn.Module):
    """BatchNorm, by default with a ReLU."""

    def __init__(self, channels: int, *, plain: bool = False):
        super().__init__()
        self.batchnorm, self.plain = nn.BatchNorm1d(channels, affine=not plain), plain

    def forward(self, x: Tensor) -> Tensor:
        x = self.batchnorm(x)
        return x if self.plain else F.relu(x)


class MaskedConvolution(nn.Module):
    """A dilated convolution with a mask, which is computed from the means of the whole utterance and of a segment."""

    def __init__(self, dilation: int):
        super().__init__()
        self.linear_local = nn.Conv1d(BOTTLENECK, GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1, self.linear2 = nn.Conv1d(BOTTLENECK, BOTTLENECK // 2, 1), nn.Conv1d(BOTTLENECK // 2, GROWTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 128, T) -> (B, 32, T)."""
        segments = F.avg_pool1d(x, SEGMENT, SEGMENT, ceil_mode=True).repeat_interleave(SEGMENT, -1)[..., : x.shape[-1]]
        mask = torch.sigmoid(self.linear2(F.relu(self.linear1(x.mean(-1, keepdim=True) + segments))))
        return self.linear_local(x) * mask


class DenseLayer(nn.Module):
    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.nonlinear1, self.linear1 = Normalised(channels), nn.Conv1d(channels, BOTTLENECK, 1, bias=False)
        self.nonlinear2, self.cam_layer = Normalised(BOTTLENECK), MaskedConvolution(dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, T) -> (B, channels + 32, T)."""
        return torch.cat([x, self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))], dim=1)


class Linear(nn.Module):
    """A convolution without bias, before or after its normalisation."""

    def __init__(
        self, channels: int, out: int, kernel: int = 1, stride: int = 1, *, first: bool = True, plain: bool = False
    ):
        super().__init__()
        self.linear = nn.Conv1d(channels, out, kernel, stride, kernel // 2, bias=False)
        self.nonlinear, self.first = Normalised(out if first else channels, plain=plain), first

    def forward(self, x: Tensor) -> Tensor:
        return self.nonlinear(self.linear(x)) if self.first else self.linear(self.nonlinear(x))


class Statistics(nn.Module):
    """Mean and standard deviation over time, with a time axis of one."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, T) -> (B, 2 channels, 1)."""
        variance = x.var(-1, correction=min(1, x.shape[-1] - 1))
        return torch.cat([x.mean(-1), (variance + 1e-10).sqrt()], dim=-1)[..., None]


class CAMPlusPlus(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = ConvolutionalFrontEnd()
        layers: dict[str, nn.Module] = {"tdnn": Linear(BANDS // 8 * CHANNELS, BOTTLENECK, 5, 2)}
        channels = BOTTLENECK
        for number, (count, dilation) in enumerate(DENSE_BLOCKS, start=1):
            dense = {f"tdnnd{i + 1}": DenseLayer(channels + GROWTH * i, dilation) for i in range(count)}
            channels += GROWTH * count
            layers |= {
                f"block{number}": nn.Sequential(OrderedDict(dense)),
                f"transit{number}": Linear(channels, channels // 2, first=False),
            }
            channels //= 2
        layers |= {
            "out_nonlinear": Normalised(channels),
            "stats": Statistics(),
            "dense": Linear(2 * channels, EMBEDDING_DIM, plain=True),
        }
        self.xvector = nn.Sequential(OrderedDict(layers))

    def forward(self, features: Tensor) -> Tensor:
        """Log filter-bank energies (B, T, 80), each band of mean zero over time -> embeddings (B, 192), not
        normalised.
        """
        return self.xvector(self.head(features.transpose(1, 2)))[..., 0]
