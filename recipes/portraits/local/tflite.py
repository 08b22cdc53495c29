"""Reads and runs networks of TensorFlow Lite, with the packages that fetch.py put into a folder."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

DTYPES = {0: np.float32, 1: np.float16, 2: np.int32}


def use_packages(packages: Path) -> None:
    for folder in (packages / "litert", packages):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def read_operations(path: Path) -> list[tuple[str, list[Any], int]]:
    """Returns each operation in order: its name, what it takes (an array, or the number of a tensor), what it gives."""
    schema = importlib.import_module("schema_py_generated")
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    graph = model.Subgraphs(0)
    arrays: dict[int, np.ndarray] = {}
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        content = model.Buffers(tensor.Buffer())
        if content.DataLength():
            values = content.DataAsNumpy().view(DTYPES[tensor.Type()])
            arrays[i] = values.reshape(tensor.ShapeAsNumpy() if tensor.ShapeLength() else ())
    operations = []
    for k in range(graph.OperatorsLength()):
        operation = graph.Operators(k)
        code = model.OperatorCodes(operation.OpcodeIndex())
        name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        given = [arrays.get(int(i), int(i)) for i in operation.InputsAsNumpy()]
        made = int(operation.OutputsAsNumpy()[0])
        if name == "DEQUANTIZE" and isinstance(given[0], np.ndarray):
            arrays[made] = given[0].astype(np.float32)
        else:
            operations.append((name, given, made))
    return operations


class Interpreter:
    """The original network, run by its own interpreter."""

    def __init__(self, path: Path):
        made = importlib.import_module("ai_edge_litert.interpreter").Interpreter(str(path), num_threads=1)
        made.allocate_tensors()
        self._made, self._input = made, made.get_input_details()[0]

    def run(self, pixels: np.ndarray) -> list[np.ndarray]:
        """(1, H, W, 3) float32 -> its outputs."""
        self._made.set_tensor(self._input["index"], pixels.astype(np.float32))
        self._made.invoke()
        return [self._made.get_tensor(detail["index"]) for detail in self._made.get_output_details()]
