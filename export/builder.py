"""Nodes and constants of a graph as it is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from sortnet.certificate.rounding import Array


class Builder:
    """Nodes and initializers. Inner values get no declared shapes: nothing needs them."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, array: Any, dtype: Any = np.float32) -> str:
        """A constant, once for each name."""
        if name not in self.initializers:
            value = np.ascontiguousarray(array, dtype=dtype).reshape(np.shape(array))
            self.initializers[name] = numpy_helper.from_array(value, name)
        return name

    def double(self, name: str, array: Array) -> str:
        """A float32 constant cast to float64 in the graph: the file stays small."""
        wide = f"{name}_wide"
        if not any(node.name == wide for node in self.nodes):
            self.add("Cast", [self.constant(name, array)], wide, to=11)
        return wide

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """A node with one output, whose name it gets."""
        return self.add_many(op, inputs, [output], **attributes)[0]

    def add_many(
        self, op: str, inputs: list[str], outputs: list[str], **attributes: Any
    ) -> list[str]:
        """A node named after its first output."""
        node = helper.make_node(op, inputs, outputs, name=outputs[0], **attributes)
        self.nodes.append(node)
        return outputs

    def rename_last(self, name: str) -> None:
        """Give the value of the last node another name."""
        self.nodes[-1].output[0] = name
        self.nodes[-1].name = name
