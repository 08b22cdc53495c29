"""A light vocoder: HiFi-GAN with convolutions of lower rank.

recipes/vocoder chooses the ranks, solves for the weights, and trains them on HiFi-GAN's waveforms.

A checkpoint is a folder of `model.safetensors` and `config.yaml`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facevc_cli import __version__
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.parsing import dump_yaml, parse_settings, read_text, shorten
from facevc_cli.core.settings import from_dict, to_dict
from facevc_cli.core.tuning import skip_weight_init
from facevc_cli.dsp.mel import MEL_DEFINITIONS
from facevc_cli.files.hashes import hash_file
from facevc_cli.vocoders.definitions import check_sizes, require_definition
from facevc_cli.vocoders.hifigan import Hifigan, HifiganGenerator, HifiganSizes
from facevc_cli.vocoders.weights import check_described

WEIGHTS, CONFIG = "model.safetensors", "config.yaml"
FORMAT, KIND = 2, "light"


def save_light(
    folder: Path, generator: nn.Module, sizes: HifiganSizes, mel: str, step: int, dtype: torch.dtype, origin: str = ""
) -> None:
    """Writes the checkpoint's two files into an existing folder. It does not write atomically.

    dtype: of the weights on disk. origin: one line for people, which says what it was trained on.
    """
    state = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in generator.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors makes the file readable by its owner only
    header = {
        "format": FORMAT,
        "vocoder": KIND,
        "facevc": __version__,
        "step": step,
        "origin": origin,
        "weights_sha256": hash_file(folder / WEIGHTS),
        "audio": MEL_DEFINITIONS[mel].as_settings(),
        "sizes": to_dict(sizes),
    }
    (folder / CONFIG).write_text(dump_yaml(header), encoding="utf-8")


def load_light(folder: Path, mel: str) -> Hifigan:
    """Loads a checkpoint's folder.

    FaceVCError if a file is missing or damaged, the weights do not fit the config, or it was trained on log-mels of
    another definition.
    """
    config, weights = folder / CONFIG, folder / WEIGHTS
    header = read_header(folder)
    require_definition(header["audio"], mel, config)
    state, sizes = read_light_weights(folder, header), read_light_sizes(folder, header)
    check_described(lambda: HifiganGenerator(sizes), state, weights, config)
    with skip_weight_init():
        generator = HifiganGenerator(sizes)
    generator.load_folded(state, weights, config)
    return Hifigan(generator, mel, f"{KIND} {header['weights_sha256'][:8]}")


def load_bundled_light() -> Hifigan:
    """Loads the light vocoder that comes with facevc; mel definition `hifigan`. FaceVCError if it is damaged."""
    vocoder = load_light(Path(__file__).resolve().parent.parent / "assets" / "light", "hifigan")
    vocoder.licence = "MIT"
    return vocoder


def read_header(folder: Path) -> dict[str, Any]:
    """Reads config.yaml. FaceVCError if it is not that of such a checkpoint."""
    config = folder / CONFIG
    header = parse_settings(read_text(config), str(config))
    wanted = {"weights_sha256": str, "audio": dict, "sizes": dict, "step": int}
    if header.get("format") != FORMAT or header.get("vocoder") != KIND:
        raise FaceVCError(
            f"{config}: expected 'vocoder: {KIND}' of format {FORMAT}, found {shorten(header.get('vocoder'))} of "
            f"format {shorten(header.get('format'))}. Copy the vocoder's folder again, or update facevc."
        )
    for name, kind in wanted.items():
        if not isinstance(header.get(name), kind):
            raise FaceVCError(
                f"{config}: {name}: expected {kind.__name__}, found {shorten(header.get(name))}. Copy the vocoder's "
                "folder again."
            )
    return header


def read_light_sizes(folder: Path, header: Mapping[str, Any]) -> HifiganSizes:
    """Reads the hyper-parameters. FaceVCError if one is out of range or contradicts another."""
    config = folder / CONFIG
    try:
        return check_sizes(from_dict(HifiganSizes, header["sizes"], str(config)), config)
    except ValueError as error:
        raise FaceVCError(f"{config}: sizes: {error}. Copy the vocoder's folder again.") from error


def read_light_weights(folder: Path, header: Mapping[str, Any]) -> dict[str, Tensor]:
    """Reads the weights as float32. FaceVCError if their sha256 is not the config's, or one is not finite."""
    path = folder / WEIGHTS
    if not path.is_file() or hash_file(path) != header["weights_sha256"]:
        raise FaceVCError(
            f"{path}: expected the weights with the sha256 {shorten(header['weights_sha256'])} that {CONFIG} names, "
            f"found {'others' if path.is_file() else 'no file'}: the file is damaged or of another training. Copy the "
            "folder again."
        )
    try:
        state = {name: tensor.float() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise FaceVCError(f"{path}: not a whole safetensors file ({error}). Copy the folder again.") from error
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise FaceVCError(f"{path}: {shorten(broken[0])} holds NaN or infinity. Take an earlier checkpoint.")
    return state
