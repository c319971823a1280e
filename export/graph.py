"""Turns a `Network` into an ONNX model that carries its own certificate.

Two kinds of radius (docs/export.md):

- margin: ``radius = max(0, (top1 - top2 - slack) * scale)`` of the logits, at any size;
- interval: SortNeuronBounds nodes bound the logits over the ball of one declared eps, and
  ``radius`` is eps where the label cannot change, else 0.

Inputs outside [0, 1] or NaN get radius 0 by the graph itself.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sortnet.base.units import float32_up
from sortnet.certificate.analysis import ROOM, Analysis, analyse, ball_reach
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
)

from .functions import DOMAIN, OPSET, functions

FORMAT_VERSION = "1"
IR_VERSION = 8
MAX_BYTES = 2**31 - 2**20
"""Protocol buffers hold less than 2 GiB."""

_KIND = {"relu": "Relu", "abs": "Abs", "tanh": "Tanh"}


class _Builder:
    """Nodes and initializers. Inner values get no declared shapes: nothing needs them."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, array: Any, dtype: Any = np.float32) -> str:
        if name not in self.initializers:
            value = np.ascontiguousarray(array, dtype=dtype).reshape(np.shape(array))
            self.initializers[name] = numpy_helper.from_array(value, name)
        return name

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def pair(self, inputs: list[str], outputs: list[str], op: SortNeuron) -> tuple[str, str]:
        self.nodes.append(
            helper.make_node(
                "SortNeuronBounds",
                inputs,
                outputs,
                name=outputs[0],
                domain=DOMAIN,
                rho=op.rho,
                k=op.k,
            )
        )
        return outputs[0], outputs[1]


