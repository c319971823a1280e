"""Turns a `Network` into an ONNX model that carries its own certificate.

Two kinds of radius (docs/export.md):

- margin: ``radius = max(0, (top1 - top2 - slack) * scale)`` of the logits, at any size;
- interval: nodes on bounds bound the logits over the ball of one declared eps, and ``radius`` is
  eps where the label cannot change, else 0.

Inputs outside [0, 1] or NaN get radius 0 by the graph itself. How an operation is written, its form
says (`forms`).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import onnx
from onnx import TensorProto, helper

from sortnet.base.units import float32_up
from sortnet.certificate.analysis import ROOM, Analysis, analyse
from sortnet.certificate.network import Network
from sortnet.certificate.rounding import Array

from .builder import Builder
from .format import DOMAIN, IR_VERSION, MAX_BYTES, OPSET, REGRESSION
from .forms import FORM_OF, Place
from .functions import functions


def _places(network: Network, analysis: Analysis) -> list[Place]:
    return [
        Place(index, before, network.classes, step.widen * (1 + ROOM))
        for index, (before, step) in enumerate(zip(network.shapes, analysis.steps, strict=False))
    ]


def _logits(build: Builder, network: Network, places: list[Place]) -> None:
    """input -> logits."""
    x = "input"
    for op, at in zip(network.ops, places, strict=True):
        x = FORM_OF[type(op)].write(build, op, at, x, f"v{at.index}")
    build.rename_last("logits")


def _version(network: Network) -> int:
    """The lowest format version that can hold it."""
    if not network.input.images or network.regression:
        return 2
    return max(FORM_OF[type(op)].since(op) for op in network.ops)


def _limits(build: Builder, network: Network) -> tuple[str, str]:
    """The ends of the input box."""
    if _version(network) == 1:
        return build.constant("zero", 0.0), build.constant("one", 1.0)
    spec = network.input
    return build.constant("box_low", spec.low), build.constant("box_high", spec.high)


def _ball(build: Builder, network: Network, reach: str) -> tuple[str, str]:
    """Bounds of the inputs within reach, clipped to the box."""
    least, most = _limits(build, network)
    below = build.add("Sub", ["input", reach], "ball_below")
    above = build.add("Add", ["input", reach], "ball_above")
    return (
        build.add("Max", [below, least], "ball_lower"),
        build.add("Min", [above, most], "ball_upper"),
    )


def _worst(build: Builder, network: Network, places: list[Place], reach: str) -> str:
    """Lower bound of logits[label] - max of the others over the ball: [N] float32."""
    low, high = _ball(build, network, reach)
    for op, at in zip(network.ops[:-1], places, strict=False):
        low, high = FORM_OF[type(op)].write_bounds(build, op, at, low, high)
    last = network.ops[-1]
    return FORM_OF[type(last)].write_worst(build, last, places[-1], low, high)


def _inside_box(build: Builder, network: Network) -> str:
    """Whether a sample lies in the box entirely (NaN does not): [N] bool."""
    least, most = _limits(build, network)
    low = build.add("GreaterOrEqual", ["input", least], "not_below")
    high = build.add("LessOrEqual", ["input", most], "not_above")
    both = build.add("And", [low, high], "pixel_inside")
    numbers = build.add("Cast", [both], "pixel_number", to=1)
    axes = build.constant("pixel_axes", np.arange(1, len(network.input_shape) + 1), np.int64)
    smallest = build.add("ReduceMin", [numbers, axes], "inside_number", keepdims=0)
    return build.add("Greater", [smallest, build.constant("zero", 0.0)], "inside")


def _certified(
    build: Builder, network: Network, analysis: Analysis, reach: str, output: str
) -> str:
    """Whether interval bounds prove the label constant over the ball: [N] bool."""
    worst = _worst(build, network, _places(network, analysis), reach)
    slack = build.constant("interval_slack", analysis.interval_slack * (1 + ROOM))
    apart = build.add("Greater", [worst, slack], "apart")
    inside = _inside_box(build, network)
    build.add("And", [apart, inside], output)
    return output


def _label(build: Builder) -> None:
    build.add("ArgMax", ["logits"], "label", axis=1, keepdims=0, select_last_index=0)


def _margin_radius(build: Builder, network: Network, analysis: Analysis) -> None:
    zero = build.constant("zero", 0.0)
    two = build.constant("two", [2], np.int64)
    outputs = ["top2", "top2_places"]
    build.add_many("TopK", ["logits", two], outputs, axis=1, largest=1, sorted=1)
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
    inside = _inside_box(build, network)
    build.add("Where", [inside, positive, zero], "radius")


def _reach(network: Network, eps: float) -> Array:
    """As a constant of the file: a scalar in format 1, one for each feature in format 2."""
    reach = network.input.reach(eps)
    return reach if _version(network) == 1 else np.broadcast_to(reach, network.input_shape)


def _interval_radius(build: Builder, network: Network, analysis: Analysis, radius: float) -> None:
    reach = build.constant("reach", _reach(network, radius))
    certified = _certified(build, network, analysis, reach, "certified")
    sure = build.constant("eps", radius)
    zero = build.constant("zero", 0.0)
    build.add("Where", [certified, sure, zero], "radius")


def _value_bounds(
    build: Builder, network: Network, analysis: Analysis, reach: str, value: str, value_reach: str
) -> None:
    """value [N] -> lower, upper [N]: what no input of the ball can leave."""
    low, high = _ball(build, network, reach)
    for op, at in zip(network.ops, _places(network, analysis), strict=True):
        low, high = FORM_OF[type(op)].write_bounds(build, op, at, low, high)
    slack = build.constant("value_slack", analysis.value_slack * (1 + ROOM))
    axis = build.constant("axis_one", [1], np.int64)
    inside = _inside_box(build, network)
    for name, bound, move, tighter, nothing in (
        ("lower", low, "Sub", "Max", -np.inf),
        ("upper", high, "Add", "Min", np.inf),
    ):
        moved = build.add(move, [bound, slack], f"{name}_moved")
        flat = build.add("Squeeze", [moved, axis], f"{name}_flat")
        near = build.add(move, [value, value_reach], f"{name}_near")
        best = build.add(tighter, [flat, near], f"{name}_best")
        unknown = build.constant(f"{name}_unknown", nothing)
        build.add("Where", [inside, best, unknown], name)


def build_model(
    network: Network,
    eps: Fraction | None = None,
    preset: str = "",
    analysis: Analysis | None = None,
    more: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """The exported file of a network, without torch.

    Args:
        network: what to compute.
        eps: None for the margin radius; else the one radius, in input units, that the graph
            certifies by interval bounds (rounded up to float32). A regression needs one.
        preset: recorded in the metadata.
        analysis: of this network, if already known.
        more: further metadata.

    Raises:
        BoundError: values may overflow, so there is no certificate.
        ValueError: the file would exceed 2 GiB, or a regression has no eps.
    """
    if eps is None and network.regression:
        raise ValueError("a regression gives an interval for one radius: give its eps")
    analysis = analysis or analyse(network)
    version = _version(network)
    build = Builder()
    _logits(build, network, _places(network, analysis))
    if network.regression:
        assert eps is not None
        axis = build.constant("axis_one", [1], np.int64)
        build.rename_last("values")
        build.add("Squeeze", ["values", axis], "value")
        reach = build.constant("reach", _reach(network, float32_up(eps)))
        near = build.constant("value_reach", analysis.value_reach(float32_up(eps)) * (1 + ROOM))
        _value_bounds(build, network, analysis, reach, "value", near)
        build.add("Identity", [build.constant("radius_of_bounds", float32_up(eps))], "eps")
    else:
        _label(build)
        if eps is None:
            _margin_radius(build, network, analysis)
        else:
            _interval_radius(build, network, analysis, float32_up(eps))
    outputs = _outputs(network)
    if version > 1:
        build.add("Identity", [build.constant("units", network.input.unit)], "unit")
        shape = list(network.input_shape)
        outputs.append(helper.make_tensor_value_info("unit", TensorProto.FLOAT, shape))
    shape_in: list[int | str | None] = ["N", *network.input_shape]
    images = network.input.images
    metadata = {
        "sortnet.format_version": str(version),
        "sortnet.radius": "margin" if eps is None else "interval",
        "sortnet.eps_unit": "input pixels in [0, 1]" if images else "unit of each feature",
        "sortnet.box": "[0, 1]" if images else "of each feature",
        "sortnet.preset": preset,
        "sortnet.lipschitz": repr(analysis.lipschitz),
        "sortnet.error_bound": repr(analysis.error),
    }
    if eps is not None:
        metadata["sortnet.eps"] = str(eps)
    metadata |= more or {}
    return _finish(
        build,
        inputs=[helper.make_tensor_value_info("input", TensorProto.FLOAT, shape_in)],
        outputs=outputs,
        metadata=metadata,
    )


def _outputs(network: Network) -> list[onnx.ValueInfoProto]:
    if network.regression:
        *per_sample, eps = REGRESSION
        return [
            *(helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N"]) for n in per_sample),
            helper.make_tensor_value_info(eps, TensorProto.FLOAT, []),
        ]
    return [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", network.classes]),
        helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
        helper.make_tensor_value_info("radius", TensorProto.FLOAT, ["N"]),
    ]


def build_interval_model(network: Network, analysis: Analysis) -> onnx.ModelProto:
    """A model that certifies at any radius: input, label [N], reach -> certified [N].

    ``reach`` is `InputSpec.reach` of the radius. For a regression: input, value [N], reach,
    value_reach [] -> lower, upper [N].
    """
    build = Builder()
    shape: list[int | str | None] = ["N", *network.input_shape]
    reach_shape = list(network.input.reach(1.0).shape)
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("reach", TensorProto.FLOAT, reach_shape),
    ]
    if network.regression:
        _value_bounds(build, network, analysis, "reach", "value", "value_reach")
        inputs.append(helper.make_tensor_value_info("value", TensorProto.FLOAT, ["N"]))
        inputs.append(helper.make_tensor_value_info("value_reach", TensorProto.FLOAT, []))
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"])
            for name in REGRESSION[1:3]
        ]
        return _finish(build, inputs, outputs, metadata={})
    _certified(build, network, analysis, "reach", "certified")
    inputs.insert(1, helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]))
    return _finish(
        build,
        inputs,
        outputs=[helper.make_tensor_value_info("certified", TensorProto.BOOL, ["N"])],
        metadata={},
    )


def _finish(
    build: Builder,
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
