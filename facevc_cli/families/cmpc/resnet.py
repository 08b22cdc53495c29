"""A residual network of He et al., "Deep residual learning for image recognition", 2016, for pictures and log-mels.

With a width of 64 and blocks of 3, 4, 6 and 3 it is their ResNet-34, without the classifier.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class ResNet(nn.Module):
    """(B, channels, H, W) of any size -> (B, out_dim), the mean over all places.

    width: channels of the first group of blocks. Each later group has twice as many, and half the height and width.
    blocks: number of blocks in each group; a block has two convolutions.
    """

    def __init__(self, channels: int, width: int, blocks: Sequence[int]):
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        groups: list[nn.Module] = []
        before = width
        for i, count in enumerate(blocks):
            own = width * 2**i
            strides = [1 if i == 0 else 2, *[1] * (count - 1)]
            groups += [Block(own if n else before, own, stride) for n, stride in enumerate(strides)]
            before = own
        self.blocks = nn.Sequential(*groups)
        self.out_dim = before
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, seen: Tensor) -> Tensor:
        first = F.max_pool2d(F.relu(self.stem_norm(self.stem(seen))), 3, stride=2, padding=1)
        return self.blocks(first).mean((2, 3))


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a short cut. A stride of 2 halves height and width."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(out_channels)
        self.short_cut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.short_cut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, seen: Tensor) -> Tensor:
        changed = self.second_norm(self.second(F.relu(self.first_norm(self.first(seen)))))
        return F.relu(changed + self.short_cut(seen))
