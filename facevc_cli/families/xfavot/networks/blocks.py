"""Residual blocks, adaptive instance normalisation, and the first weights of all networks of this family."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2  # of the leaky rectifiers
Scale = tuple[int, int]  # factors of height and width, or of bands and frames
SHIFTS = (((0, 0, 1, 0), (0, 0, 0, 1)), ((1, 0, 0, 0), (0, 1, 0, 0)))  # paddings by a row, and by a column


class AdaptiveNorm(nn.Module):
    """Instance normalisation whose scale and shift are linear in a style."""

    def __init__(self, channels: int, style_dim: int):
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.style = nn.Linear(style_dim, 2 * channels)

    def forward(self, x: Tensor, style: Tensor | None) -> Tensor:
        scale, shift = self.style(style)[:, :, None, None].chunk(2, dim=1)
        return scale * self.norm(x) + shift


class PlainNorm(nn.InstanceNorm2d):
    """Instance normalisation with learned scales. It ignores the style."""

    def __init__(self, channels: int):
        super().__init__(channels, affine=True)

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        return super().forward(x)


class NoNorm(nn.Module):
    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        return x


class Block(nn.Module):
    """Two convolutions of 3 x 3 beside a shortcut; each after a normalisation and a rectifier.

    down: factors by which it halves, after the first convolution. up: factors by which it repeats, before it. The first
    convolution keeps the width of a block that goes down; of all others it makes the new one. The sum is divided by the
    root of 2, so that depth does not raise the variance.

    To halve and to repeat are linear, so the work is done where there is least of it: the shortcut changes channels at
    the smaller size, and a convolution that is halved afterwards is one of a wider kernel with a stride.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        norm: str = "none",
        style_dim: int = 0,
        down: Scale = (1, 1),
        up: Scale = (1, 1),
    ):
        super().__init__()
        self.down, self.up = down, up
        middle = channels_out if norm == "adaptive" else channels_in
        self.norm1, self.norm2 = (make_norm(norm, width, style_dim) for width in (channels_in, middle))
        self.conv1 = nn.Conv2d(channels_in, middle, 3, padding=1)
        self.conv2 = nn.Conv2d(middle, channels_out, 3, padding=1)
        self.shortcut = (
            nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1, bias=False)
        )

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """(B, channels_in, H, W), style (B, style_dim) for adaptive blocks -> (B, channels_out, H', W')."""
        found = self._repeat(F.leaky_relu(self.norm1(x, style), SLOPE))
        found = convolve_and_halve(found, self.conv1, self.down)
        found = self.conv2(F.leaky_relu(self.norm2(found, style), SLOPE))
        return (found + self._repeat(self.shortcut(halve(x, self.down)))) / math.sqrt(2)

    def _repeat(self, x: Tensor) -> Tensor:
        return x if self.up == (1, 1) else F.interpolate(x, scale_factor=tuple(map(float, self.up)), mode="nearest")


def halve(x: Tensor, scale: Scale) -> Tensor:
    """Pools (B, C, H, W) by factors of 1 or 2, in a third of the time that `avg_pool2d` takes on a processor."""
    for axis, factor in zip((-2, -1), scale, strict=True):
        if factor == 2:
            even = x.narrow(axis, 0, x.shape[axis] // 2 * 2).unflatten(axis, (-1, 2))
            x = (even.select(axis, 0) + even.select(axis, 1)) / 2
    return x


def convolve_and_halve(x: Tensor, convolution: nn.Conv2d, scale: Scale) -> Tensor:
    """`halve` of a convolution with padding 1, as one convolution: its kernel is the mean of the shifted kernels."""
    kernel = convolution.weight
    for factor, (before, after) in zip(scale, SHIFTS, strict=True):
        if factor == 2:
            kernel = (F.pad(kernel, before) + F.pad(kernel, after)) / 2
    return F.conv2d(x, kernel, convolution.bias, stride=scale, padding=1)


def make_norm(kind: str, channels: int, style_dim: int) -> nn.Module:
    """kind: none, instance or adaptive."""
    if kind == "adaptive":
        return AdaptiveNorm(channels, style_dim)
    return PlainNorm(channels) if kind == "instance" else NoNorm()


def initialise(network: nn.Module) -> None:
    """Draws first weights by He et al.; biases are 0, but 1 for the scales that a style gives."""
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, AdaptiveNorm):
            with torch.no_grad():
                module.style.bias[: len(module.style.bias) // 2] = 1


def list_widths(first: int, most: int, count: int) -> list[int]:
    """Returns the channels before and after `count` blocks: each doubles them, to at most `most`."""
    return [min(most, first * 2**i) for i in range(count + 1)]
