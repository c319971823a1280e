"""Elementary matches of a graph as it is read: nodes, constants, and which value is which."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from sortnet.certificate.operations import Operation
from sortnet.certificate.rounding import Array

from .wire import Const, Input, Node, RefusedError, Result, Value


class Matcher:
    """Takes a graph apart from its outputs on, and remembers what it has seen.

    Attributes:
        visited: ids of the nodes that were matched. constants: names of those that were read.
        widen: what is taken off interval bounds before an operation, by its index.
    """

    def __init__(self) -> None:
        self.visited: set[int] = set()
        self.constants: set[str] = set()
        self.widen: dict[int, float] = {}

    def node(self, value: Value) -> Node:
        """The node that computes ``value``."""
        if not isinstance(value, Result):
            raise RefusedError(f"{value.name!r} is used where a computed value belongs")
        self.visited.add(id(value.node))
        return value.node

    def take(
        self,
        value: Value,
        op: str,
        count: int,
        domain: str = "",
        output: int = 0,
        outputs: int = 1,
        **attributes: Any,
    ) -> tuple[Value, ...]:
        """The inputs of the node behind ``value``, which must be exactly this operation."""
        node = self.node(value)
        assert isinstance(value, Result)
        if (node.op, node.domain) != (op, domain):
            raise RefusedError(f"node {node.name!r} is {node.op!r} where {op!r} belongs")
        if node.attributes != attributes:
            raise RefusedError(
                f"node {node.name!r} ({op}) has attributes {node.attributes}, expected {attributes}"
            )
        if len(node.inputs) != count:
            raise RefusedError(
                f"node {node.name!r} ({op}) has {len(node.inputs)} inputs, not {count}"
            )
        if node.outputs != outputs:
            raise RefusedError(
                f"node {node.name!r} ({op}) has {node.outputs} outputs, not {outputs}"
            )
        if value.index != output:
            raise RefusedError(f"output {value.index} of node {node.name!r} ({op}) is misused")
        return node.inputs

    def same_value(self, a: Value, b: Value, what: str) -> None:
        """Whether two values are one."""
        same = (
            a.node is b.node and a.index == b.index
            if isinstance(a, Result) and isinstance(b, Result)
            else a is b
        )
        if not same:
            raise RefusedError(f"{what} is wired to the wrong value")

    def input(self, value: Value) -> None:
        """Whether a value is the graph's input."""
        if not isinstance(value, Input):
            raise RefusedError("something else is used where the input belongs")

    def array(self, value: Value, dtype: Any, ndim: int, what: str) -> Array:
        """A constant of this type and number of dimensions."""
        if not isinstance(value, Const):
            raise RefusedError(f"{what} must be a constant of the file")
        self.constants.add(value.name)
        array = value.array
        if array.dtype != dtype or array.ndim != ndim:
            raise RefusedError(
                f"{what} ({value.name!r}) must be {np.dtype(dtype)} with {ndim} dimension(s), "
                f"got {array.dtype} {array.shape}"
            )
        return array

    def float(self, value: Value, what: str) -> float:
        """A float32 scalar."""
        return float(self.array(value, np.float32, 0, what))

    def floats(self, value: Value, what: str) -> Any:
        """A float32 scalar, or an array of one float32 for each feature."""
        if isinstance(value, Const) and value.tensor.dims:
            return self.array(value, np.float32, len(value.tensor.dims), what)
        return self.float(value, what)

    def expect(self, value: Value, expected: Any, dtype: Any, what: str) -> None:
        """Whether a value is this very constant."""
        array = self.array(value, dtype, np.ndim(expected), what)
        if not np.array_equal(array, np.asarray(expected, dtype=dtype)):
            raise RefusedError(f"{what} must be {expected}, got {array}")

    def own_class(self, mine: Value, label: Value, classes: int) -> Value:
        """The label as a column, from the mask of its class."""
        own, numbers = self.take(mine, "Equal", 2)
        self.expect(numbers, list(range(classes)), np.int64, "class numbers")
        x, axis = self.take(own, "Unsqueeze", 2)
        self.expect(axis, [1], np.int64, "axis of the classes")
        self.same_value(x, label, "class mask")
        return own


def same(a: Operation, b: Operation) -> bool:
    """Whether two operations are the same bit by bit."""
    if type(a) is not type(b):
        return False
    for entry in fields(a):  # type: ignore[arg-type]  # operations are dataclasses
        x, y = getattr(a, entry.name), getattr(b, entry.name)
        if x is y:
            continue
        if isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
            x, y = np.asarray(x), np.asarray(y)
            if x.dtype != y.dtype or x.shape != y.shape or x.tobytes() != y.tobytes():
                return False
        elif isinstance(x, Operation):
            if not same(x, y):
                return False
        elif x != y:
            return False
    return True
