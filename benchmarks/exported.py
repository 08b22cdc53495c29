"""CPU seconds of each exported step with torch, with onnxruntime, and with matrix products in 8 bits, on one thread.

    facevc export --onnx exported/ && python benchmarks/exported.py exported/

Pass --checkpoint and --vocoder as to `facevc export`. The smallest of three times counts. The error of 8 bits is a
share of the output's RMS. `vocoder_stream` hears 15 of the frames ahead, and returns half of these, too.
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import quantize_dynamic

from facevc_cli.conversion.converter import Converter
from facevc_cli.export.collect import collect_graphs

TIMES = 3


def measure(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(TIMES):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return min(taken)


def quantise(source: Path, made: Path) -> None:
    extra = {"DefaultTensorType": 1}  # float32, for tensors whose kind onnxruntime cannot tell
    quantize_dynamic(source, made, op_types_to_quantize=["MatMul"], extra_options=extra)


def measure_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exported", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--vocoder")
    parser.add_argument("--frames", type=int, default=430, help="430 are 5 s")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    converter = Converter(arguments.checkpoint, arguments.vocoder, "cpu")
    logging.disable(logging.WARNING)  # quantize_dynamic advises a step that changes nothing here
    temporary = tempfile.TemporaryDirectory()
    made = Path(temporary.name) / "int8.onnx"
    print(f"{'step':<14} {'torch':>8} {'onnx':>8} {'MB':>6} {'8 bits':>8} {'MB':>6} {'error':>6}")
    for graph in collect_graphs(converter):
        path = arguments.exported / f"{graph.name}.onnx"
        quantise(path, made)
        sessions = [onnxruntime.InferenceSession(str(file), options) for file in (path, made)]
        inputs = graph.make_inputs(arguments.frames)
        given = {name: tensor.numpy() for name, tensor in zip(graph.inputs, inputs, strict=True)}
        compute = graph.reference or graph.module
        with torch.inference_mode():
            own = measure(lambda compute=compute, inputs=inputs: compute(*inputs))  # type: ignore[misc]
        line = f"{graph.name:<14} {own:8.3f}"
        for session, file in zip(sessions, (path, made), strict=True):
            theirs = measure(lambda session=session, given=given: session.run(None, given))  # type: ignore[misc]
            line += f" {theirs:8.3f} {file.stat().st_size / 1e6:6.1f}"
        exact, rough = (session.run(None, given)[0] for session in sessions)
        print(f"{line} {measure_error(rough, exact):6.3f}", flush=True)


if __name__ == "__main__":
    main()