def _per_tensor(
    build: _Builder, op: Op, prefix: str, index: int, x: str, before: tuple[int, ...]
) -> str:
    """One operation whose interval bounds are the operation itself on either bound."""
    out = f"{prefix}{index}"
    match op:
        case Normalize():
            mean = build.constant(f"mean{index}", op.mean)
            std = build.constant(f"std{index}", op.std)
            centered = build.add("Sub", [x, mean], f"{out}_centered")
            return build.add("Div", [centered, std], out)
        case Flatten():
            return build.add("Flatten", [x], out, axis=1)
        case Shift() | Bias():
            values = build.constant(f"{op.name.lower()}{index}", op.values)
            return build.add("Sub" if isinstance(op, Shift) else "Add", [x, values], out)
        case GroupSort():
            groups = [before[0] // op.size, op.size]
            count = build.constant(f"group{index}", [op.size], np.int64)
            to = build.constant(f"groups{index}", [-1, *groups], np.int64)
            grouped = build.add("Reshape", [x, to], f"{out}_groups")
            build.nodes.append(
                helper.make_node(
                    "TopK",
                    [grouped, count],
                    [f"{out}_sorted", f"{out}_places"],
                    name=f"{out}_sorted",
                    axis=-1,
                    largest=1,
                    sorted=1,
                )
            )
            return build.add("Flatten", [f"{out}_sorted"], out, axis=1)
        case Activation():
            return build.add(_KIND[op.kind], [x], out)
    raise AssertionError(op)


def _patches(build: _Builder, op: SortConv, out: str, index: int, x: str) -> str:
    """[N, D] -> [N * P, F]."""
    entries = op.patches.shape[1]
    pads = build.constant("one_zero_more", [0, 0, 0, 1], np.int64)
    x = build.add("Pad", [x, pads], f"{out}_padded")
    places = build.constant(f"patches{index}", op.patches.reshape(-1), np.int64)
    flat = build.add("Gather", [x, places], f"{out}_flat", axis=1)
    to = build.constant(f"rows{index}", [-1, entries], np.int64)
    return build.add("Reshape", [flat, to], f"{out}_rows")


def _unpatch(build: _Builder, op: SortConv, out: str, index: int, y: str) -> str:
    """[N * P, O] -> [N, O * P]."""
    positions, outputs = len(op.patches), len(op.neuron.W)
    to = build.constant(f"positions{index}", [-1, positions, outputs], np.int64)
    split = build.add("Reshape", [y, to], f"{out}_split")
    turned = build.add("Transpose", [split], f"{out}_turned", perm=[0, 2, 1])
    return build.add("Flatten", [turned], out, axis=1)


def _double(build: _Builder, name: str, array: Array) -> str:
    """A float32 constant cast to float64 in the graph: the file stays small."""
    wide = f"{name}_wide"
    if not any(node.name == wide for node in build.nodes):
        source = build.constant(name, array)
        build.add("Cast", [source], wide, to=11)
    return wide


def _logits(build: _Builder, network: Network) -> None:
    """input -> logits."""
    x = "input"
    for index, op in enumerate(network.ops):
        before = network.shapes[index]
        out = f"v{index}"
        match op:
            case SortNeuron():
                W = build.constant(f"weight{index}", op.W)
                x = build.add("SortNeuron", [x, W], out, domain=DOMAIN, rho=op.rho, k=op.k)
            case SortConv():
                W = build.constant(f"weight{index}", op.neuron.W)
                rows = _patches(build, op, out, index, x)
                y = build.add(
                    "SortNeuron",
                    [rows, W],
                    f"{out}_neurons",
                    domain=DOMAIN,
                    rho=op.neuron.rho,
                    k=op.neuron.k,
                )
                x = _unpatch(build, op, out, index, y)
            case Affine():
                W = _double(build, f"weight{index}", op.W)
                b = _double(build, f"bias{index}", op.b)
                x = build.add("Cast", [x], f"{out}_in", to=11)
                y = build.add("Gemm", [x, W, b], f"{out}_wide", transB=1)
                x = build.add("Cast", [y], out, to=1)
            case Negate():
                x = build.add("Neg", [x], out)
            case _:
                x = _per_tensor(build, op, "v", index, x, before)
    _rename_output(build, x, "logits")


def _rename_output(build: _Builder, old: str, new: str) -> None:
    if old == "input":
        raise ValueError("a network needs at least one operation")
    build.nodes[-1].output[0] = new
    build.nodes[-1].name = new


def _bounds(
    build: _Builder, network: Network, analysis: Analysis, reach: str
) -> tuple[list[str], int]:
    """Bounds of the network's value over the ball; stops before a final affine layer."""
    zero, one = build.constant("zero", 0.0), build.constant("one", 1.0)
    below = build.add("Sub", ["input", reach], "ball_below")
    above = build.add("Add", ["input", reach], "ball_above")
    low = build.add("Max", [below, zero], "ball_lower")
    high = build.add("Min", [above, one], "ball_upper")
    for index, op in enumerate(network.ops):
        before = network.shapes[index]
        match op:
            case SortNeuron():
                W = build.constant(f"weight{index}", op.W)
                names = [f"l{index}", f"u{index}"]
                low, high = build.pair([low, high, W], names, op)
            case SortConv():
                W = build.constant(f"weight{index}", op.neuron.W)
                rows = [
                    _patches(build, op, f"{side}{index}", index, x)
                    for side, x in (("l", low), ("u", high))
                ]
                names = [f"l{index}_neurons", f"u{index}_neurons"]
                low, high = build.pair([*rows, W], names, op.neuron)
                low = _unpatch(build, op, f"l{index}", index, low)
                high = _unpatch(build, op, f"u{index}", index, high)
            case Negate():
                low, high = (
                    build.add("Neg", [high], f"l{index}"),
                    build.add("Neg", [low], f"u{index}"),
                )
            case Activation(kind="abs"):
                turned = build.add("Neg", [high], f"l{index}_turned")
                size = build.add("Neg", [low], f"u{index}_turned")
                low, high = (
                    build.add("Max", [low, turned, zero], f"l{index}"),
                    build.add("Max", [high, size], f"u{index}"),
                )
            case Affine():
                amount = analysis.steps[index].widen * (1 + ROOM)
                widen = build.constant(f"widen{index}", amount)
                low = build.add("Sub", [low, widen], f"l{index}_widened")
                high = build.add("Add", [high, widen], f"u{index}_widened")
                low = build.add("Cast", [low], f"l{index}_in", to=11)
                high = build.add("Cast", [high], f"u{index}_in", to=11)
                if index == len(network.ops) - 1:
                    return [low, high], index
                low, high = _affine_bounds(build, op, index, low, high)
            case _:
                low, high = (
                    _per_tensor(build, op, "l", index, low, before),
                    _per_tensor(build, op, "u", index, high, before),
                )
    return [low, high], len(network.ops)


def _affine_bounds(build: _Builder, op: Affine, index: int, low: str, high: str) -> tuple[str, str]:
    """W+ l + W- u + b and W+ u + W- l + b in float64."""
    zero = build.constant("zero_wide", 0.0, np.float64)
    W = _double(build, f"weight{index}", op.W)
    b = _double(build, f"bias{index}", op.b)
    positive = build.add("Max", [W, zero], f"positive{index}")
    negative = build.add("Min", [W, zero], f"negative{index}")
    result = []
    for side, first, second in (("l", low, high), ("u", high, low)):
        out = f"{side}{index}"
        up = build.add("Gemm", [first, positive, b], f"{out}_up", transB=1)
        down = build.add("Gemm", [second, negative], f"{out}_down", transB=1)
        wide = build.add("Add", [up, down], f"{out}_wide")
        result.append(build.add("Cast", [wide], out, to=1))
    return result[0], result[1]


def _worst_margin(build: _Builder, network: Network, bounds: list[str], index: int) -> str:
    """Lower bound of logits[label] - max of the others over the ball: [N] float32."""
    low, high = bounds
    K = network.classes
    classes = build.constant("classes", np.arange(K), np.int64)
    axis_one = build.constant("axis_one", [1], np.int64)
    own = build.add("Unsqueeze", ["label", axis_one], "own")
    mine = build.add("Equal", [own, classes], "mine")
    if index == len(network.ops):
        never = build.constant("never", -np.inf)
        own_low = build.add("Where", [mine, low, never], "own_low")
        other_high = build.add("Where", [mine, never, high], "other_high")
        best = build.add("ReduceMax", [own_low, axis_one], "best", keepdims=0)
        rival = build.add("ReduceMax", [other_high, axis_one], "rival", keepdims=0)
        return build.add("Sub", [best, rival], "worst")
    # Differences of the rows of the last affine layer, which is tighter than two logits apart.
    op = network.ops[index]
    assert isinstance(op, Affine)
    zero = build.constant("zero_wide", 0.0, np.float64)
    axis_two = build.constant("axis_two", [2], np.int64)
    W = _double(build, f"weight{index}", op.W)
    b = _double(build, f"bias{index}", op.b)
    own_row = build.add("Gather", [W, own], "own_row", axis=0)
    rows = build.add("Sub", [own_row, W], "row_differences")
    positive = build.add("Max", [rows, zero], "positive_differences")
    negative = build.add("Min", [rows, zero], "negative_differences")
    low_column = build.add("Unsqueeze", [low, axis_two], "low_column")
    high_column = build.add("Unsqueeze", [high, axis_two], "high_column")
    up = build.add("MatMul", [positive, low_column], "worst_up")
    down = build.add("MatMul", [negative, high_column], "worst_down")
    both = build.add("Add", [up, down], "worst_both")
    flat = build.add("Squeeze", [both, axis_two], "worst_flat")
    own_bias = build.add("Gather", [b, own], "own_bias", axis=0)
    biases = build.add("Sub", [own_bias, b], "bias_differences")
    wide = build.add("Add", [flat, biases], "worst_wide")
    single = build.add("Cast", [wide], "worst_single", to=1)
    ever = build.constant("ever", np.inf)
    others = build.add("Where", [mine, ever, single], "worst_others")
    return build.add("ReduceMin", [others, axis_one], "worst", keepdims=0)


def _inside_box(build: _Builder) -> str:
    """Whether all pixels of a sample are in [0, 1] (NaN is not): [N] bool."""
    zero, one = build.constant("zero", 0.0), build.constant("one", 1.0)
    low = build.add("GreaterOrEqual", ["input", zero], "not_below")
    high = build.add("LessOrEqual", ["input", one], "not_above")
    both = build.add("And", [low, high], "pixel_inside")
    numbers = build.add("Cast", [both], "pixel_number", to=1)
    axes = build.constant("pixel_axes", [1, 2, 3], np.int64)
    least = build.add("ReduceMin", [numbers, axes], "inside_number", keepdims=0)
    return build.add("Greater", [least, zero], "inside")


def _certified(
    build: _Builder, network: Network, analysis: Analysis, reach: str, output: str
) -> str:
    """Whether interval bounds prove the label constant over the ball: [N] bool."""
    bounds, index = _bounds(build, network, analysis, reach)
    worst = _worst_margin(build, network, bounds, index)
    slack = build.constant("interval_slack", analysis.interval_slack * (1 + ROOM))
    apart = build.add("Greater", [worst, slack], "apart")
    inside = _inside_box(build)
    build.add("And", [apart, inside], output)
    return output


def _label(build: _Builder) -> None:
    build.add("ArgMax", ["logits"], "label", axis=1, keepdims=0, select_last_index=0)


def _margin_radius(build: _Builder, analysis: Analysis) -> None:
    zero = build.constant("zero", 0.0)
    two = build.constant("two", [2], np.int64)
    build.nodes.append(
        helper.make_node(
            "TopK",
            ["logits", two],
            ["top2", "top2_places"],
            name="top2",
            axis=1,
            largest=1,
            sorted=1,
        )
    )
    first = build.constant("first", 0, np.int64)
    second = build.constant("second", 1, np.int64)
    best = build.add("Gather", ["top2", first], "best_logit", axis=1)
    next_ = build.add("Gather", ["top2", second], "next_logit", axis=1)
    margin = build.add("Sub", [best, next_], "margin")
    slack = build.constant("margin_slack", analysis.margin_slack * (1 + ROOM))
    scale = build.constant("margin_scale", analysis.margin_scale * (1 - ROOM))
    sure = build.add("Sub", [margin, slack], "sure_margin")
    scaled = build.add("Mul", [sure, scale], "scaled_margin")
    positive = build.add("Max", [scaled, zero], "positive_margin")
    inside = _inside_box(build)
    build.add("Where", [inside, positive, zero], "radius")


def build_model(
    network: Network,
    eps: Fraction | None = None,
    preset: str = "",
    analysis: Analysis | None = None,
) -> onnx.ModelProto:
    """The exported file of a network, without torch.

    Args:
        network: what to compute.
        eps: None for the margin radius; else the one radius, in input units, that the graph
            certifies by interval bounds (rounded up to float32).
        preset: recorded in the metadata.
        analysis: of this network, if already known.

    Raises:
        BoundError: values may overflow, so there is no certificate.
        ValueError: the file would exceed 2 GiB.
    """
    analysis = analysis or analyse(network)
    build = _Builder()
    _logits(build, network)
    _label(build)
    if eps is None:
        _margin_radius(build, analysis)
    else:
        radius = float32_up(eps)
        reach = build.constant("reach", ball_reach(radius))
        certified = _certified(build, network, analysis, reach, "certified")
        sure = build.constant("eps", radius)
        zero = build.constant("zero", 0.0)
        build.add("Where", [certified, sure, zero], "radius")
    shape: list[int | str | None] = ["N", *network.input_shape]
    metadata = {
        "sortnet.format_version": FORMAT_VERSION,
        "sortnet.radius": "margin" if eps is None else "interval",
        "sortnet.eps_unit": "input pixels in [0, 1]",
        "sortnet.box": "[0, 1]",
        "sortnet.preset": preset,
        "sortnet.lipschitz": repr(analysis.lipschitz),
        "sortnet.error_bound": repr(analysis.error),
    }
    if eps is not None:
        metadata["sortnet.eps"] = str(eps)
    return _finish(
        build,
        inputs=[helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        outputs=[
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", network.classes]),
            helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
            helper.make_tensor_value_info("radius", TensorProto.FLOAT, ["N"]),
        ],
        metadata=metadata,
    )


def build_interval_model(network: Network, analysis: Analysis) -> onnx.ModelProto:
    """A model that certifies at any radius: input, label [N], reach [] -> certified [N].

    ``reach`` is `ball_reach` of the radius.
    """
    build = _Builder()
    _certified(build, network, analysis, "reach", "certified")
    shape: list[int | str | None] = ["N", *network.input_shape]
    return _finish(
        build,
        inputs=[
            helper.make_tensor_value_info("input", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
            helper.make_tensor_value_info("reach", TensorProto.FLOAT, []),
        ],
        outputs=[helper.make_tensor_value_info("certified", TensorProto.BOOL, ["N"])],
        metadata={},
    )


def _finish(
    build: _Builder,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    metadata: dict[str, str],
) -> onnx.ModelProto:
    size = sum(tensor.ByteSize() for tensor in build.initializers.values())
    if size > MAX_BYTES:
        raise ValueError(f"the weights take {size / 2**30:.1f} GiB; an ONNX file holds less than 2")
    graph = helper.make_graph(
        build.nodes,
        "sortnet",
        inputs,
        outputs,
        initializer=list(build.initializers.values()),
    )
    used = {node.op_type for node in build.nodes if node.domain == DOMAIN}
    model = helper.make_model(
        graph,
        producer_name="sortnet",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
        functions=[function for name, function in functions().items() if name in used],
    )
    helper.set_model_props(model, metadata)
    return model
