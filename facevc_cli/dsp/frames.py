"""Converts frames of one rate to another."""

from torch import Tensor
from torch.nn import functional as F


def resample_frames(x: Tensor, frames: int) -> Tensor:
    """(B, T, dim) -> (B, frames, dim), linear interpolation."""
    return F.interpolate(x.transpose(1, 2), size=frames, mode="linear").transpose(1, 2)
