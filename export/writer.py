"""Turns a `Network` into an ONNX model that carries its own certificate.

Two kinds of radius (docs/export.md):

- margin: ``radius = max(0, (top1 - top2 - slack) * scale)`` of the logits, at any size;
- interval: nodes on bounds bound the logits over the ball of one declared eps, and ``radius`` is
  eps where the label cannot change, else 0.

Inputs outside [0, 1] or NaN get radius 0 by the graph itself. How an operation is written, its form
says (`forms`).
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx
from onnx import TensorProto, helper

from sortnet.base.units import float32_up
from sortnet.certificate.analysis import ROOM, Analysis, analyse, ball_reach
from sortnet.certificate.network import Network

from .builder import Builder
from .format import DOMAIN, FORMAT_VERSION, IR_VERSION, MAX_BYTES, OPSET
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


def _worst(build: Builder, network: Network, places: list[Place], reach: str) -> str:
    """Lower bound of logits[label] - max of the others over the ball: [N] float32."""
    zero, one = build.constant("zero", 0.0), build.constant("one", 1.0)
    below = build.add("Sub", ["input", reach], "ball_below")
    above = build.add("Add", ["input", reach], "ball_above")
    low = build.add("Max", [below, zero], "ball_lower")
    high = build.add("Min", [above, one], "ball_upper")
    for op, at in zip(network.ops[:-1], places, strict=False):
        low, high = FORM_OF[type(op)].write_bounds(build, op, at, low, high)
    last = network.ops[-1]
    return FORM_OF[type(last)].write_worst(build, last, places[-1], low, high)


def _inside_box(build: Builder) -> str:
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
    build: Builder, network: Network, analysis: Analysis, reach: str, output: str
) -> str:
    """Whether interval bounds prove the label constant over the ball: [N] bool."""
    worst = _worst(build, network, _places(network, analysis), reach)
    slack = build.constant("interval_slack", analysis.interval_slack * (1 + ROOM))
    apart = build.add("Greater", [worst, slack], "apart")
    inside = _inside_box(build)
    build.add("And", [apart, inside], output)
    return output


def _label(build: Builder) -> None:
    build.add("ArgMax", ["logits"], "label", axis=1, keepdims=0, select_last_index=0)


def _margin_radius(build: Builder, analysis: Analysis) -> None:
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
    build = Builder()
    _logits(build, network, _places(network, analysis))
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
    build = Builder()
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
