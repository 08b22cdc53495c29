"""Describes a part of a conversion that other programs can run without Python: a torch module of tensors alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

Shape = tuple[int | str, ...]  # a text names an axis of any length


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A part of a conversion as a module that can be traced: no branch and no loop depends on its inputs.

    inputs, outputs: their shapes by name, in the module's order.
    make_inputs: makes inputs for a number of frames, on which the written file is compared with `reference`.
    reference: what facevc itself computes from these inputs; None: the module.
    tolerance: the largest difference that is no error.
    context_frames: the frames on either side that a result depends on; None: it depends on all.
    instead_of: the graph whose place it takes in a stream; None: it is called in its order.
    facts: what a program must know besides, by name.
    """

    name: str
    purpose: str
    module: nn.Module
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    make_inputs: Callable[[int], tuple[Tensor, ...]]
    reference: Callable[..., Tensor | tuple[Tensor, ...]] | None = None
    tolerance: float = 1e-3
    context_frames: int | None = None
    instead_of: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def draw_log_mel(frames: int, mean: Tensor, std: Tensor) -> Tensor:
    """Draws a log-mel (1, frames, n_mels) with these statistics per band, from a fixed seed."""
    drawn = torch.randn(1, frames, len(mean), generator=torch.Generator().manual_seed(frames))
    return drawn * std + mean


def draw_speech(samples: int, rate: int) -> Tensor:
    """Makes (samples,) of a buzz that glides from 110 to 220 Hz and swells twice per second, with a little noise."""
    share = torch.arange(samples, dtype=torch.float64) / max(1, samples)
    phase = torch.cumsum(110 * 2**share / rate, 0)
    buzz = sum(torch.cos(2 * torch.pi * k * phase) / k for k in range(1, 12))
    swell = 0.55 - 0.45 * torch.cos(4 * torch.pi * torch.arange(samples) / rate)
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(0))
    return (0.12 * swell * torch.as_tensor(buzz) + 1e-3 * noise).float()


def resample_frames_at(x: Tensor, count: Tensor, frames: Tensor) -> Tensor:
    """(B, count, dim) -> (B, frames, dim) as `resample_frames` does, with both counts as tensors, so it can be
    traced.
    """
    place = (make_range(frames) + 0.5).double() * (count.double() / frames.double()) - 0.5
    place = torch.minimum(place.clamp(min=0), (count - 1).double())
    low = place.floor()
    share, lower = (place - low).float()[:, None], low.long()
    upper = torch.minimum(lower + 1, count - 1)
    return torch.lerp(x[:, lower], x[:, upper], share)


def make_range(count: Tensor) -> Tensor:
    """The numbers from 0 to count - 1, whose count stays variable when traced."""
    return torch.arange(cast(Any, count))


def count_axis(x: Tensor, axis: int) -> Tensor:
    """The length of an axis as a tensor, which stays variable when traced."""
    return torch._shape_as_tensor(x)[axis]
