"""Reads an exported ONNX file back into the `Network` it computes, strictly.

Every node is matched, from the outputs back to the input, against the few forms that `graph` can
emit and that docs/certificates.md speaks about; whatever is left over, unknown or differently
wired is refused by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from sortnet.certificate.network import (
    Activation,
    Affine,
    Array,
    Bias,
    Flatten,
    GroupSort,
    Negate,
    Network,
    Normalize,
    Op,
    Shift,
    SortConv,
    SortNeuron,
    SpecError,
)

from .functions import DOMAIN
from .wire import (
    Const,
    Input,
    Node,
    RefusedError,
    Result,
    Value,
    check_functions,
    check_model,
    input_shape,
    tensor_shape,
    wire,
)


@dataclass(frozen=True)
class MarginRadius:
    """radius = max(0, (top1 - top2 - slack) * scale)."""

    slack: float
    scale: float


@dataclass(frozen=True)
class IntervalRadius:
    """radius = eps where bounds over x +- reach are more than slack apart, else 0.

    widen: what is taken off the bounds before each affine operation, by its index.
    """

    eps: float
    reach: float
    slack: float
    widen: dict[int, float]


@dataclass(frozen=True)
class Exported:
    """What a file computes, as derived from its graph."""

    network: Network
    radius: MarginRadius | IntervalRadius
    metadata: dict[str, str]


def read_model(model: onnx.ModelProto) -> Exported:
    """Derive the network and the form of its radius from the graph.

    Raises:
        RefusedError: with the name of what is unknown or out of place.
    """
    try:
        return _read(model)
    except SpecError as error:
        raise RefusedError(str(error)) from None


def _read(model: onnx.ModelProto) -> Exported:
    check_model(model)
    outputs, nodes = wire(model.graph)
    reader = _Reader()
    logits, label, radius = outputs
    network = reader.network(logits, input_shape(model.graph))
    reader.label(label, logits)
    kind = reader.radius(radius, logits, label, network)
    for node in nodes:
        if id(node) not in reader.visited:
            raise RefusedError(f"node {node.name!r} ({node.op}) has no place in the format")
    for tensor in model.graph.initializer:
        if tensor.name not in reader.constants:
            raise RefusedError(f"initializer {tensor.name!r} has no place in the format")
    _check_outputs(model.graph, network)
    used = {node.op for node in nodes if node.domain == DOMAIN}
    check_functions(model, used)
    try:
        onnx.checker.check_model(_without_weights(model), full_check=True)
    except Exception as error:
        reason = str(error).strip().splitlines() or [repr(error)]
        raise RefusedError(f"ONNX's checker refuses the file: {reason[0]}") from None
    return Exported(network, kind, {prop.key: prop.value for prop in model.metadata_props})


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with large weights as inputs of their shape, so that it is quick to check."""
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    graph = light.graph
    for name in ("node", "input", "output"):
        getattr(graph, name).extend(getattr(model.graph, name))
    graph.name = model.graph.name
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= 64:
            graph.initializer.append(tensor)
        else:
            dims = list(tensor.dims)
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))
    return light


def _check_outputs(graph: onnx.GraphProto, network: Network) -> None:
    expected = {
        "logits": (TensorProto.FLOAT, [None, network.classes]),
        "label": (TensorProto.INT64, [None]),
        "radius": (TensorProto.FLOAT, [None]),
    }
    for info in graph.output:
        element, shape = expected[info.name]
        if tensor_shape(info, element) != shape:
            raise RefusedError(f"output {info.name!r} must be declared as {shape}")


def _same(a: Op, b: Op) -> bool:
    """Whether two operations are the same bit by bit."""
    if type(a) is not type(b):
        return False
    for entry in fields(a):
        x, y = getattr(a, entry.name), getattr(b, entry.name)
        if x is y:
            continue
        if isinstance(x, np.ndarray):
            if x.dtype != y.dtype or x.shape != y.shape or x.tobytes() != y.tobytes():
                return False
        elif isinstance(x, SortNeuron):
            if not _same(x, y):
                return False
        elif x != y:
            return False
    return True


@dataclass(frozen=True)
class _Step:
    """An operation, the value it reads, and the number of units that its nodes are made for."""

    op: Op
    source: Value
    units: int | None = None

    def check_units(self, shape: tuple[int, ...]) -> None:
        if self.units is not None and (self.units,) != shape:
            name = type(self.op).__name__
            raise RefusedError(f"{name} is wired for {self.units} units, its input is {shape}")


_TWO_OUTPUTS = ("TopK", "SortNeuronBounds")


