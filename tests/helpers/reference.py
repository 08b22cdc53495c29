"""What the published modules compute, and the weights that they computed it with."""

import zlib

import numpy as np
import torch
from helpers.repository import GOLDEN


def load_reference() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "fvmvc_reference.npz") as file:
        return dict(file)


def draw_tensor(scope: str, key: str, shape: list[int], seed: int) -> torch.Tensor:
    """The golden file's recipe for one tensor."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(f"{scope}/{key}".encode()) + seed))
    x = rng.standard_normal(shape).astype(np.float32) if shape else np.float32(0)
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key.endswith(("running_var", "ema_count")):
        x = np.abs(x) + np.float32(0.5)
    elif key.endswith(("embedding", "ema_weight", "_memory")):
        x = np.float32(0.5) * x
    elif len(shape) >= 2:
        x = x / np.sqrt(np.prod(shape[1:]))
    else:
        x = np.float32(0.1) * x + np.float32(key.endswith("weight"))
    return torch.from_numpy(np.asarray(x, dtype=np.float32))
