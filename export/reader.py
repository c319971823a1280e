"""Reads an exported ONNX file back into the `Network` it computes, strictly.

Every node is matched, from the outputs back to the input, against the few forms (`forms`) that
docs/certificates.md speaks about; whatever is left over, unknown or differently wired is refused by
name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import SpecError
from sortnet.certificate.rounding import Array

from .format import DOMAIN, READABLE
from .forms import FORM_OF, FORMS, AnyForm, Found, Place
from .functions import check_functions
from .matcher import Matcher
from .wire import (
    Const,
    Input,
    Node,
    RefusedError,
    Result,
    Value,
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

    reach: float32, one for all pixels (format 1) or one for each feature.
    widen: what is taken off the bounds before each affine operation, by its index.
    """

    eps: float
    reach: Array
    slack: float
    widen: dict[int, float]


@dataclass(frozen=True)
class ValueBounds:
    """[lower, upper] holds the value over x +- reach: the tighter of value +- value_reach and of
    interval bounds moved out by slack. Fields as in `IntervalRadius`."""

    eps: float
    reach: Array
    slack: float
    value_reach: float
    widen: dict[int, float]


@dataclass(frozen=True)
class Exported:
    """What a file computes, as derived from its graph.

    Attributes:
        network: what it computes. radius: what it claims, and by which constants.
        version: the lowest format version that could hold it. metadata: not believed.
    """

    network: Network
    radius: MarginRadius | IntervalRadius | ValueBounds
    version: int
    metadata: dict[str, str]


def read_model(model: onnx.ModelProto) -> Exported:
    """Derive the network and the form of its claim from the graph.

    Raises:
        RefusedError: with the name of what is unknown or out of place.
    """
    try:
        return _read(model)
    except SpecError as error:
        raise RefusedError(str(error)) from None


def _read(model: onnx.ModelProto) -> Exported:
    check_model(model)
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    _check_version(metadata)
    outputs, nodes = wire(model.graph)
    match = Matcher()
    shape = input_shape(model.graph)
    version = 2 if "unit" in outputs else 1
    if version == 1 and len(shape) != 3:
        raise RefusedError(f"'input' must be [N, C, H, W], N free, got {[None, *shape]}")
    regression = "value" in outputs
    if regression:
        (logits,) = _squeezed(match, outputs["value"])
    else:
        logits = outputs["logits"]
    steps = _steps(match, logits)
    for step in steps:
        if FORM_OF[type(step.op)].since(step.op) > version:
            raise RefusedError(f"{type(step.op).__name__} of this kind has no place in format 1")
    inside = _inside_of(match, outputs)
    low, high = _box(match, inside, shape, version)
    unit = _unit(match, outputs["unit"], shape) if version > 1 else 1.0
    network = Network(InputSpec(shape, low, high, unit), tuple(step.op for step in steps))
    if network.regression != regression:
        raise RefusedError(f"{network.classes} outputs do not fit {list(outputs)}")
    for before, step in zip(network.shapes, steps, strict=False):
        step.check_units(before)
    kind: MarginRadius | IntervalRadius | ValueBounds
    if regression:
        kind = _value_bounds(match, outputs, network, inside)
    else:
        label = outputs["label"]
        (labelled,) = match.take(label, "ArgMax", 1, axis=1, keepdims=0, select_last_index=0)
        match.same_value(labelled, logits, "label")
        kind = _radius(match, outputs["radius"], logits, label, network, version)
    for node in nodes:
        if id(node) not in match.visited:
            raise RefusedError(f"node {node.name!r} ({node.op}) has no place in the format")
    for tensor in model.graph.initializer:
        if tensor.name not in match.constants:
            raise RefusedError(f"initializer {tensor.name!r} has no place in the format")
    _check_outputs(model.graph, network)
    used = {node.op for node in nodes if node.domain == DOMAIN}
    check_functions(model, used)
    try:
        onnx.checker.check_model(_without_weights(model), full_check=True)
    except Exception as error:
        reason = str(error).strip().splitlines() or [repr(error)]
        raise RefusedError(f"ONNX's checker refuses the file: {reason[0]}") from None
    return Exported(network, kind, version, metadata)


