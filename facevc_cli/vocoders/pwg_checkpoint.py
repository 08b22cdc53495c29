"""Reads checkpoints of the ParallelWaveGAN repository: a .pkl of {'model': {'generator': state dict}}, config.yml,
stats.h5 or .npy.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import parse_yaml, read_text
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.files.arrays import read_npy
from facevc_cli.vocoders import Vocoder
from facevc_cli.vocoders.definitions import check_sizes, require_definition
from facevc_cli.vocoders.hifigan import Hifigan, HifiganGenerator, HifiganSizes
from facevc_cli.vocoders.parallel_wavegan import ParallelWavegan, ParallelWaveganGenerator, ParallelWaveganSizes
from facevc_cli.vocoders.weights import check_described, fold_weight_norm, read_checkpoint

MOST_STATISTICS = 65_536  # numbers in stats.h5; bands take a hundred


class _PlainLoader(yaml.SafeLoader):
    """A SafeLoader that reads Python tuples of yaml.dump as lists, and other Python objects as None."""


def _construct_plain(loader: _PlainLoader, suffix: str, node: yaml.Node) -> Any:
    return loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else None


_PlainLoader.add_multi_constructor("tag:yaml.org,2002:python/", _construct_plain)


def load_pwg(checkpoint: Path, config: Path, mel: str) -> Vocoder:
    """Loads a vocoder from a checkpoint of the ParallelWaveGAN repository, its config.yml, and stats.h5 or stats.npy in
    its folder.

    It knows ParallelWaveGANGenerator and HiFiGANGenerator, and refuses other generators. FaceVCError if a file is
    missing or damaged, the weights do not fit the config, or its audio settings are not those of the mel definition.
    """
    settings = parse_yaml(
        read_text(config, advice=f"Give the config of the vocoder {checkpoint}."),
        str(config),
        loader=_PlainLoader,
        aliases=True,
    )
    if not isinstance(settings, dict) or not isinstance(settings.get("generator_params", {}), dict):
        raise FaceVCError(
            f"{config}: expected the config.yml of a ParallelWaveGAN-repository vocoder (a mapping with "
            "'generator_params')."
        )
    require_definition(read_audio_settings(settings), mel, config)
    content = read_checkpoint(checkpoint)
    model = content.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("generator"), dict):
        raise FaceVCError(
            f"{checkpoint}: expected a checkpoint with 'model' / 'generator' in it, found "
            f"{sorted(map(str, content))[:6]}."
        )
    mean, scale = read_stats(checkpoint.parent, MEL_DEFINITIONS[mel].n_mels)
    kind = str(settings.get("generator_type", "ParallelWaveGANGenerator"))[:80]
    # early configs of the repository misspelt the word
    parameters = {
        str(key).replace("kernal", "kernel"): value for key, value in settings.get("generator_params", {}).items()
    }
    name = f"{kind.removesuffix('Generator')} {checkpoint.name}"
    try:
        sizes = read_native_sizes(kind, parameters)
    except (TypeError, ValueError, ZeroDivisionError, AttributeError) as error:
        raise FaceVCError(f"{config}: 'generator_params' are not those of a {kind} ({error}).") from error
    if isinstance(sizes, ParallelWaveganSizes):
        make_wavegan, state = (
            partial(ParallelWaveganGenerator, check_sizes(sizes, config)),
            fold_weight_norm(model["generator"], checkpoint),
        )
        check_described(make_wavegan, state, checkpoint, config)
        wavegan = make_wavegan()
        wavegan.load_folded(state, checkpoint, config)
        return ParallelWavegan(wavegan, mel, mean, scale, name)
    if isinstance(sizes, HifiganSizes):
        make_hifigan, state = (
            partial(HifiganGenerator, check_sizes(sizes, config)),
            rename_to_hifigan(fold_weight_norm(model["generator"], checkpoint)),
        )
        check_described(make_hifigan, state, checkpoint, config)
        hifigan = make_hifigan()
        hifigan.load_folded(state, checkpoint, config)
        return Hifigan(hifigan, mel, name, mean, scale)
    raise FaceVCError(
        f"{config}: a {kind} with these settings is not supported. Expected a ParallelWaveGANGenerator or a "
        "HiFiGANGenerator that makes one band and is not causal. Give such a checkpoint, or bring the vocoder with a "
        "package of your own (entry point facevc.vocoders)."
    )


def read_audio_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config's audio settings with MelDefinition's names and the repository's defaults."""
    base = settings.get("log_base", 10.0)
    rate, n_fft = settings.get("sampling_rate"), settings.get("fft_size")
    fmin, fmax = settings.get("fmin"), settings.get("fmax")
    return {
        "rate": rate,
        "n_fft": n_fft,
        "win_samples": settings.get("win_length") or n_fft,
        "hop_samples": settings.get("hop_size"),
        "n_mels": settings.get("num_mels"),
        "fmin_hz": 0 if fmin is None else fmin,
        "fmax_hz": rate / 2 if fmax is None and isinstance(rate, int) else fmax,
        "log": "ln" if base is None else f"log{base:g}",
    }


