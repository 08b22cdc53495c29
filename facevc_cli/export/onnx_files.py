"""Writes graphs as ONNX files, and compares what onnxruntime computes with what facevc computes."""

import inspect
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facevc_cli import __version__
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.graphs import Graph
from facevc_cli.files.hashes import hash_file

OPSET = 17
TRACED_FRAMES = 90
CHECKED_FRAMES = (61, 430)  # an odd number, and one that takes several windows; neither is the traced one
HALF_FROM = 256  # smaller arrays stay float32
HALF_TOLERANCE = 40.0  # a weight of 16 bits may change a result by so many times the tolerance


@dataclass(frozen=True)
class WrittenGraph:
    """A file that was written and agrees with facevc. difference: the largest, over all outputs."""

    graph: Graph
    file: str
    sha256: str
    bytes: int
    difference: float
    tolerance: float

    def describe(self) -> dict[str, Any]:
        """Returns what model.json says of the file."""
        graph = self.graph
        return {
            "file": self.file,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "purpose": graph.purpose,
            "inputs": {name: list(shape) for name, shape in graph.inputs.items()},
            "outputs": {name: list(shape) for name, shape in graph.outputs.items()},
            "context_frames": graph.context_frames,
            "max_difference": float(f"{self.difference:.3g}"),
            "tolerance": self.tolerance,
            **({"instead_of": graph.instead_of} if graph.instead_of else {}),
            **graph.facts,
        }


def write_graph(graph: Graph, folder: Path, half: bool = False) -> WrittenGraph:
    """Writes NAME.onnx into a folder. The same weights and settings give the same bytes.

    half: stores weights as float16. FaceVCError if the file computes something else than facevc.
    """
    import onnx

    path = folder / f"{graph.name}.onnx"
    _trace(graph, path)
    written = onnx.load(str(path))
    if half:
        _store_half(written)
    _clean(written, graph)
    onnx.checker.check_model(written)
    path.write_bytes(written.SerializeToString(deterministic=True))
    tolerance = graph.tolerance * (HALF_TOLERANCE if half else 1.0)
    difference = measure_difference(graph, path)
    if not difference <= tolerance:
        raise FaceVCError(
            f"{path.name}: onnxruntime computes something else than facevc: expected a difference of at most "
            f"{tolerance:g}, found {difference:g}. Nothing was exported."
            + (" Leave --half out." if half else " Please report it with the versions of torch, onnx and onnxruntime.")
        )
    return WrittenGraph(graph, path.name, hash_file(path), path.stat().st_size, difference, tolerance)


def measure_difference(graph: Graph, path: Path) -> float:
    """Returns the largest difference between a file's outputs and facevc's, over some lengths. NaN counts as one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    largest = 0.0
    for frames in CHECKED_FRAMES:
        inputs = graph.make_inputs(frames)
        with torch.no_grad():
            expected = (graph.reference or graph.module)(*inputs)
        made = session.run(list(graph.outputs), dict(zip(graph.inputs, map(_to_array, inputs), strict=True)))
        wanted = expected if isinstance(expected, tuple) else (expected,)
        for ours, theirs in zip(made, map(_to_array, wanted), strict=True):
            if ours.shape != theirs.shape:
                raise FaceVCError(
                    f"{path.name}: onnxruntime gives the shape {ours.shape} for {frames} frames, expected "
                    f"{theirs.shape}. Nothing was exported."
                )
            largest = max(largest, float(np.nan_to_num(np.abs(ours - theirs), nan=np.inf).max(initial=0.0)))
    return largest


def _to_array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _trace(graph: Graph, path: Path) -> None:
    axes = {
        name: {axis: size for axis, size in enumerate(shape) if isinstance(size, str)}
        for name, shape in {**graph.inputs, **graph.outputs}.items()
    }
    # the exporter that traces needs the package onnx alone; before torch 2.5 it was the only one
    tracing: dict[str, Any] = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of numbers that are constants here, such as the size of a window
        torch.onnx.export(
            graph.module.eval(),
            graph.make_inputs(TRACED_FRAMES),
            str(path),
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes={name: found for name, found in axes.items() if found},
            **tracing,
        )


def _clean(written: Any, graph: Graph) -> None:
    """Leaves nothing in the file that depends on this machine."""
    written.producer_name, written.producer_version = "facevc", __version__
    written.doc_string, written.graph.doc_string, written.graph.name = graph.purpose, "", graph.name
    for node in written.graph.node:
        node.doc_string = ""


def _store_half(written: Any) -> None:
    """Stores the weights as float16 and casts them when the file is loaded. All computing stays float32."""
    import onnx

    casts = []
    for tensor in written.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < HALF_FROM:
            continue
        array, name = onnx.numpy_helper.to_array(tensor), tensor.name
        if np.abs(array).max() > np.finfo(np.float16).max:
            continue
        tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *written.graph.node]
    del written.graph.node[:]
    written.graph.node.extend(nodes)
