"""Parallel WaveGAN's generator (Yamamoto, Song, Kim 2020, arXiv 1910.11480), for inference, in plain torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from facevc_cli.vocoders import Vocoder
from facevc_cli.vocoders.definitions import require_sizes
from facevc_cli.vocoders.weights import load_exactly

NOISE_BLOCK = 16384  # samples drawn from one seed


@dataclass(frozen=True)
class ParallelWaveganSizes:
    """The generator's hyper-parameters; the defaults are v1."""

    n_mels: int = 80
    kernel: int = 3
    layers: int = 30
    stacks: int = 3
    residual_channels: int = 64
    gate_channels: int = 128
    skip_channels: int = 64
    context_window: int = 2  # frames on either side that the first conditioning convolution sees
    context_conv: bool = True  # there is such a convolution ("ConvInUpsampleNetwork")
    rates: tuple[int, ...] = (4, 4, 4, 4)
    band_kernel: int = 1  # of the upsampling convolutions, across mel bands
    bias: bool = True

    def find_dilation(self, layer: int) -> int:
        return 2 ** (layer % (self.layers // self.stacks))

    @property
    def context_frames(self) -> int:
        """Frames on either side that reach a sample, rounded up."""
        reach, samples_per_frame = float(self.context_window), 1
        for rate in self.rates:
            reach += 1 / samples_per_frame
            samples_per_frame *= rate
        samples = sum(self.kernel // 2 * self.find_dilation(layer) for layer in range(self.layers))
        return ceil(reach + samples / samples_per_frame) + 1


class SmoothedRepeat(nn.Module):
    """Repeats each frame `rate` times, then smooths with a kernel (bands, 2 rate + 1): (T, n_mels) -> (T * rate,
    n_mels).

    Each of a frame's samples is a weighted sum of that frame and its two neighbours. So the weights are summed first,
    and the repeated frames are never made.
    """

    def __init__(self, rate: int, bands: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, bands, 2 * rate + 1))
        source = (torch.arange(rate)[:, None] + torch.arange(2 * rate + 1) - rate).div(rate, rounding_mode="floor") + 1
        self.register_buffer(
            "sources", nn.functional.one_hot(source, 3).float(), persistent=False
        )  # (phase, tap, neighbour)

    def forward(self, c: Tensor) -> Tensor:
        phases = torch.einsum("bk,pkj->bpj", self.weight[0, 0], self.sources)
        half, n_mels = len(phases) // 2, c.shape[1]
        padded = pad(c, (half, half, 1, 1))
        total = c.new_zeros(())
        for band, weights in enumerate(phases):
            shifted = padded[:, band : band + n_mels]
            # (T, rate, n_mels)
            total = total + weights @ torch.stack([shifted[:-2], shifted[1:-1], shifted[2:]], dim=1)
        return total.reshape(-1, n_mels)


class UpsampleNetwork(nn.Module):
    """Conditioning from frames to samples: (n_mels, T + 2 context_window) -> (T * product of the rates, n_mels)."""

    def __init__(self, sizes: ParallelWaveganSizes):
        super().__init__()
        width = 2 * sizes.context_window + 1
        self.conv_in = nn.Conv1d(sizes.n_mels, sizes.n_mels, width, bias=False) if sizes.context_conv else None
        self.smooth = nn.ModuleList(SmoothedRepeat(rate, sizes.band_kernel) for rate in sizes.rates)

    def forward(self, c: Tensor) -> Tensor:
        c = (c if self.conv_in is None else self.conv_in(c[None])[0]).T
        for smooth in self.smooth:
            c = smooth(c)
        return c


class TimeConv(nn.Module):
    """A 1-D convolution that keeps the length, time first: (n, inputs) -> (n, outputs).

    It computes one matrix product per tap on contiguous rows. On a CPU that is faster than the convolution kernels at
    these widths.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1, bias: bool = True):
        super().__init__()
        self.dilation = dilation
        self.taps = nn.Parameter(torch.zeros(kernel, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        middle, size = len(self.taps) // 2, len(x)
        y = x @ self.taps[middle] if self.bias is None else torch.addmm(self.bias, x, self.taps[middle])
        for tap, weight in enumerate(self.taps):
            shift = (tap - middle) * self.dilation
            if shift and abs(shift) < size:
                y[max(0, -shift) : size - max(0, shift)].addmm_(x[max(0, shift) : size + min(0, shift)], weight)
        return y


class GatedBlock(nn.Module):
    """WaveNet's residual block: x (n, C), conditioning (n, n_mels) -> the next x; its skip is added to skips (n, S)."""

    def __init__(self, sizes: ParallelWaveganSizes, dilation: int):
        super().__init__()
        gates, half, bias = sizes.gate_channels, sizes.gate_channels // 2, sizes.bias
        self.conv = TimeConv(sizes.residual_channels, gates, sizes.kernel, dilation, bias)
        self.conv1x1_aux = TimeConv(sizes.n_mels, gates, bias=False)
        self.conv1x1_out = TimeConv(half, sizes.residual_channels, bias=bias)
        self.conv1x1_skip = TimeConv(half, sizes.skip_channels, bias=bias)

    def forward(self, x: Tensor, c: Tensor, skips: Tensor) -> Tensor:
        a, b = self.conv(x).addmm_(c, self.conv1x1_aux.taps[0]).chunk(2, dim=1)
        y = torch.tanh(a).mul_(torch.sigmoid(b))
        skips += self.conv1x1_skip(y)
        return self.conv1x1_out(y).add_(x).mul_(sqrt(0.5))


class ParallelWaveganGenerator(nn.Module):
    """Noise (T * hop,) and conditioning (n_mels, T + 2 context_window) -> wav (T * hop,)."""

    def __init__(self, sizes: ParallelWaveganSizes):
        super().__init__()
        self.sizes = sizes
        self.upsample_net = UpsampleNetwork(sizes)
        self.first_conv = TimeConv(1, sizes.residual_channels)
        self.conv_layers = nn.ModuleList(GatedBlock(sizes, sizes.find_dilation(layer)) for layer in range(sizes.layers))
        self.last_conv_1 = TimeConv(sizes.skip_channels, sizes.skip_channels)
        self.last_conv_2 = TimeConv(sizes.skip_channels, 1)

    def forward(self, noise: Tensor, c: Tensor) -> Tensor:
        c = self.upsample_net(c)
        x, skips = self.first_conv(noise[:, None]), noise.new_zeros(len(noise), self.sizes.skip_channels)
        for layer in self.conv_layers:
            x = layer(x, c, skips)
        skips *= sqrt(1.0 / len(self.conv_layers))
        return self.last_conv_2(relu(self.last_conv_1(relu(skips))))[:, 0]

    def load_folded(self, state: Mapping[str, Tensor], checkpoint: Path, config: Path) -> None:
        """Loads the folded state dict of the ParallelWaveGAN repository. FaceVCError if a key or shape does not fit."""
        prefix = "upsample_net.upsample.up_layers" if self.sizes.context_conv else "upsample_net.up_layers"
        names = {f"{prefix}.{2 * i + 1}": f"upsample_net.smooth.{i}" for i in range(len(self.sizes.rates))}
        names |= {"last_conv_layers.1": "last_conv_1", "last_conv_layers.3": "last_conv_2"}
        ours = {}
        for key, value in state.items():
            module, _, kind = key.rpartition(".")
            if kind == "weight" and value.ndim == 3 and module != "upsample_net.conv_in":
                kind, value = "taps", value.permute(2, 1, 0).contiguous()
            ours[f"{names.get(module, module)}.{kind}"] = value
        load_exactly(self, ours, checkpoint, config)


@lru_cache(maxsize=64)
def _draw_noise_block(seed: int, index: int) -> Tensor:
    return torch.randn(NOISE_BLOCK, generator=torch.Generator().manual_seed(seed * 1_000_003 + index))


def draw_noise(start: int, size: int, seed: int = 0) -> Tensor:
    """Returns samples start .. start + size of one endless white noise (size,).

    So all chunks of an utterance use the same noise.
    """
    first = start // NOISE_BLOCK
    blocks = [_draw_noise_block(seed, i) for i in range(first, (start + size - 1) // NOISE_BLOCK + 1)]
    return torch.cat(blocks)[start - first * NOISE_BLOCK :][:size]


class ParallelWavegan(Vocoder):
    """A Parallel WaveGAN generator as a vocoder. mean and scale (n_mels,) standardise the log-mel as in its
    training.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, generator: ParallelWaveganGenerator, mel: str, mean: Tensor, scale: Tensor, name: str = "parallel-wavegan"
    ):
        super().__init__(name, mel, generator.sizes.context_frames)
        require_sizes(generator.sizes.rates, generator.sizes.n_mels, mel, name)
        self.generator = generator
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.freeze()

    def synthesise(self, log_mel: Tensor, start_frame: int) -> Tensor:
        noise = draw_noise(start_frame * self.hop_samples, len(log_mel) * self.hop_samples).to(log_mel.device)
        window = self.generator.sizes.context_window
        c = ((log_mel - self.mean) / self.scale).T
        return self.generator(noise, pad(c[None], (window, window), mode="replicate")[0])
