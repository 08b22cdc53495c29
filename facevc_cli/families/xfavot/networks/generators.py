"""The generators: content of a picture or of a log-mel, in another style. There are no skip connections."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.families.xfavot.networks.blocks import SLOPE, Block, PlainNorm, Scale
from facevc_cli.families.xfavot.networks.pitch import PitchEncoder

MIDDLE = 2  # blocks without a style, and as many with one, between the way down and the way up


class Generator(nn.Module):
    """Halves its input to a content without style, then repeats it back in a style."""

    def __init__(self, channels: int, widths: Sequence[int], scales: Sequence[Scale], style_dim: int, beside: int = 0):
        """channels: of the input. widths: channels before and after each block down. scales: by which each halves.

        beside: channels that `decode` gets beside the content.
        """
        super().__init__()
        steps = list(zip(widths[:-1], widths[1:], scales, strict=True))
        deep = widths[-1]
        self.start = nn.Conv2d(channels, widths[0], 1)
        self.down = nn.ModuleList(Block(a, b, norm="instance", down=scale) for a, b, scale in steps)
        self.middle = nn.ModuleList(Block(deep, deep, norm="instance") for _ in range(MIDDLE))
        self.styled = nn.ModuleList(
            Block(deep + (beside if i == 0 else 0), deep, norm="adaptive", style_dim=style_dim) for i in range(MIDDLE)
        )
        self.up = nn.ModuleList(
            Block(b, a, norm="adaptive", style_dim=style_dim, up=scale) for a, b, scale in reversed(steps)
        )
        self.norm, self.end = PlainNorm(widths[0]), nn.Conv2d(widths[0], channels, 1)

    def encode(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> its content (B, deep, h, w)."""
        found = self.start(x)
        for block in (*self.down, *self.middle):
            found = block(found)
        return found

    def decode(self, content: Tensor, style: Tensor) -> Tensor:
        """The content, with what is beside it, in styles (B, style_dim) -> (B, channels, H, W)."""
        for block in (*self.styled, *self.up):
            content = block(content, style)
        return self.end(F.leaky_relu(self.norm(content), SLOPE))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.decode(self.encode(x), style)


class AudioGenerator(Generator):
    """A generator of log-mels (B, 1, n_mels, T), which also gets the movement of the pitch."""

    def __init__(self, widths: Sequence[int], scales: Sequence[Scale], style_dim: int, pitch_channels: int):
        super().__init__(1, widths, scales, style_dim, pitch_channels)
        self.pitch = PitchEncoder(pitch_channels, sum(frames > 1 for _, frames in scales))

    def decode(self, content: Tensor, style: Tensor, log_f0: Tensor | None = None) -> Tensor:
        """log_f0: (B, T) of zero mean and unit deviation, 0 in unvoiced frames. None: unvoiced throughout."""
        if log_f0 is None:
            log_f0 = content.new_zeros(len(content), content.shape[-1] * 2 ** len(self.pitch.layers))
        pitch = self.pitch(log_f0)[:, :, None].expand(-1, -1, content.shape[2], -1)
        return super().decode(torch.cat([content, pitch], dim=1), style)

    def forward(self, x: Tensor, style: Tensor, log_f0: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x), style, log_f0)
