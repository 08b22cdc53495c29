"""What each layer of a generator hears and makes, and how much that counts in the waveform.

An error of a layer's output counts as much as it changes the waveform's spectra, relative to the loudness around each
bin. To first order that is the product of the error and the gradient.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facevc_cli.vocoders.hifigan import HifiganGenerator

STFT_SIZES = (256, 1024)
AROUND = (9, 3)  # bins and steps of the loudness around a bin
QUIETEST = 3e-4  # of a sine's amplitude; below, loudness counts as this
TEMPER = 0.5  # exponent of a frame's share of the gradients; 1 fits the quietest frames alone
GRID = 8  # ranks are multiples of it: processors work on so many numbers at once
NARROW_IN, NARROW_OUT, MIX_COST = 1.8, 3.0, 1.3  # how much slower a multiplication is with GRID channels, or in a mix
Conv = nn.Conv2d | nn.ConvTranspose2d
Rank = tuple[int, int]


def flatten(x: Tensor) -> Tensor:
    """(B, C, 1, T) -> (C, B * T)."""
    return x[:, :, 0].permute(1, 0, 2).flatten(1)


def take_root(matrix: Tensor, ridge: float = 1e-4) -> tuple[Tensor, Tensor]:
    """Returns the symmetric root of a covariance, and the inverse of that."""
    values, vectors = torch.linalg.eigh(matrix.double())
    values = values.clamp_min(0)
    values = values + ridge * values.mean() + 1e-30
    return (vectors * values.sqrt()) @ vectors.T, (vectors / values.sqrt()) @ vectors.T


class Covariance:
    """A weighted covariance of channels, gathered in parts."""

    def __init__(self, channels: int):
        self.total = torch.zeros((), dtype=torch.float64)
        self.sum = torch.zeros(channels, dtype=torch.float64)
        self.products = torch.zeros(channels, channels, dtype=torch.float64)

    def add(self, x: Tensor, weights: Tensor) -> None:
        """x: (C, n); weights: (n,)."""
        weighted = x * weights
        self.total += weights.sum().double()
        self.sum += weighted.sum(1).double()
        self.products += (weighted @ x.T).double()

    @property
    def mean(self) -> Tensor:
        return self.sum / self.total

    @property
    def scatter(self) -> Tensor:
        """The sum of the weighted products of what is left without the mean."""
        return self.products - self.total * torch.outer(self.mean, self.mean)


@dataclass
class Layer:
    """A convolution of the teacher. metric: (D, D), how errors of its outputs count; weights: (B, T), and when."""

    conv: Conv
    rate: int  # outputs per frame
    metric: Tensor
    weights: Tensor
    inputs: Covariance
    outputs: Covariance

    @cached_property
    def kernel(self) -> Tensor:
        """(D, C, taps), float64."""
        weight = self.conv.weight.detach()[:, :, 0].double()
        return weight.transpose(0, 1) if isinstance(self.conv, nn.ConvTranspose2d) else weight

    @property
    def stride(self) -> int:
        return self.conv.stride[1]

    @cached_property
    def output_root(self) -> tuple[Tensor, Tensor]:
        return take_root(self.metric)

    @cached_property
    def input_root(self) -> tuple[Tensor, Tensor]:
        """The root of how errors of the inputs count, and its inverse."""
        taps = self.kernel.unbind(2)
        return take_root(torch.stack([tap.T @ self.metric @ tap for tap in taps]).sum(0) / self.stride)

    @property
    def input_weights(self) -> Tensor:
        return self.weights.unflatten(1, (-1, self.stride)).sum(2)

    def estimate_errors(self) -> tuple[Tensor, Tensor]:
        """Returns how much an input and an output of each rank from 0 to all channels leave out."""
        root_in, root_out = self.input_root[0], self.output_root[0]
        spectra = [
            torch.linalg.eigvalsh(root @ heard.scatter @ root).clamp_min(0)
            for root, heard in ((root_in, self.inputs), (root_out, self.outputs))
        ]
        left, made = (F.pad(values.cumsum(0), (1, 0)).flip(0) for values in spectra)
        return left, made

    def list_ranks(self) -> tuple[list[Rank], Tensor, Tensor]:
        """Returns the ranks to choose from, the cost of each (multiplications per frame, as slow as they are), and the
        error of each.
        """
        outputs, inputs, taps = self.kernel.shape
        left, made = self.estimate_errors()
        ranks_out = [outputs] if self.stride > 1 else [*range(GRID, outputs, GRID), outputs]
        ranks = [(i, o) for i in (*range(GRID, inputs, GRID), inputs) for o in ranks_out]
        costs, errors = [], []
        for i, o in ranks:
            slow = (NARROW_IN if i <= GRID else 1) * (NARROW_OUT if o <= GRID else 1)
            cost = i * o * taps * slow / self.stride
            cost += MIX_COST * (inputs * i / self.stride * (i < inputs) + outputs * o * (o < outputs))
            costs.append(cost * self.rate)
            errors.append(float(left[i] + made[o]))
        return ranks, torch.tensor(costs), torch.tensor(errors)


def list_convs(generator: HifiganGenerator) -> dict[str, nn.Module]:
    """Returns the layers that may have a rank, in the order of HifiganSizes.ranks."""
    found = {f"ups.{number}": conv for number, conv in enumerate(generator.ups)}
    for number, block in enumerate(generator.resblocks):
        for part in ("convs1", "convs2"):
            convs = getattr(block, part)
            found |= {f"resblocks.{number}.{part}.{i}": conv for i, conv in enumerate(convs)}
    return found


def measure_layers(generator: HifiganGenerator, log_mels: Tensor, seed: int = 0) -> dict[str, Layer]:
    """log_mels: (B, n_mels, T), standardised as the generator hears them."""
    generator.requires_grad_(False)
    layers = {}
    for name, conv in list_convs(generator).items():
        outputs, inputs = conv.bias.numel(), conv.in_channels  # type: ignore[union-attr]
        empty = torch.zeros(outputs, outputs), torch.zeros(0), Covariance(inputs), Covariance(outputs)
        layers[name] = Layer(conv, 0, *empty)  # type: ignore[arg-type]
    _gather_gradients(generator, log_mels, layers, torch.Generator().manual_seed(seed))
    _gather_covariances(generator, log_mels, layers)
    return layers


def _gather_gradients(
    generator: HifiganGenerator, log_mels: Tensor, layers: dict[str, Layer], random: torch.Generator
) -> None:
    counted: dict[str, list[Tensor]] = {name: [] for name in layers}

    def watch(name: str, made: Tensor) -> None:
        def take(gradient: Tensor) -> None:
            gradient = flatten(gradient)
            layers[name].metric += gradient @ gradient.T
            counted[name].append(gradient.square().sum(0))

        made.register_hook(take)

    hooks = [
        layer.conv.register_forward_hook(lambda _, __, made, name=name: watch(name, made))
        for name, layer in layers.items()
    ]
    windows = {size: torch.hann_window(size) for size in STFT_SIZES}
    for log_mel in log_mels:
        wav = generator(log_mel[None].requires_grad_())[:, 0]
        loss = wav.new_zeros(())
        for size, window in windows.items():
            spectrum = torch.stft(wav, size, size // 4, window=window, return_complex=True)
            padding = AROUND[0] // 2, AROUND[1] // 2
            loud = F.avg_pool2d(spectrum.detach().abs()[:, None], AROUND, 1, padding, count_include_pad=False)[:, 0]
            draw = torch.randn(spectrum.shape, dtype=spectrum.dtype, generator=random)
            draw = draw / (loud + QUIETEST * window.sum()) / spectrum[0].numel() ** 0.5
            loss = loss + (spectrum * draw.conj()).real.sum()
        loss.backward()
    for hook in hooks:
        hook.remove()
    for name, layer in layers.items():
        weights = torch.stack(counted[name])
        layer.rate = weights.shape[1] // log_mels.shape[2]
        around = max(1, layer.rate // 4)
        smooth = F.avg_pool1d(weights[:, None], 2 * around + 1, 1, around, count_include_pad=False)[:, 0]
        tempered = smooth**TEMPER
        layer.weights = tempered * (weights.sum() / tempered.sum())
        layer.metric = layer.metric.double() / layer.metric.trace().double()


@torch.no_grad()
def _gather_covariances(generator: HifiganGenerator, log_mels: Tensor, layers: dict[str, Layer]) -> None:
    number = 0

    def take(layer: Layer, heard: Tensor, made: Tensor) -> None:
        layer.inputs.add(flatten(heard), layer.input_weights[number])
        layer.outputs.add(flatten(made), layer.weights[number])

    hooks = [
        layer.conv.register_forward_hook(lambda _, heard, made, layer=layer: take(layer, heard[0], made))
        for layer in layers.values()
    ]
    for number in range(len(log_mels)):
        generator(log_mels[number : number + 1])
    for hook in hooks:
        hook.remove()


def choose_ranks(layers: dict[str, Layer], share: float) -> list[Rank]:
    """Chooses ranks of the least error in all, at a share of the cost without ranks."""
    listed = [layer.list_ranks() for layer in layers.values()]
    whole = sum(float(costs[-1]) for _, costs, _ in listed)
    least, most = 1e-30, 1e30  # error that a multiplication is worth
    chosen: list[int] = []
    for _ in range(100):
        price = (least * most) ** 0.5
        chosen = [int((errors + price * costs).argmin()) for _, costs, errors in listed]
        cost = sum(float(costs[i]) for (_, costs, _), i in zip(listed, chosen, strict=True))
        least, most = (price, most) if cost > share * whole else (least, price)
    return [ranks[i] for (ranks, _, _), i in zip(listed, chosen, strict=True)]