def _check_version(metadata: dict[str, str]) -> None:
    """The one use of metadata, which can only refuse: a file of a later version may mean more than
    is seen here. Without a version the graph alone decides, as always."""
    known = [str(version) for version in READABLE]
    version = metadata.get("sortnet.format_version", known[-1])
    if version not in known:
        raise RefusedError(
            f"the file has format version {version!r}; this release reads {', '.join(known)}"
        )


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
    expected: dict[str, tuple[int, list[int | None]]] = {
        "logits": (TensorProto.FLOAT, [None, network.classes]),
        "label": (TensorProto.INT64, [None]),
        "radius": (TensorProto.FLOAT, [None]),
        "value": (TensorProto.FLOAT, [None]),
        "lower": (TensorProto.FLOAT, [None]),
        "upper": (TensorProto.FLOAT, [None]),
        "eps": (TensorProto.FLOAT, []),
        "unit": (TensorProto.FLOAT, list(network.input_shape)),
    }
    for info in graph.output:
        element, shape = expected[info.name]
        if tensor_shape(info, element) != shape:
            raise RefusedError(f"output {info.name!r} must be declared as {shape}")


def _name(node: Node) -> str:
    return f"{node.domain}::{node.op}" if node.domain else node.op


def _form(match: Matcher, value: Value) -> AnyForm:
    """The form with the longest tail that fits the last nodes behind ``value``."""
    last = match.node(value)
    names: list[str] = []
    node: Node | None = last
    while node is not None and len(names) < _LONGEST:
        names.append(_name(node))
        before = node.inputs[0] if node.inputs else None
        node = before.node if isinstance(before, Result) else None
    for length in range(len(names), 0, -1):
        if (form := _BY_TAIL.get(tuple(names[:length]))) is not None:
            return form
    raise RefusedError(f"node {last.name!r}: operation {last.domain}::{last.op} is not known")


_BY_TAIL = {form.tail: form for form in FORMS}
_LONGEST = max(map(len, _BY_TAIL))


def _steps(match: Matcher, logits: Value) -> list[Found]:
    """The operations behind ``logits``, first to last."""
    steps: list[Found] = []
    value = logits
    while not isinstance(value, Input):
        steps.append(_form(match, value).recognise(match, value))
        value = steps[-1].source
    return steps[::-1]


def _inside_of(match: Matcher, outputs: dict[str, Value]) -> Value:
    """The box test behind the claim."""
    if "value" in outputs:
        return match.take(outputs["lower"], "Where", 3)[0]
    condition, sure, _ = match.take(outputs["radius"], "Where", 3)
    if isinstance(sure, Const):
        return match.take(condition, "And", 2)[1]
    return condition


def _box(
    match: Matcher, inside: Value, shape: tuple[int, ...], version: int
) -> tuple[Array, Array]:
    """The ends of the box that an input is tested for."""
    least, zero = match.take(inside, "Greater", 2)
    match.expect(zero, 0.0, np.float32, "box test")
    numbers, axes = match.take(least, "ReduceMin", 2, keepdims=0)
    match.expect(axes, list(range(1, len(shape) + 1)), np.int64, "box test axes")
    (both,) = match.take(numbers, "Cast", 1, to=TensorProto.FLOAT)
    above, below = match.take(both, "And", 2)
    ends = []
    for side, name, bound in ((above, "GreaterOrEqual", 0.0), (below, "LessOrEqual", 1.0)):
        x, limit = match.take(side, name, 2)
        match.input(x)
        if version == 1:
            match.expect(limit, bound, np.float32, "box")
        ends.append(match.array(limit, np.float32, 0 if version == 1 else len(shape), "box"))
    return ends[0], ends[1]


def _unit(match: Matcher, value: Value, shape: tuple[int, ...]) -> Array:
    (unit,) = match.take(value, "Identity", 1)
    return match.array(unit, np.float32, len(shape), "unit")


def _squeezed(match: Matcher, value: Value) -> tuple[Value]:
    x, axis = match.take(value, "Squeeze", 2)
    match.expect(axis, [1], np.int64, "axis of the value")
    return (x,)


