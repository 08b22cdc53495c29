"""core/devices.py: names of devices, and seeds."""

import random

import numpy as np
import pytest
import torch

from facevc_cli.core.devices import prefers_bfloat16, resolve_device, seed_everything
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


@pytest.mark.parametrize("able", ["_is_amx_tile_supported", "_is_avx512_bf16_supported", None])
def test_bfloat16_is_for_processors_that_multiply_in_it(able: str | None, monkeypatch: pytest.MonkeyPatch):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == able, raising=False)
    assert prefers_bfloat16(torch.device("cpu")) == (able is not None)
    assert not prefers_bfloat16(torch.device("cuda"))
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name)  # as in a torch without them
    assert not prefers_bfloat16(torch.device("cpu"))
