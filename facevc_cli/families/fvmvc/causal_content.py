"""Causal content encoder: a small student of the content encoder that hears speech while it is spoken.

Causal convolutions remember the past, so each frame is computed once. At each frame the head estimates the content of
that frame and of the frames before it: with a lookahead of 6 frames of log-mel those of 3 frames of content. The
estimate of the newest frame comes at once. Later ones, which have heard what follows, replace it.
"""

from torch import Tensor, cat, full, nn
from torch.nn import functional as F

from facevc_cli.dsp.statistics import WHOLE, Statistics
from facevc_cli.families.fvmvc.distilled_content import normalise_over_time

DILATIONS = (1, 2, 4, 8)
KERNEL, STRIDE, INPUT_KERNEL = 5, 2, 4
State = list[Tensor]  # what each convolution remembers


class CausalBlock(nn.Module):
    """Depthwise convolution over the past, LayerNorm, two-fold expansion, layer scale, residual."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.past = (KERNEL - 1) * dilation
        self.depthwise = nn.Conv1d(channels, channels, KERNEL, dilation=dilation, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.up, self.down = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)
        self.layer_scale = nn.Parameter(full((channels,), 0.1))

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, channels, T), past: (B, channels, self.past) -> the output, and the past of what follows."""
        heard = cat([past, x], -1)
        y = self.norm(self.depthwise(heard).transpose(1, 2))
        return x + (self.layer_scale * self.down(F.gelu(self.up(y)))).transpose(1, 2), heard[..., -self.past :]


class CausalContentEncoder(nn.Module):
    """Normalised log-mel (B, n_mels, T), T even -> estimates (B, T / 2, 1 + lags, z_dim).

    Estimate l at frame t is the content of frame t - l, in the content encoder's normalisation.
    """

    def __init__(self, n_mels: int, z_dim: int, channels: int, blocks: int, lookahead_frames: int):
        super().__init__()
        if lookahead_frames % STRIDE:
            raise ValueError(f"lookahead_frames {lookahead_frames} is odd")
        self.lags, self.z_dim = lookahead_frames // STRIDE, z_dim
        self.input = nn.Conv1d(n_mels, channels, INPUT_KERNEL, stride=STRIDE)
        dilations = [DILATIONS[i % len(DILATIONS)] for i in range(blocks)]
        self.blocks = nn.ModuleList(CausalBlock(channels, dilation) for dilation in dilations)
        self.pasts = [(KERNEL - 1) * dilation for dilation in dilations]  # frames that each block remembers
        self.head = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, (1 + self.lags) * z_dim))

    def forward(self, mel: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """state: what an earlier call returned for the frames before; None: the speech begins here."""
        past = self.begin(mel) if state is None else state
        heard = cat([past[0], mel], -1)
        kept = [heard[..., -(INPUT_KERNEL - STRIDE) :]]
        x = self.input(heard)
        for block, before in zip(self.blocks, past[1:], strict=True):
            x, after = block(x, before)
            kept.append(after)
        return self.head(x.transpose(1, 2)).unflatten(-1, (1 + self.lags, self.z_dim)), kept

    def begin(self, mel: Tensor) -> State:
        """The state before any speech."""
        channels = self.input.out_channels
        sizes = [(mel.shape[1], INPUT_KERNEL - STRIDE), *((channels, past) for past in self.pasts)]
        return [mel.new_zeros(len(mel), *size) for size in sizes]


class CausalContentStream:
    """A `ContentStream` of one causal encoder."""

    def __init__(self, encoder: CausalContentEncoder):
        self._encoder = encoder
        self._state: State | None = None
        self._estimates: Tensor | None = None  # the best so far, of the last frames

    def hear(self, mel: Tensor, new_frames: int, statistics: Statistics = WHOLE) -> Tensor:
        """Encodes the new frames only. The level of those before does not change any more."""
        made, self._state = self._encoder(mel[..., -new_frames:], self._state)
        self._estimates = merge_estimates(self._estimates, made)[:, -(mel.shape[-1] // STRIDE) :]
        return normalise_over_time(self._estimates, statistics)


def merge_estimates(before: Tensor | None, made: Tensor) -> Tensor:
    """Appends new frames, and replaces earlier estimates by those that heard more.

    before: (B, m, z_dim), made: (B, n, 1 + lags, z_dim) -> (B, m + n, z_dim).
    """
    count = made.shape[1]
    known = made.new_zeros(len(made), 0, made.shape[3]) if before is None else before
    merged = cat([known, made[:, :, 0]], 1)
    for lag in range(1, made.shape[2]):
        end = merged.shape[1] - lag
        kept = min(count, max(0, end))  # the other estimates are of frames before the beginning
        merged[:, max(0, end) - kept : max(0, end)] = made[:, count - kept :, lag]
    return merged
