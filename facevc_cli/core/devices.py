"""Choose the device, and set the seed."""

import random
from typing import TYPE_CHECKING

from facevc_cli.core.choices import check_device
from facevc_cli.core.errors import UsageError

if TYPE_CHECKING:
    import torch


def resolve_device(name: str = "auto") -> "torch.device":
    """'auto' (cuda, else mps, else cpu), 'cpu', 'cuda', 'cuda:N' or 'mps'; UsageError if this machine lacks it."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(check_device(name))
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise UsageError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices for torch. Use --device auto."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps: torch finds no Apple GPU here. Use --device auto.")
    return device


def prefers_bfloat16(device: "torch.device") -> bool:
    """Whether the device is a CPU that multiplies in bfloat16 (AMX, or AVX-512 BF16).

    HiFi-GAN and the content encoder run two to three times as fast on it, with the same predicted MOS.
    """
    import torch

    checks = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("amx_tile", "avx512_bf16"))
    return device.type == "cpu" and any(is_supported is not None and is_supported() for is_supported in checks)


def seed_everything(seed: int) -> None:
    """Seed the random generators of Python, numpy and torch."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
