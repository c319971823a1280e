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

from sortnet.units import float32_up

from .error_bound import ROOM, Analysis, analyse, ball_reach
from .functions import DOMAIN, OPSET, functions
from .spec import (
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

FORMAT_VERSION = "1"
IR_VERSION = 8
MAX_BYTES = 2**31 - 2**20
"""Protocol buffers hold less than 2 GiB."""

_KIND = {"relu": "Relu", "abs": "Abs", "tanh": "Tanh"}


class _Builder:
    """Nodes, initializers and the declared shape of every tensor."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.infos: list[onnx.ValueInfoProto] = []

    def constant(self, name: str, array: Any, dtype: Any = np.float32) -> str:
        if name not in self.initializers:
            value = np.ascontiguousarray(array, dtype=dtype).reshape(np.shape(array))
            self.initializers[name] = numpy_helper.from_array(value, name)
        return name

    def add(
        self,
        op: str,
        inputs: list[str],
        output: str,
        shape: list[int | str | None],
        dtype: int = TensorProto.FLOAT,
        **attributes: Any,
    ) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        self.infos.append(helper.make_tensor_value_info(output, dtype, shape))
        return output

    def pair(
        self, inputs: list[str], outputs: list[str], shape: list[int | str | None], op: SortNeuron
    ) -> tuple[str, str]:
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
        self.infos += [helper.make_tensor_value_info(o, TensorProto.FLOAT, shape) for o in outputs]
        return outputs[0], outputs[1]


def _per_tensor(
    build: _Builder, op: Op, prefix: str, index: int, x: str, before: tuple[int, ...]
) -> str:
    """One operation whose interval bounds are the operation itself on either bound."""
    shape: list[int | str | None] = ["N", *op.out_shape(before)]
    out = f"{prefix}{index}"
    match op:
        case Normalize():
            mean = build.constant(f"mean{index}", op.mean)
            std = build.constant(f"std{index}", op.std)
            centered = build.add("Sub", [x, mean], f"{out}_centered", shape)
            return build.add("Div", [centered, std], out, shape)
        case Flatten():
            return build.add("Flatten", [x], out, shape, axis=1)
        case Shift() | Bias():
            values = build.constant(f"{op.name.lower()}{index}", op.values)
            return build.add("Sub" if isinstance(op, Shift) else "Add", [x, values], out, shape)
        case GroupSort():
            groups = [before[0] // op.size, op.size]
            count = build.constant(f"group{index}", [op.size], np.int64)
            to = build.constant(f"groups{index}", [-1, *groups], np.int64)
            grouped = build.add("Reshape", [x, to], f"{out}_groups", ["N", *groups])
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
            return build.add("Flatten", [f"{out}_sorted"], out, shape, axis=1)
        case Activation():
            return build.add(_KIND[op.kind], [x], out, shape)
    raise AssertionError(op)


def _patches(build: _Builder, op: SortConv, out: str, index: int, x: str, size: int) -> str:
    """[N, D] -> [N * P, F]."""
    positions, entries = op.patches.shape
    pads = build.constant("one_zero_more", [0, 0, 0, 1], np.int64)
    x = build.add("Pad", [x, pads], f"{out}_padded", ["N", size + 1])
    places = build.constant(f"patches{index}", op.patches.reshape(-1), np.int64)
    flat = build.add("Gather", [x, places], f"{out}_flat", ["N", positions * entries], axis=1)
    to = build.constant(f"rows{index}", [-1, entries], np.int64)
    return build.add("Reshape", [flat, to], f"{out}_rows", [None, entries])


def _unpatch(build: _Builder, op: SortConv, out: str, index: int, y: str) -> str:
    """[N * P, O] -> [N, O * P]."""
    positions, outputs = len(op.patches), len(op.neuron.W)
    to = build.constant(f"positions{index}", [-1, positions, outputs], np.int64)
    split = build.add("Reshape", [y, to], f"{out}_split", ["N", positions, outputs])
    turned = build.add(
        "Transpose", [split], f"{out}_turned", ["N", outputs, positions], perm=[0, 2, 1]
    )
    return build.add("Flatten", [turned], out, ["N", outputs * positions], axis=1)


def _double(build: _Builder, name: str, array: Array) -> str:
    """A float32 constant cast to float64 in the graph: the file stays small."""
    wide = f"{name}_wide"
    if not any(node.name == wide for node in build.nodes):
        source = build.constant(name, array)
        build.add("Cast", [source], wide, list(array.shape), TensorProto.DOUBLE, to=11)
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
                x = build.add(
                    "SortNeuron", [x, W], out, ["N", len(op.W)], domain=DOMAIN, rho=op.rho, k=op.k
                )
            case SortConv():
                W = build.constant(f"weight{index}", op.neuron.W)
                rows = _patches(build, op, out, index, x, before[0])
                y = build.add(
                    "SortNeuron",
                    [rows, W],
                    f"{out}_neurons",
                    [None, len(op.neuron.W)],
                    domain=DOMAIN,
                    rho=op.neuron.rho,
                    k=op.neuron.k,
                )
                x = _unpatch(build, op, out, index, y)
            case Affine():
                W = _double(build, f"weight{index}", op.W)
                b = _double(build, f"bias{index}", op.b)
                wide: list[int | str | None] = ["N", len(op.W)]
                inputs: list[int | str | None] = ["N", op.W.shape[1]]
                x = build.add("Cast", [x], f"{out}_in", inputs, TensorProto.DOUBLE, to=11)
                y = build.add("Gemm", [x, W, b], f"{out}_wide", wide, TensorProto.DOUBLE, transB=1)
                x = build.add("Cast", [y], out, wide, to=1)
            case Negate():
                x = build.add("Neg", [x], out, ["N", *before])
            case _:
                x = _per_tensor(build, op, "v", index, x, before)
    _rename_output(build, x, "logits")


def _rename_output(build: _Builder, old: str, new: str) -> None:
    if old == "input":
        raise ValueError("a network needs at least one operation")
    build.nodes[-1].output[0] = new
    build.nodes[-1].name = new
    build.infos.pop()


def _bounds(
    build: _Builder, network: Network, analysis: Analysis, reach: str
) -> tuple[list[str], int]:
    """Bounds of the network's value over the ball; stops before a final affine layer."""
    shape: list[int | str | None] = ["N", *network.input_shape]
    zero, one = build.constant("zero", 0.0), build.constant("one", 1.0)
    below = build.add("Sub", ["input", reach], "ball_below", shape)
    above = build.add("Add", ["input", reach], "ball_above", shape)
    low = build.add("Max", [below, zero], "ball_lower", shape)
    high = build.add("Min", [above, one], "ball_upper", shape)
    for index, op in enumerate(network.ops):
        before = network.shapes[index]
        shape = ["N", *network.shapes[index + 1]]
        match op:
            case SortNeuron():
                W = build.constant(f"weight{index}", op.W)
                names = [f"l{index}", f"u{index}"]
                low, high = build.pair([low, high, W], names, shape, op)
            case SortConv():
                W = build.constant(f"weight{index}", op.neuron.W)
                rows = [
                    _patches(build, op, f"{side}{index}", index, x, before[0])
                    for side, x in (("l", low), ("u", high))
                ]
                names = [f"l{index}_neurons", f"u{index}_neurons"]
                low, high = build.pair([*rows, W], names, [None, len(op.neuron.W)], op.neuron)
                low = _unpatch(build, op, f"l{index}", index, low)
                high = _unpatch(build, op, f"u{index}", index, high)
            case Negate():
                low, high = (
                    build.add("Neg", [high], f"l{index}", shape),
                    build.add("Neg", [low], f"u{index}", shape),
                )
            case Activation(kind="abs"):
                turned = build.add("Neg", [high], f"l{index}_turned", shape)
                size = build.add("Neg", [low], f"u{index}_turned", shape)
                low, high = (
                    build.add("Max", [low, turned, zero], f"l{index}", shape),
                    build.add("Max", [high, size], f"u{index}", shape),
                )
            case Affine():
                amount = analysis.steps[index].widen * (1 + ROOM)
                widen = build.constant(f"widen{index}", amount)
                inside: list[int | str | None] = ["N", *before]
                low = build.add("Sub", [low, widen], f"l{index}_widened", inside)
                high = build.add("Add", [high, widen], f"u{index}_widened", inside)
                low = build.add("Cast", [low], f"l{index}_in", inside, TensorProto.DOUBLE, to=11)
                high = build.add("Cast", [high], f"u{index}_in", inside, TensorProto.DOUBLE, to=11)
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
    shape: list[int | str | None] = ["N", len(op.W)]
    zero = build.constant("zero_wide", 0.0, np.float64)
    W = _double(build, f"weight{index}", op.W)
    b = _double(build, f"bias{index}", op.b)
    double = TensorProto.DOUBLE
    positive = build.add("Max", [W, zero], f"positive{index}", list(op.W.shape), double)
    negative = build.add("Min", [W, zero], f"negative{index}", list(op.W.shape), double)
    result = []
    for side, first, second in (("l", low, high), ("u", high, low)):
        out = f"{side}{index}"
        up = build.add("Gemm", [first, positive, b], f"{out}_up", shape, double, transB=1)
        down = build.add("Gemm", [second, negative], f"{out}_down", shape, double, transB=1)
        wide = build.add("Add", [up, down], f"{out}_wide", shape, double)
        result.append(build.add("Cast", [wide], out, shape, to=1))
    return result[0], result[1]


def _worst_margin(build: _Builder, network: Network, bounds: list[str], index: int) -> str:
    """Lower bound of logits[label] - max of the others over the ball: [N] float32."""
    low, high = bounds
    K = network.classes
    N: list[int | str | None] = ["N"]
    NK: list[int | str | None] = ["N", K]
    classes = build.constant("classes", np.arange(K), np.int64)
    axis_one = build.constant("axis_one", [1], np.int64)
    own = build.add("Unsqueeze", ["label", axis_one], "own", ["N", 1], TensorProto.INT64)
    mine = build.add("Equal", [own, classes], "mine", NK, TensorProto.BOOL)
    if index == len(network.ops):
        never = build.constant("never", -np.inf)
        own_low = build.add("Where", [mine, low, never], "own_low", NK)
        other_high = build.add("Where", [mine, never, high], "other_high", NK)
        best = build.add("ReduceMax", [own_low, axis_one], "best", N, keepdims=0)
        rival = build.add("ReduceMax", [other_high, axis_one], "rival", N, keepdims=0)
        return build.add("Sub", [best, rival], "worst", N)
    # Differences of the rows of the last affine layer, which is tighter than two logits apart.
    op = network.ops[index]
    assert isinstance(op, Affine)
    double = TensorProto.DOUBLE
    H = op.W.shape[1]
    NKH: list[int | str | None] = ["N", K, H]
    NH1: list[int | str | None] = ["N", H, 1]
    zero = build.constant("zero_wide", 0.0, np.float64)
    axis_two = build.constant("axis_two", [2], np.int64)
    W = _double(build, f"weight{index}", op.W)
    b = _double(build, f"bias{index}", op.b)
    own_row = build.add("Gather", [W, own], "own_row", ["N", 1, H], double, axis=0)
    rows = build.add("Sub", [own_row, W], "row_differences", NKH, double)
    positive = build.add("Max", [rows, zero], "positive_differences", NKH, double)
    negative = build.add("Min", [rows, zero], "negative_differences", NKH, double)
    low_column = build.add("Unsqueeze", [low, axis_two], "low_column", NH1, double)
    high_column = build.add("Unsqueeze", [high, axis_two], "high_column", NH1, double)
    up = build.add("MatMul", [positive, low_column], "worst_up", ["N", K, 1], double)
    down = build.add("MatMul", [negative, high_column], "worst_down", ["N", K, 1], double)
    both = build.add("Add", [up, down], "worst_both", ["N", K, 1], double)
    flat = build.add("Squeeze", [both, axis_two], "worst_flat", NK, double)
    own_bias = build.add("Gather", [b, own], "own_bias", ["N", 1], double, axis=0)
    biases = build.add("Sub", [own_bias, b], "bias_differences", NK, double)
    wide = build.add("Add", [flat, biases], "worst_wide", NK, double)
    single = build.add("Cast", [wide], "worst_single", NK, to=1)
    ever = build.constant("ever", np.inf)
    others = build.add("Where", [mine, ever, single], "worst_others", NK)
    return build.add("ReduceMin", [others, axis_one], "worst", N, keepdims=0)


def _inside_box(build: _Builder, network: Network) -> str:
    """Whether all pixels of a sample are in [0, 1] (NaN is not): [N] bool."""
    shape: list[int | str | None] = ["N", *network.input_shape]
    zero, one = build.constant("zero", 0.0), build.constant("one", 1.0)
    bool_ = TensorProto.BOOL
    low = build.add("GreaterOrEqual", ["input", zero], "not_below", shape, bool_)
    high = build.add("LessOrEqual", ["input", one], "not_above", shape, bool_)
    both = build.add("And", [low, high], "pixel_inside", shape, bool_)
    numbers = build.add("Cast", [both], "pixel_number", shape, to=1)
    axes = build.constant("pixel_axes", [1, 2, 3], np.int64)
    least = build.add("ReduceMin", [numbers, axes], "inside_number", ["N"], keepdims=0)
    return build.add("Greater", [least, zero], "inside", ["N"], bool_)


def _certified(
    build: _Builder, network: Network, analysis: Analysis, reach: str, output: str
) -> str:
    """Whether interval bounds prove the label constant over the ball: [N] bool."""
    bounds, index = _bounds(build, network, analysis, reach)
    worst = _worst_margin(build, network, bounds, index)
    slack = build.constant("interval_slack", analysis.interval_slack * (1 + ROOM))
    bool_ = TensorProto.BOOL
    apart = build.add("Greater", [worst, slack], "apart", ["N"], bool_)
    inside = _inside_box(build, network)
    build.add("And", [apart, inside], output, ["N"], bool_)
    return output


def _label(build: _Builder) -> None:
    build.add("ArgMax", ["logits"], "label", ["N"], axis=1, keepdims=0, select_last_index=0)
    build.infos.pop()


def _margin_radius(build: _Builder, network: Network, analysis: Analysis) -> None:
    N: list[int | str | None] = ["N"]
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
    best = build.add("Gather", ["top2", first], "best_logit", N, axis=1)
    next_ = build.add("Gather", ["top2", second], "next_logit", N, axis=1)
    margin = build.add("Sub", [best, next_], "margin", N)
    slack = build.constant("margin_slack", analysis.margin_slack * (1 + ROOM))
    scale = build.constant("margin_scale", analysis.margin_scale * (1 - ROOM))
    sure = build.add("Sub", [margin, slack], "sure_margin", N)
    scaled = build.add("Mul", [sure, scale], "scaled_margin", N)
    positive = build.add("Max", [scaled, zero], "positive_margin", N)
    inside = _inside_box(build, network)
    build.add("Where", [inside, positive, zero], "radius", N)
    build.infos.pop()


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
        _margin_radius(build, network, analysis)
    else:
        radius = float32_up(eps)
        reach = build.constant("reach", ball_reach(radius))
        certified = _certified(build, network, analysis, reach, "certified")
        sure = build.constant("eps", radius)
        zero = build.constant("zero", 0.0)
        build.add("Where", [certified, sure, zero], "radius", ["N"])
        build.infos.pop()
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
    build.infos.pop()
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
        value_info=build.infos,
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
