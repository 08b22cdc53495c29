"""CPU seconds of each exported step with torch and with onnxruntime, on one thread.

    facevc export --onnx exported/ && python benchmarks/onnx.py exported/

Pass --checkpoint and --vocoder as to `facevc export`. The smallest of three times counts.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch

from facevc_cli.conversion.converter import Converter
from facevc_cli.export.collect import collect_graphs

FRAMES = 430  # 5 s
TIMES = 3


def measure(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(TIMES):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exported", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--vocoder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    converter = Converter(arguments.checkpoint, arguments.vocoder, "cpu")
    print(f"{'step':<8} {'torch':>8} {'onnx':>8} {'ratio':>6}")
    for graph in collect_graphs(converter):
        session = onnxruntime.InferenceSession(str(arguments.exported / f"{graph.name}.onnx"), options)
        inputs = graph.make_inputs(FRAMES)
        given = {name: tensor.numpy() for name, tensor in zip(graph.inputs, inputs, strict=True)}
        compute = graph.reference or graph.module
        with torch.inference_mode():
            own = measure(lambda compute=compute, inputs=inputs: compute(*inputs))  # type: ignore[misc]
        theirs = measure(lambda session=session, given=given: session.run(None, given))  # type: ignore[misc]
        print(f"{graph.name:<8} {own:8.3f} {theirs:8.3f} {own / theirs:6.2f}")


if __name__ == "__main__":
    main()
