"""convert.py PACKAGES OUT.safetensors: the two networks as packages hold them -> our modules, float16.

PACKAGES has faceres.json, faceres.bin and gender-v1.onnx; their sha256 are checked. Each module is compared with its
original graph on three drawn pictures: faceres with originals.py, gender-v1 with onnxruntime.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch
from originals import read_onnx, read_tfjs, run_onnx, run_tfjs

from facevc_cli.faces.networks.faceres import BLOCKS, MEANS_BGR, Faceres
from facevc_cli.faces.networks.gender_v1 import MEANS, GenderV1

SHA256 = {
    "faceres.json": "5b83d49c0385d2e68a05122441b94226313677cae9fcc40b9587ad50079eb4df",
    "faceres.bin": "2c7d2d62b76c97528b736527aa09d310ea71743c9e3e79fb6c62d4b2d73af79b",
    "gender-v1.onnx": "d4c4116cf720cde18de28a09071d8e1826bcff7935ef3470052163f3f6b5d734",
}
MOST_APART = 1e-4  # of two float32 runs of one network


def convert_faceres(path: Path) -> Faceres:
    """Its batch normalisation becomes a part of the depthwise convolution before it."""
    _, weights = read_tfjs(path)
    state = {
        "first.weight": weights["conv1/convolution/merged_input"].transpose(3, 2, 0, 1),
        "first.bias": weights["conv1_bn/batchnorm_1/sub"],
    }
    for i in range(len(BLOCKS)):
        n = i + 1
        kernel = weights[f"conv_dw_{n}/depthwise_kernel"].transpose(2, 3, 0, 1)
        scale = weights[f"conv_dw_{n}_bn/batchnorm_1/mul"]
        state[f"blocks.{i}.depthwise.weight"] = kernel * scale[:, None, None, None]
        state[f"blocks.{i}.depthwise.bias"] = weights[f"conv_dw_{n}_bn/batchnorm_1/sub"]
        state[f"blocks.{i}.pointwise.weight"] = weights[f"conv_pw_{n}/convolution/merged_input"].transpose(3, 2, 0, 1)
        state[f"blocks.{i}.pointwise.bias"] = weights[f"conv_pw_{n}_bn/batchnorm_1/sub"]
    network = Faceres()
    network.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    return network.eval().requires_grad_(False)


def convert_gender_v1(path: Path) -> GenderV1:
    """Its scales and offsets become a part of the convolution before them, its two factors of the linear layer."""
    weights = read_onnx(path)
    state = {}
    # the position in `layers`, the ONNX number of the convolution and of its scale
    for place, convolution, scale in ((0, 19, 18), (2, 16, 15), (5, 12, 11), (7, 9, 8)):
        factor, offset = (weights[f"layer_{scale}_{name}"].ravel() for name in ("scale", "offset"))
        state[f"layers.{place}.weight"] = weights[f"layer_{convolution}_weights"] * factor[:, None, None, None]
        state[f"layers.{place}.bias"] = weights[f"layer_{convolution}_bias"] * factor + offset
    for name, layer, factor in (("hidden", 4, "layer_5_scalar"), ("logits", 1, "layer_2_scalar")):
        state[f"{name}.weight"] = (weights[f"layer_{layer}_weights"] * weights[factor]).T
        state[f"{name}.bias"] = weights[f"layer_{layer}_bias"]
    network = GenderV1()
    network.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    return network.eval().requires_grad_(False)


def check(packages: Path, faceres: Faceres, gender: GenderV1, side_px: int = 224) -> None:
    """Ends the run if a module and its original differ by more than rounding."""
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0, 255, (3, side_px, side_px, 3)).astype(np.float32)
    found = faceres(torch.from_numpy(pictures).permute(0, 3, 1, 2)).numpy()
    given = pictures[..., ::-1] - np.array(MEANS_BGR, np.float32)
    expected = run_tfjs(*read_tfjs(packages / "faceres.json"), given)["global_pooling/Mean"]
    _compare("faceres", found, expected)
    pictures = rng.uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    found = gender(torch.from_numpy(pictures).permute(0, 3, 1, 2))[1].softmax(1).numpy()
    given = ((pictures - np.array(MEANS, np.float32)) / 256).transpose(0, 3, 1, 2)
    _compare("gender-v1", found, run_onnx(packages / "gender-v1.onnx", given))


def _compare(name: str, found: np.ndarray, expected: np.ndarray) -> None:
    apart = float(np.abs(found - expected).max())
    print(f"{name}: differs from the original graph by at most {apart:.1e}; its largest number is {expected.max():.3f}")
    if not apart < MOST_APART:
        raise SystemExit(f"{name}: expected less than {MOST_APART:.0e}.")


def main(packages: Path, out: Path) -> None:
    from safetensors.torch import save_file

    for name, expected in SHA256.items():
        found = hashlib.sha256((packages / name).read_bytes()).hexdigest()
        if found != expected:
            raise SystemExit(f"{packages / name}: expected sha256 {expected}, found {found}.")
    networks = {
        "faceres": convert_faceres(packages / "faceres.json"),
        "gender_v1": convert_gender_v1(packages / "gender-v1.onnx"),
    }
    check(packages, networks["faceres"], networks["gender_v1"])
    tensors = {
        f"{name}.{key}": value.half().contiguous()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    save_file(tensors, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