class _Reader:
    """Matches values against the forms of the format, from the outputs back to the input."""

    def __init__(self) -> None:
        self.visited: set[int] = set()
        self.constants: set[str] = set()

    # Elementary matches.

    def _node(self, value: Value) -> Node:
        if not isinstance(value, Result):
            raise RefusedError(f"{value.name!r} is used where a computed value belongs")
        self.visited.add(id(value.node))
        return value.node

    def _take(
        self,
        value: Value,
        op: str,
        count: int,
        domain: str = "",
        output: int = 0,
        **attributes: Any,
    ) -> tuple[Value, ...]:
        """The inputs of the node behind ``value``, which must be exactly this operation."""
        node = self._node(value)
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
        outputs = 2 if op in _TWO_OUTPUTS else 1
        if node.outputs != outputs:
            raise RefusedError(
                f"node {node.name!r} ({op}) has {node.outputs} outputs, not {outputs}"
            )
        if value.index != output:
            raise RefusedError(f"output {value.index} of node {node.name!r} ({op}) is misused")
        return node.inputs

    def _same_value(self, a: Value, b: Value, what: str) -> None:
        same = (
            a.node is b.node and a.index == b.index
            if isinstance(a, Result) and isinstance(b, Result)
            else a is b
        )
        if not same:
            raise RefusedError(f"{what} is wired to the wrong value")

    def _array(self, value: Value, dtype: Any, ndim: int, what: str) -> Array:
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

    def _float(self, value: Value, what: str) -> float:
        return float(self._array(value, np.float32, 0, what))

    def _expect(self, value: Value, expected: Any, dtype: Any, what: str) -> None:
        array = self._array(value, dtype, np.ndim(expected), what)
        if not np.array_equal(array, np.asarray(expected, dtype=dtype)):
            raise RefusedError(f"{what} must be {expected}, got {array}")

    # The network.

    def network(self, logits: Value, input_shape: tuple[int, ...]) -> Network:
        steps: list[_Step] = []
        value = logits
        while not isinstance(value, Input):
            steps.append(self._step(value))
            value = steps[-1].source
        steps.reverse()
        network = Network(input_shape, tuple(step.op for step in steps))
        for index, step in enumerate(steps):
            step.check_units(network.shapes[index])
        return network

    def _step(self, value: Value) -> _Step:
        """The last operation behind ``value``."""
        node = self._node(value)
        match node.domain, node.op:
            case _, "SortNeuron" if node.domain == DOMAIN:
                neuron, x = self._neuron(value)
                return _Step(neuron, x)
            case "", "Neg":
                (x,) = self._take(value, "Neg", 1)
                return _Step(Negate(), x)
            case "", ("Relu" | "Abs" | "Tanh"):
                (x,) = self._take(value, node.op, 1)
                return _Step(Activation(node.op.lower()), x)
            case "", "Div":
                centered, std = self._take(value, "Div", 2)
                x, mean = self._take(centered, "Sub", 2)
                op = Normalize(self._float(mean, "mean"), self._float(std, "std"))
                return _Step(op, x)
            case "", "Sub":
                x, values = self._take(value, "Sub", 2)
                return _Step(Shift(self._array(values, np.float32, 1, "shift")), x)
            case "", "Add":
                x, values = self._take(value, "Add", 2)
                return _Step(Bias(self._array(values, np.float32, 1, "bias")), x)
            case "", "Cast":
                return _Step(*self._affine(value))
            case "", "Flatten":
                return self._flatten(value)
        raise RefusedError(f"node {node.name!r}: operation {node.domain}::{node.op} is not known")

    def _neuron(self, value: Value) -> tuple[SortNeuron, Value]:
        node = self._node(value)
        rho, k = self._coefficients(node)
        x, W = self._take(value, "SortNeuron", 2, DOMAIN, rho=rho, k=k)
        return SortNeuron(self._array(W, np.float32, 2, "W"), rho, k), x

    def _coefficients(self, node: Node) -> tuple[float, int]:
        rho, k = node.attributes.get("rho"), node.attributes.get("k")
        if type(rho) is not float or type(k) is not int:
            raise RefusedError(f"node {node.name!r} needs the attributes rho (float) and k (int)")
        return rho, k

    def _affine(self, value: Value) -> tuple[Affine, Value]:
        (wide,) = self._take(value, "Cast", 1, to=TensorProto.FLOAT)
        x, W, b = self._take(wide, "Gemm", 3, transB=1)
        (x,) = self._take(x, "Cast", 1, to=TensorProto.DOUBLE)
        return Affine(self._wide(W, 2, "W"), self._wide(b, 1, "b")), x

    def _wide(self, value: Value, ndim: int, what: str) -> Array:
        (single,) = self._take(value, "Cast", 1, to=TensorProto.DOUBLE)
        return self._array(single, np.float32, ndim, what)

    def _flatten(self, value: Value) -> _Step:
        (inner,) = self._take(value, "Flatten", 1, axis=1)
        before = inner.node.op if isinstance(inner, Result) else ""
        if before == "TopK":
            grouped, count = self._take(inner, "TopK", 2, axis=-1, largest=1, sorted=1)
            size = self._array(count, np.int64, 1, "group size")
            x, shape = self._take(grouped, "Reshape", 2)
            to = self._array(shape, np.int64, 1, "groups")
            if size.shape != (1,) or to.shape != (3,) or to[0] != -1 or to[2] != size[0]:
                raise RefusedError(f"groups {to.tolist()} do not fit group size {size.tolist()}")
            if to[1] < 1 or to[1] * to[2] > 2**31:
                raise RefusedError(f"groups {to.tolist()} are out of range")
            return _Step(GroupSort(int(size[0])), x, int(to[1] * to[2]))
        if before == "Transpose":
            neuron_value, positions, outputs = self._unpatch(inner)
            neuron, rows = self._neuron(neuron_value)
            patches, x = self._patches(rows)
            if patches.shape[0] != positions or outputs != len(neuron.W):
                raise RefusedError("a convolution's shapes do not fit its weights")
            return _Step(SortConv(patches, neuron), x)
        return _Step(Flatten(), inner)

    def _unpatch(self, transposed: Value) -> tuple[Value, int, int]:
        (split,) = self._take(transposed, "Transpose", 1, perm=[0, 2, 1])
        y, to = self._take(split, "Reshape", 2)
        shape = self._array(to, np.int64, 1, "positions").tolist()
        if len(shape) != 3 or shape[0] != -1 or min(shape[1:]) < 1:
            raise RefusedError(f"positions {shape} must be [-1, P, O]")
        return y, shape[1], shape[2]

    def _patches(self, rows: Value) -> tuple[Array, Value]:
        """Patch indices and the value they point into, to which one zero is appended."""
        flat, to = self._take(rows, "Reshape", 2)
        shape = self._array(to, np.int64, 1, "patch size").tolist()
        x, places = self._take(flat, "Gather", 2, axis=1)
        indices = self._array(places, np.int64, 1, "patches")
        if len(shape) != 2 or shape[0] != -1 or shape[1] < 1 or len(indices) % shape[1]:
            raise RefusedError(f"patch size {shape} does not fit {len(indices)} indices")
        x, pads = self._take(x, "Pad", 2)
        self._expect(pads, [0, 0, 0, 1], np.int64, "padding")
        return indices.reshape(-1, shape[1]), x

    # Label and radius.

    def label(self, label: Value, logits: Value) -> None:
        (x,) = self._take(label, "ArgMax", 1, axis=1, keepdims=0, select_last_index=0)
        self._same_value(x, logits, "label")

    def radius(
        self, radius: Value, logits: Value, label: Value, network: Network
    ) -> MarginRadius | IntervalRadius:
        condition, sure, zero = self._take(radius, "Where", 3)
        self._expect(zero, 0.0, np.float32, "radius of uncertified inputs")
        if isinstance(sure, Const):
            return self._interval(condition, sure, label, network)
        self._inside(condition)
        scaled, zero = self._take(sure, "Max", 2)
        self._expect(zero, 0.0, np.float32, "least radius")
        sure_margin, scale = self._take(scaled, "Mul", 2)
        margin, slack = self._take(sure_margin, "Sub", 2)
        best, runner = self._take(margin, "Sub", 2)
        top = []
        for place, value in enumerate((best, runner)):
            top2, index = self._take(value, "Gather", 2, axis=1)
            self._expect(index, place, np.int64, "rank of a logit")
            x, count = self._take(top2, "TopK", 2, axis=1, largest=1, sorted=1)
            self._expect(count, [2], np.int64, "number of largest logits")
            self._same_value(x, logits, "margin")
            top.append(top2)
        self._same_value(top[0], top[1], "margin")
        return MarginRadius(self._float(slack, "margin slack"), self._float(scale, "margin scale"))

    def _inside(self, value: Value) -> None:
        least, zero = self._take(value, "Greater", 2)
        self._expect(zero, 0.0, np.float32, "box test")
        numbers, axes = self._take(least, "ReduceMin", 2, keepdims=0)
        self._expect(axes, [1, 2, 3], np.int64, "box test axes")
        (both,) = self._take(numbers, "Cast", 1, to=TensorProto.FLOAT)
        above, below = self._take(both, "And", 2)
        for side, name, bound in ((above, "GreaterOrEqual", 0.0), (below, "LessOrEqual", 1.0)):
            x, limit = self._take(side, name, 2)
            self._input(x)
            self._expect(limit, bound, np.float32, "box")

    def _input(self, value: Value) -> None:
        if not isinstance(value, Input):
            raise RefusedError("something else is used where the input belongs")

    def _interval(
        self, condition: Value, sure: Value, label: Value, network: Network
    ) -> IntervalRadius:
        apart, inside = self._take(condition, "And", 2)
        self._inside(inside)
        worst, slack = self._take(apart, "Greater", 2)
        widen: dict[int, float] = {}
        if isinstance(network.ops[-1], Affine):
            index = len(network.ops) - 1
            low, high = self._pairwise(worst, label, network)
            low, high = self._widened(low, high, index, widen)
        else:
            index = len(network.ops)
            best, rival = self._take(worst, "Sub", 2)
            masks = []
            sides = []
            for value, mine_first in ((best, True), (rival, False)):
                picked, axis = self._take(value, "ReduceMax", 2, keepdims=0)
                self._expect(axis, [1], np.int64, "axis of the classes")
                mine, first, second = self._take(picked, "Where", 3)
                bound, never = (first, second) if mine_first else (second, first)
                self._expect(never, -np.inf, np.float32, "masked logit")
                masks.append(mine)
                sides.append(bound)
            self._same_value(masks[0], masks[1], "class mask")
            self._own_class(masks[0], label, network.classes)
            low, high = sides
        reach = self._ball(low, high, network, index, widen)
        eps = self._float(sure, "eps")
        return IntervalRadius(eps, reach, self._float(slack, "interval slack"), widen)

    def _own_class(self, mine: Value, label: Value, classes: int) -> Value:
        own, numbers = self._take(mine, "Equal", 2)
        self._expect(numbers, list(range(classes)), np.int64, "class numbers")
        x, axis = self._take(own, "Unsqueeze", 2)
        self._expect(axis, [1], np.int64, "axis of the classes")
        self._same_value(x, label, "class mask")
        return own

    def _pairwise(self, worst: Value, label: Value, network: Network) -> tuple[Value, Value]:
        """Bounds of the last affine operation's input, from the worst difference of its rows."""
        op = network.ops[-1]
        assert isinstance(op, Affine)
        others, axis = self._take(worst, "ReduceMin", 2, keepdims=0)
        self._expect(axis, [1], np.int64, "axis of the classes")
        mine, ever, single = self._take(others, "Where", 3)
        self._expect(ever, np.inf, np.float32, "masked difference")
        own = self._own_class(mine, label, network.classes)
        (wide,) = self._take(single, "Cast", 1, to=TensorProto.FLOAT)
        flat, biases = self._take(wide, "Add", 2)
        own_bias, b = self._take(biases, "Sub", 2)
        both, axis = self._take(flat, "Squeeze", 2)
        self._expect(axis, [2], np.int64, "axis of the differences")
        bounds = []
        rows = []
        for product, part in zip(self._take(both, "Add", 2), ("Max", "Min"), strict=True):
            differences, column = self._take(product, "MatMul", 2)
            row, zero = self._take(differences, part, 2)
            self._expect(zero, 0.0, np.float64, "sign test")
            bound, axis = self._take(column, "Unsqueeze", 2)
            self._expect(axis, [2], np.int64, "axis of the differences")
            bounds.append(bound)
            rows.append(row)
        self._same_value(rows[0], rows[1], "row differences")
        own_row, W = self._take(rows[0], "Sub", 2)
        for gathered, table in ((own_row, W), (own_bias, b)):
            source, index = self._take(gathered, "Gather", 2, axis=0)
            self._same_value(source, table, "row of the label")
            self._same_value(index, own, "row of the label")
        if not _same(Affine(self._wide(W, 2, "W"), self._wide(b, 1, "b")), op):
            raise RefusedError(
                "the bounds of the last operation use other weights than the network"
            )
        return bounds[0], bounds[1]

    def _widened(
        self, low: Value, high: Value, index: int, widen: dict[int, float]
    ) -> tuple[Value, Value]:
        sides = []
        amounts = []
        for value, name in ((low, "Sub"), (high, "Add")):
            (single,) = self._take(value, "Cast", 1, to=TensorProto.DOUBLE)
            x, amount = self._take(single, name, 2)
            sides.append(x)
            amounts.append(self._float(amount, "widening"))
        if amounts[0] != amounts[1]:
            raise RefusedError("bounds are widened by different amounts")
        widen[index] = amounts[0]
        return sides[0], sides[1]

    def _ball(
        self, low: Value, high: Value, network: Network, stop: int, widen: dict[int, float]
    ) -> float:
        """Walk bounds of the first ``stop`` operations back to the ball; its reach."""
        for index in reversed(range(stop)):
            low, high = self._bounds_step(low, high, network, index, widen)
        reaches = []
        for value, clip, move, limit in ((low, "Max", "Sub", 0.0), (high, "Min", "Add", 1.0)):
            moved, bound = self._take(value, clip, 2)
            self._expect(bound, limit, np.float32, "box")
            x, reach = self._take(moved, move, 2)
            self._input(x)
            reaches.append(self._float(reach, "reach"))
        if reaches[0] != reaches[1]:
            raise RefusedError("the ball has two different radii")
        return reaches[0]

    def _bounds_step(
        self, low: Value, high: Value, network: Network, index: int, widen: dict[int, float]
    ) -> tuple[Value, Value]:
        op = network.ops[index]
        match op:
            case SortNeuron():
                return self._neuron_bounds(low, high, op)
            case SortConv():
                sides = []
                for value in (low, high):
                    (turned,) = self._take(value, "Flatten", 1, axis=1)
                    y, positions, outputs = self._unpatch(turned)
                    if (positions, outputs) != (len(op.patches), len(op.neuron.W)):
                        raise RefusedError(f"operation {index}: the bounds have another shape")
                    sides.append(y)
                rows = self._neuron_bounds(sides[0], sides[1], op.neuron)
                sides = []
                for value in rows:
                    patches, x = self._patches(value)
                    if not np.array_equal(patches, op.patches):
                        raise RefusedError(f"operation {index}: the bounds use other patches")
                    sides.append(x)
                return sides[0], sides[1]
            case Negate():
                (above,) = self._take(low, "Neg", 1)
                (below,) = self._take(high, "Neg", 1)
                return below, above
            case Activation(kind="abs"):
                below, turned, zero = self._take(low, "Max", 3)
                self._expect(zero, 0.0, np.float32, "bound of an absolute value")
                above, size = self._take(high, "Max", 2)
                self._same_value(self._take(turned, "Neg", 1)[0], above, "absolute value")
                self._same_value(self._take(size, "Neg", 1)[0], below, "absolute value")
                return below, above
            case Affine():
                below, above = self._affine_bounds(low, high, op)
                return self._widened(below, above, index, widen)
        steps = self._step(low), self._step(high)
        for step in steps:
            if not _same(step.op, op):
                raise RefusedError(
                    f"operation {index} ({type(op).__name__}): the bounds compute something else"
                )
            step.check_units(network.shapes[index])
        return steps[0].source, steps[1].source

    def _neuron_bounds(self, low: Value, high: Value, op: SortNeuron) -> tuple[Value, Value]:
        name = "SortNeuronBounds"
        attributes: dict[str, Any] = {"rho": op.rho, "k": op.k}
        below, above, W = self._take(low, name, 3, DOMAIN, 0, **attributes)
        self._take(high, name, 3, DOMAIN, 1, **attributes)
        assert isinstance(low, Result) and isinstance(high, Result)
        if low.node is not high.node:
            raise RefusedError(
                f"bounds come from two nodes, {low.node.name!r} and {high.node.name!r}"
            )
        weights = self._array(W, np.float32, 2, "W")
        if not _same(SortNeuron(weights, op.rho, op.k), op):
            raise RefusedError(f"node {low.node.name!r} uses other weights than the network")
        return below, above

    def _affine_bounds(self, low: Value, high: Value, op: Affine) -> tuple[Value, Value]:
        sides = []
        for value in (low, high):
            (wide,) = self._take(value, "Cast", 1, to=TensorProto.FLOAT)
            up, down = self._take(wide, "Add", 2)
            x, positive, b = self._take(up, "Gemm", 3, transB=1)
            y, negative = self._take(down, "Gemm", 2, transB=1)
            for part, clip in ((positive, "Max"), (negative, "Min")):
                W, zero = self._take(part, clip, 2)
                self._expect(zero, 0.0, np.float64, "sign test")
                if not _same(Affine(self._wide(W, 2, "W"), self._wide(b, 1, "b")), op):
                    raise RefusedError("bounds of an affine operation use other weights")
            sides.append((x, y))
        (below, above), (above_again, below_again) = sides
        self._same_value(below, below_again, "affine bounds")
        self._same_value(above, above_again, "affine bounds")
        return below, above
