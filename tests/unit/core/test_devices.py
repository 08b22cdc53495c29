"""core/devices.py: names of devices, and seeds."""

import random

import numpy as np
import pytest
import torch

from facevc_cli.core.devices import resolve_device, seed_everything
from facevc_cli.core.errors import FaceVCError


def test_devices():

    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("cuda:99", "tpu", "cuda:x", "", "meta"):
        with pytest.raises(FaceVCError, match="--device"):
            resolve_device(name)


def test_seed_reaches_every_generator():

    drawn = []
    for _ in range(2):
        seed_everything(5)
        drawn.append((random.random(), float(np.random.rand()), float(torch.rand(1))))
    assert drawn[0] == drawn[1]
    seed_everything(2**40 + 1)  # numpy takes 32 bits