def read_stats(folder: Path, n_mels: int) -> tuple[Tensor, Tensor]:
    """Reads mean and scale, each (n_mels,) float32, from stats.h5 (datasets mean, scale) or stats.npy (two rows)."""
    h5, npy = folder / "stats.h5", folder / "stats.npy"
    try:
        if h5.is_file():
            import h5py

            with h5py.File(h5, "r") as file:
                mean, scale = _read_numbers(file, "mean"), _read_numbers(file, "scale")
        elif npy.is_file():
            rows = read_npy(npy)
            if rows.ndim != 2 or len(rows) < 2:
                raise ValueError(f"an array of the shape {rows.shape}")
            mean, scale = rows[:2]
        else:
            raise FaceVCError(
                f"{folder}: this vocoder wants log-mels standardised with its own corpus statistics, and neither "
                "stats.h5 nor stats.npy is beside its checkpoint. Copy the stats file of its training there."
            )
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise FaceVCError(
            f"{h5 if h5.is_file() else npy}: expected a vocoder's mean and scale, found something else ({error})."
        ) from error
    if (
        mean.size != n_mels
        or scale.size != n_mels
        or not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all())
    ):
        raise FaceVCError(
            f"{h5 if h5.is_file() else npy}: expected a finite mean and a positive scale for each of {n_mels} bands, "
            f"found shapes {mean.shape} and {scale.shape} or values that are neither."
        )
    return torch.from_numpy(mean.reshape(-1).astype(np.float32)), torch.from_numpy(scale.reshape(-1).astype(np.float32))


def _read_numbers(file: Any, name: str) -> np.ndarray:
    """Reads a small dataset of numbers in this file itself. ValueError if it is anything else."""
    import h5py

    dataset = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    if (
        not isinstance(dataset, h5py.Dataset)
        or dataset.dtype.kind not in "fiu"
        or dataset.size > MOST_STATISTICS
        or dataset.is_virtual
        or dataset.external
    ):
        raise ValueError(f"{name} is no small array of numbers in this file")
    return np.asarray(dataset)


def read_native_sizes(kind: str, parameters: Mapping[str, Any]) -> ParallelWaveganSizes | HifiganSizes | None:
    """Returns the native generator's sizes. None if the native code lacks the generator or one of its settings."""
    p = dict(parameters)
    p.pop("use_weight_norm", None)
    p.pop("dropout", None)
    if p.pop("use_causal_conv", False) or p.pop("out_channels", 1) != 1:
        return None
    if kind == "HiFiGANGenerator":
        slope = p.pop("nonlinear_activation_params", {"negative_slope": 0.1}) or {}
        if (
            p.pop("nonlinear_activation", "LeakyReLU") != "LeakyReLU"
            or not p.pop("bias", True)
            or set(slope) - {"negative_slope"}
        ):
            return None
        v1 = HifiganSizes()
        sizes: ParallelWaveganSizes | HifiganSizes = HifiganSizes(
            n_mels=p.pop("in_channels", 80),
            channels=p.pop("channels", 512),
            end_kernel=p.pop("kernel_size", 7),
            rates=tuple(p.pop("upsample_scales", v1.rates)),
            kernels=tuple(p.pop("upsample_kernel_sizes", v1.kernels)),
            block_kernels=tuple(p.pop("resblock_kernel_sizes", v1.block_kernels)),
            block_dilations=tuple(tuple(d) for d in p.pop("resblock_dilations", v1.block_dilations)),
            paired=p.pop("use_additional_convs", True),
            slope=slope.get("negative_slope", 0.01),
        )
    elif kind == "ParallelWaveGANGenerator":
        network = p.pop("upsample_net", "ConvInUpsampleNetwork")
        upsampling = dict(p.pop("upsample_params", {"upsample_scales": [4, 4, 4, 4]}))
        rates, bands = upsampling.pop("upsample_scales", ()), upsampling.pop("freq_axis_kernel_size", 1)
        upsampling = {k: v for k, v in upsampling.items() if v not in (None, {}, False)}
        if (
            upsampling.pop("interpolate_mode", "nearest") != "nearest"
            or not p.pop("upsample_conditional_features", True)
            or network not in ("ConvInUpsampleNetwork", "UpsampleNetwork")
            or p.pop("in_channels", 1) != 1
            or upsampling
        ):
            return None
        sizes = ParallelWaveganSizes(
            n_mels=p.pop("aux_channels", 80),
            kernel=p.pop("kernel_size", 3),
            layers=p.pop("layers", 30),
            stacks=p.pop("stacks", 3),
            residual_channels=p.pop("residual_channels", 64),
            gate_channels=p.pop("gate_channels", 128),
            skip_channels=p.pop("skip_channels", 64),
            context_conv=network == "ConvInUpsampleNetwork",
            context_window=p.pop("aux_context_window", 2),
            rates=tuple(rates),
            band_kernel=bands,
            bias=p.pop("bias", True),
        )
    else:
        return None
    return None if p else sizes


def rename_to_hifigan(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames the keys of the repository's HiFiGANGenerator to those of HiFi-GAN's own repository, which ours are."""
    rules = (
        (r"^input_conv\.", "conv_pre."),
        (r"^upsamples\.(\d+)\.1\.", r"ups.\1."),
        (r"^blocks\.(\d+)\.(convs[12])\.(\d+)\.1\.", r"resblocks.\1.\2.\3."),
        (r"^output_conv\.1\.", "conv_post."),
    )
    renamed = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed
