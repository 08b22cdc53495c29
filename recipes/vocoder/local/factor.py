"""factor.py PIECES OUT: give HiFi-GAN's convolutions lower ranks, and solve for their weights layer by layer.

Each layer hears what the layers before it, of lower rank already, give it. Its weights are the least squares that
bring its outputs nearest to HiFi-GAN's own: the error of the layers before is mended, not passed on. Where there is
little to solve from, the weights stay near HiFi-GAN's. OUT is a vocoder for `facevc convert --vocoder`.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from layers import Conv, Covariance, Layer, Rank, choose_ranks, list_convs, measure_layers
from pieces import MEL, PieceStore
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.functional import leaky_relu

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.settings import to_dict
from facevc_cli.files.atomic import atomic_folder
from facevc_cli.vocoders.hifigan import HifiganGenerator, LowRankConv, load_universal
from facevc_cli.vocoders.light import save_light

RIDGE = 1e-2  # how strongly weights are held to HiFi-GAN's, in the mean variance of what a layer hears
CROP_FRAMES, CROPS = 96, 48


def shift(x: Tensor, offsets: list[int]) -> Tensor:
    """(C, T) -> (len(offsets) * C, T): at each time, x at the time plus each offset, and zeros outside."""
    reach = max(map(abs, offsets))
    padded = F.pad(x, (reach, reach))
    return torch.cat([padded[:, reach + o : reach + o + x.shape[1]] for o in offsets])


def list_phases(conv: Conv) -> list[tuple[list[int], list[int]]]:
    """Returns the taps, and the offsets of the inputs that they hear, for each output between two inputs."""
    taps, stride, padding = conv.kernel_size[1], conv.stride[1], conv.padding[1]
    if isinstance(conv, nn.ConvTranspose2d):
        heard = [[tap for tap in range(taps) if (phase + padding - tap) % stride == 0] for phase in range(stride)]
        return [(own, [(phase + padding - tap) // stride for tap in own]) for phase, own in enumerate(heard)]
    return [(list(range(taps)), [tap * conv.dilation[1] - padding for tap in range(taps)])]


def run(conv: nn.Module, heard: Tensor) -> Tensor:
    """(B, C, T) -> (B, D, T'), piece by piece, which needs less memory."""
    return torch.cat([conv(x[None, :, None].contiguous(memory_format=torch.channels_last))[:, :, 0] for x in heard])


def solve(layer: Layer, rank: Rank, low: nn.Module, heard: Tensor, wanted: Tensor) -> None:
    """Fills the convolution `low` so that it makes `wanted` (B, D, T') out of `heard` (B, C, T)."""
    outputs, inputs, taps = layer.kernel.shape
    mix = back = torch.eye(inputs, dtype=torch.float64)
    if rank[0] < inputs:
        mix, back = choose_inputs(layer, rank[0], heard)
    mixed = torch.einsum("pc,bct->bpt", mix.float(), heard)
    kernel = torch.zeros(outputs, len(mix), taps, dtype=torch.float64)
    bias, means, scatter = torch.zeros(outputs, dtype=torch.float64), [], []
    own = torch.einsum("dct,cp->dpt", layer.kernel, back)
    for phase, (phase_taps, offsets) in enumerate(list_phases(layer.conv)):
        weights = layer.weights[:, phase :: layer.stride] / layer.weights.mean()
        size = len(offsets) * len(mix) + 1
        squares = torch.zeros(size, size, dtype=torch.float64)
        products = torch.zeros(size, outputs, dtype=torch.float64)
        for x, y, weight in zip(mixed, wanted[:, :, phase :: layer.stride], weights, strict=True):
            seen = torch.cat([shift(x, offsets), torch.ones(1, x.shape[1])])
            squares += ((seen * weight) @ seen.T).double()
            products += ((seen * weight) @ y.T).double()
        prior = torch.cat([*(own[:, :, tap].T for tap in phase_taps), layer.conv.bias.detach().double()[None]])
        hold = torch.full((size,), RIDGE, dtype=torch.float64) * squares.diagonal()[:-1].mean()
        hold[-1] = 0
        solved = torch.linalg.solve(squares + torch.diag(hold), products + hold[:, None] * prior)
        kernel[:, :, phase_taps] = solved[:-1].T.unflatten(1, (len(offsets), -1)).transpose(1, 2)
        bias += solved[-1] / layer.stride
        means.append(squares[-1, :-1] / squares[-1, -1])
        scatter.append(squares[:-1, :-1] - squares[-1, -1] * torch.outer(means[-1], means[-1]))
    if rank[1] == outputs:
        fill(low, mix, kernel, None, bias)
        return
    # reduced-rank regression: the directions of the outputs that count most
    root, inverse = layer.output_root
    flat = kernel.transpose(1, 2).flatten(1)
    directions = torch.linalg.eigh(root @ flat @ scatter[0] @ flat.T @ root)[1][:, -rank[1] :]
    small, expand = directions.T @ root, inverse @ directions
    core = torch.einsum("rd,dpt->rpt", small, kernel)
    fill(low, mix, core, expand, bias + (flat - expand @ small @ flat) @ means[0])


def choose_inputs(layer: Layer, count: int, heard: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the mix (count, C) of the inputs that count most, and the way back (C, count)."""
    own = Covariance(heard.shape[1])
    for x, weight in zip(heard, layer.input_weights, strict=True):
        own.add(x, weight)
    root, inverse = layer.input_root
    directions = torch.linalg.eigh(root @ own.scatter @ root)[1][:, -count:]
    return directions.T @ root, inverse @ directions


def fill(low: nn.Module, mix: Tensor, core: Tensor, expand: Tensor | None, bias: Tensor) -> None:
    """Writes the factors into a convolution of lower rank, each channel between two as large on either side."""
    if not isinstance(low, LowRankConv):
        put(low, core, bias)
        return
    if hasattr(low, "reduce"):
        size = (core.flatten(2).square().sum((0, 2)) / mix.square().sum(1)).sqrt().sqrt()
        mix, core = mix * size[:, None], core / size[:, None]
        low.reduce.weight.copy_(mix[:, :, None, None])
    if expand is None:
        put(low.kernel, core, bias)
        return
    size = (expand.square().sum(0) / core.square().sum((1, 2))).sqrt().sqrt()
    put(low.kernel, core * size[:, None, None], None)
    low.expand.weight.copy_((expand / size)[:, :, None, None])
    low.expand.bias.copy_(bias)


def put(conv: nn.Module, kernel: Tensor, bias: Tensor | None) -> None:
    if isinstance(conv, nn.ConvTranspose2d):
        kernel = kernel.transpose(0, 1)
    conv.weight.copy_(kernel[:, :, None])  # type: ignore[operator,union-attr]
    if bias is not None:
        conv.bias.copy_(bias)  # type: ignore[operator,union-attr]


@torch.no_grad()
def factor(
    teacher: HifiganGenerator, layers: dict[str, Layer], ranks: list[Rank], log_mels: Tensor
) -> HifiganGenerator:
    """Returns a generator of these ranks that speaks like the teacher."""
    generator = HifiganGenerator(replace(teacher.sizes, ranks=tuple(ranks)))
    generator.conv_pre.load_state_dict(teacher.conv_pre.state_dict())
    generator.conv_post.load_state_dict(teacher.conv_post.state_dict())
    low = list_convs(generator)
    of = dict(zip(layers, ranks, strict=True))
    slope, count = teacher.sizes.slope, len(teacher.sizes.block_kernels)

    def follow(name: str, heard: Tensor, wanted: Tensor) -> Tensor:
        solve(layers[name], of[name], low[name], heard, wanted)
        return run(low[name], heard)

    right = torch.cat([teacher.enter(log_mel[None])[:, :, 0] for log_mel in log_mels])
    own = right
    for stage in range(len(teacher.ups)):
        right, heard = run(teacher.ups[stage], leaky_relu(right, slope)), leaky_relu(own, slope)
        own = follow(f"ups.{stage}", heard, right)
        sums = torch.zeros_like(right), torch.zeros_like(own)
        for number in range(stage * count, (stage + 1) * count):
            block, x, y = teacher.resblocks[number], right, own
            for i, conv in enumerate(block.convs1):
                made, heard = run(conv, leaky_relu(x, slope)), leaky_relu(y, slope)
                if block.convs2:
                    hidden = follow(f"resblocks.{number}.convs1.{i}", heard, made)
                    made, heard = run(block.convs2[i], leaky_relu(made, slope)), leaky_relu(hidden, slope)
                x = x + made
                y = y + follow(f"resblocks.{number}.convs{2 if block.convs2 else 1}.{i}", heard, x - y)
            for total, value in zip(sums, (x, y), strict=True):
                total += value
        right, own = sums[0] / count, sums[1] / count
        error = float((right - own).square().sum() / (right - right.mean((0, 2), keepdim=True)).square().sum())
        print(f"stage {stage + 1}: relative square error {error:.4f}", file=sys.stderr)
    return generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pieces", type=Path, help="a folder of pieces")
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.3, help="of HiFi-GAN's time")
    parser.add_argument("--crops", type=int, default=CROPS, help=f"of {CROP_FRAMES} frames, to solve from")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if not 0 < given.share <= 1:
        raise FaceVCError(f"--share {given.share}: expected a number from 0 to 1.")
    store, rng = PieceStore(given.pieces, "train", CROP_FRAMES), np.random.default_rng(given.seed)
    crops = [torch.from_numpy(store.read(rng)["log_mel"]).T for _ in range(given.crops)]
    log_mels, teacher = torch.stack(crops), load_universal().generator
    layers = measure_layers(teacher, log_mels, given.seed)
    ranks = choose_ranks(layers, given.share)
    generator = factor(teacher, layers, ranks, log_mels)
    with atomic_folder(given.out) as folder:
        save_light(folder, generator, generator.sizes, MEL.name, 0, torch.float32, "recipes/vocoder, factor")
    count = sum(weight.numel() for weight in generator.parameters())
    print(f"{given.out}: {count / 1e6:.1f} M parameters, ranks {to_dict(generator.sizes)['ranks']}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except FaceVCError as error:
        sys.exit(str(error))
