"""Reads the two networks as their packages hold them, and runs faceres' own graph, one operation after the other.

The code shares nothing with facevc_cli/faces/networks, so that convert.py can check one by the other.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional


def read_tfjs(path: Path) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Returns the nodes of a TensorFlow.js graph in their order, and its weights by name, float32."""
    graph = json.loads(path.read_text(encoding="utf-8"))
    content = path.with_suffix(".bin").read_bytes()
    weights, offset = {}, 0
    for group in graph["weightsManifest"]:
        for entry in group["weights"]:
            stored = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
            count = int(np.prod(entry["shape"]))
            values = np.frombuffer(content, stored, count, offset)
            weights[entry["name"]] = values.astype(entry["dtype"]).reshape(entry["shape"])
            offset += values.nbytes
    if offset != len(content):
        raise SystemExit(f"{path}: its weights have {len(content)} bytes, expected {offset}.")
    return graph["modelTopology"]["node"], weights


def run_tfjs(nodes: list[dict[str, Any]], weights: dict[str, np.ndarray], pixels: np.ndarray) -> dict[str, np.ndarray]:
    """pixels: (B, H, W, 3) -> what each node gives, by name."""
    values = dict(weights)
    for node in nodes:
        if node["op"] == "Const":
            continue
        given = [values[name.split(":")[0]] for name in node.get("input", [])]
        values[node["name"]] = pixels if node["op"] == "Placeholder" else _run_node(node, given)
    return values


def _run_node(node: dict[str, Any], given: list[np.ndarray]) -> np.ndarray:
    match node["op"]:
        case "Conv2D" | "DepthwiseConv2dNative":
            return _convolve(*given, _read_stride(node), node["op"] == "DepthwiseConv2dNative")
        case "Add":
            return given[0] + given[1]
        case "Mul":
            return given[0] * given[1]
        case "Relu":
            return np.maximum(given[0], 0)
        case "Minimum":
            return np.minimum(given[0], given[1])
        case "Maximum":
            return np.maximum(given[0], given[1])
        case "Mean":
            return given[0].mean(tuple(np.ravel(given[1]).tolist()))
        case "_FusedMatMul":  # x @ kernel + bias, then ReLU if it says so
            x = given[0] @ given[1] + given[2]
            return np.maximum(x, 0) if "UmVsdQ==" in node["attr"]["fused_ops"]["list"]["s"] else x
        case "Sigmoid":
            return 1 / (1 + np.exp(-given[0]))
        case "Softmax":
            powers = np.exp(given[0] - given[0].max(-1, keepdims=True))
            return powers / powers.sum(-1, keepdims=True)
    raise SystemExit(f"the operation {node['op']} is not known here")


def _read_stride(node: dict[str, Any]) -> int:
    if node["attr"]["padding"]["s"] != "U0FNRQ==":  # base64 of SAME
        raise SystemExit(f"{node['name']}: expected the padding SAME")
    return int(node["attr"]["strides"]["list"]["i"][1])


def _convolve(x: np.ndarray, kernel: np.ndarray, stride: int, depthwise: bool) -> np.ndarray:
    """x: (B, H, W, C), kernel: (k, k, C, out), or (k, k, C, 1) for each channel alone. Padding as TensorFlow's SAME."""
    size, side = kernel.shape[0], x.shape[1]
    missing = max(0, (-(-side // stride) - 1) * stride + size - side)
    before, after = missing // 2, missing - missing // 2
    padded = torch.from_numpy(
        np.pad(x, ((0, 0), (before, after), (before, after), (0, 0))).transpose(0, 3, 1, 2).copy()
    )
    order = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
    weight = torch.from_numpy(kernel.transpose(order).copy())
    found = functional.conv2d(padded, weight, stride=stride, groups=kernel.shape[2] if depthwise else 1)
    return found.numpy().transpose(0, 2, 3, 1)


def read_onnx(path: Path) -> dict[str, np.ndarray]:
    """Returns the weights of an ONNX graph by name."""
    import onnx
    from onnx.numpy_helper import to_array

    return {tensor.name: to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def run_onnx(path: Path, given: np.ndarray) -> np.ndarray:
    """Runs an ONNX graph of one input and one output."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: given})[0]