def _radius(
    match: Matcher, radius: Value, logits: Value, label: Value, network: Network, version: int
) -> MarginRadius | IntervalRadius:
    condition, sure, zero = match.take(radius, "Where", 3)
    match.expect(zero, 0.0, np.float32, "radius of uncertified inputs")
    if isinstance(sure, Const):
        return _interval(match, condition, sure, label, network, version)
    scaled, zero = match.take(sure, "Max", 2)
    match.expect(zero, 0.0, np.float32, "least radius")
    sure_margin, scale = match.take(scaled, "Mul", 2)
    margin, slack = match.take(sure_margin, "Sub", 2)
    best, runner = match.take(margin, "Sub", 2)
    top = []
    for place, value in enumerate((best, runner)):
        top2, index = match.take(value, "Gather", 2, axis=1)
        match.expect(index, place, np.int64, "rank of a logit")
        x, count = match.take(top2, "TopK", 2, outputs=2, axis=1, largest=1, sorted=1)
        match.expect(count, [2], np.int64, "number of largest logits")
        match.same_value(x, logits, "margin")
        top.append(top2)
    match.same_value(top[0], top[1], "margin")
    return MarginRadius(match.float(slack, "margin slack"), match.float(scale, "margin scale"))


def _places(network: Network) -> list[Place]:
    return [Place(i, shape, network.classes) for i, shape in enumerate(network.shapes[:-1])]


def _interval(
    match: Matcher, condition: Value, sure: Value, label: Value, network: Network, version: int
) -> IntervalRadius:
    apart, _ = match.take(condition, "And", 2)
    worst, slack = match.take(apart, "Greater", 2)
    places = _places(network)
    last = network.ops[-1]
    form = FORM_OF[type(last)]
    low, high = form.recognise_worst(match, worst, label, last, places[-1])
    for op, at in reversed(list(zip(network.ops[:-1], places, strict=False))):
        low, high = FORM_OF[type(op)].recognise_bounds(match, low, high, op, at)
    reach = _ball(match, low, high, network, version)
    eps = match.float(sure, "eps")
    return IntervalRadius(eps, reach, match.float(slack, "interval slack"), match.widen)


def _value_bounds(
    match: Matcher, outputs: dict[str, Value], network: Network, inside: Value
) -> ValueBounds:
    bounds = []
    amounts = []
    for name, move, tighter, nothing in (
        ("lower", "Sub", "Max", -np.inf),
        ("upper", "Add", "Min", np.inf),
    ):
        condition, best, unknown = match.take(outputs[name], "Where", 3)
        match.same_value(condition, inside, "box test")
        match.expect(unknown, nothing, np.float32, "bound of inputs outside the box")
        flat, near = match.take(best, tighter, 2)
        value, value_reach = match.take(near, move, 2)
        match.same_value(value, outputs["value"], name)
        (moved,) = _squeezed(match, flat)
        bound, slack = match.take(moved, move, 2)
        bounds.append(bound)
        amounts.append((match.float(slack, "slack"), match.float(value_reach, "value reach")))
    if amounts[0] != amounts[1]:
        raise RefusedError("the bounds of the value move by different amounts")
    low, high = bounds
    for op, at in reversed(list(zip(network.ops, _places(network), strict=True))):
        low, high = FORM_OF[type(op)].recognise_bounds(match, low, high, op, at)
    reach = _ball(match, low, high, network, 2)
    (eps,) = match.take(outputs["eps"], "Identity", 1)
    slack_, near_ = amounts[0]
    return ValueBounds(match.float(eps, "eps"), reach, slack_, near_, match.widen)


def _ball(match: Matcher, low: Value, high: Value, network: Network, version: int) -> Array:
    """How far the ball reaches, from its two ends."""
    spec = network.input
    reaches = []
    for value, clip, move, limit in (
        (low, "Max", "Sub", 0.0 if version == 1 else spec.low),
        (high, "Min", "Add", 1.0 if version == 1 else spec.high),
    ):
        moved, bound = match.take(value, clip, 2)
        match.expect(bound, limit, np.float32, "box")
        x, reach = match.take(moved, move, 2)
        match.input(x)
        ndim = 0 if version == 1 else len(spec.shape)
        reaches.append(match.array(reach, np.float32, ndim, "reach"))
    if not np.array_equal(reaches[0], reaches[1]) or reaches[0].shape not in ((), spec.shape):
        raise RefusedError("the ball has two different radii")
    return reaches[0]
