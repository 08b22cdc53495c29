"""Vocoders' checkpoints with small random weights, as their trainers leave them."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import yaml
from helpers.repository import GOLDEN, load_script

from facevc_cli.vocoders.hifigan import HifiganGenerator, HifiganSizes
from facevc_cli.vocoders.light import save_light

REFERENCE = np.load(GOLDEN / "vocoders.npz")
CASES: dict[str, Any] = json.loads(str(REFERENCE["cases"]))
recipe = load_script(GOLDEN / "make_vocoders.py")

FVMVC_AUDIO = {
    "sampling_rate": 16000,
    "fft_size": 400,
    "hop_size": 160,
    "win_length": 400,
    "window": "hann",
    "num_mels": 80,
    "fmin": 80,
    "fmax": 7600,
    "format": "hdf5",
}
HIFIGAN_CONFIG = {
    "resblock": "1",
    "upsample_rates": [8, 8, 4],
    "upsample_kernel_sizes": [16, 16, 8],
    "upsample_initial_channel": 16,
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 2, 3]],
    "num_mels": 80,
    "n_fft": 1024,
    "hop_size": 256,
    "win_size": 1024,
    "sampling_rate": 22050,
    "fmin": 0,
    "fmax": 8000,
}


def write_pwg(folder: Path, case: str, stats: str | None = "h5", **audio: Any) -> Path:
    """A checkpoint of the ParallelWaveGAN repository as its trainer leaves it, unit statistics."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = CASES[case]
    state = {key: torch.from_numpy(recipe.draw(case, key, shape)) for key, shape in facts["shapes"].items()}
    path = folder / "checkpoint-400000steps.pkl"
    torch.save({"model": {"generator": state, "discriminator": {}}, "steps": 400000}, path)
    config = (
        FVMVC_AUDIO
        | {"generator_type": facts["kind"], "generator_params": facts["parameters"], "betas": (0.9, 0.99)}
        | audio
    )
    (folder / "config.yml").write_text(yaml.dump(config, Dumper=yaml.Dumper))  # with python/tuple tags, as theirs
    if stats == "h5":
        with h5py.File(folder / "stats.h5", "w") as file:
            file["mean"], file["scale"] = np.zeros(80), np.ones(80)
    elif stats == "npy":
        np.save(folder / "stats.npy", np.stack([np.zeros(80), np.ones(80)]))
    return path


def tiny_state(sizes: HifiganSizes) -> dict[str, torch.Tensor]:
    """A random generator's weights in one dimension, weight-normalised, of a size that gives sound."""
    torch.manual_seed(0)
    state = {}
    for key, value in HifiganGenerator(sizes).state_dict().items():
        if key.endswith("weight"):
            v = torch.randn_like(value[:, :, 0])
            state[key + "_v"], state[key + "_g"] = v, torch.rand(len(v), 1, 1) + 0.8
        else:
            state[key] = value
    return state


def write_hifigan(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    sizes = HifiganSizes(
        channels=16, rates=(8, 8, 4), kernels=(16, 16, 8), block_kernels=(3, 5), block_dilations=((1, 3, 5), (1, 2, 3))
    )
    torch.save({"generator": tiny_state(sizes)}, folder / "g_02500000")
    (folder / "config.json").write_text(json.dumps(HIFIGAN_CONFIG | changes))
    return folder / "g_02500000"


def write_light(folder: Path, sizes: HifiganSizes, dtype: torch.dtype = torch.float32, spoil: bool = False) -> Path:
    """A light vocoder's folder with random weights; `spoil` puts NaN into one."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    generator = HifiganGenerator(sizes)
    if spoil:
        with torch.no_grad():
            generator.conv_post.bias[0] = torch.nan
    save_light(folder, generator, sizes, "hifigan", 0, dtype)
    return folder
