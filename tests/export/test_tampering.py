"""A file that was changed is refused, or it is verified as what it has become."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import golden_cases as golden
import numpy as np
import onnx
import pytest
from google.protobuf.message import Message
from networks import F32, images, neuron, normalization, start
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import (
    Abs,
    Affine,
    Bias,
    Flatten,
    GroupSort,
    Negate,
    Normalize,
    Operation,
    OrderStatistic,
    PiecewiseLinear,
    RankFilter,
    Shift,
    SortConv,
    Tanh,
)
from sortnet.export import CertifiedSession
from sortnet.export.reader import read_model
from sortnet.export.verifier import verify, verify_model
from sortnet.export.wire import RefusedError, check_model, parse_model
from sortnet.export.writer import build_model

Edit = Callable[[ModelProto], None]
SHAPE = (1, 3, 4)
FIXED = (0, 1, 2)
"""A feature that nobody can change."""


def features() -> InputSpec:
    """A box and a unit for each feature, exact in float32."""
    place = np.arange(12).reshape(SHAPE)
    unit = (0.25 + place / 16).astype(F32)
    unit[FIXED] = 0
    return InputSpec(SHAPE, (-place / 4).astype(F32), (1 + place / 8).astype(F32), unit)


def ranked() -> Network:
    """A rank filter in the place of the convolution, on a vector."""
    windows = np.random.default_rng(6).integers(0, 13, size=(6, 4))
    ops = (Flatten(), RankFilter(windows, 3), *network(False).ops[6:])
    return Network(InputSpec((12,), -1.0, 2.0, 0.5), ops)


def learned() -> Network:
    """Signed order statistics and a learned activation."""
    rng = np.random.default_rng(7)
    signed = OrderStatistic(rng.normal(size=(4, 12)).astype(F32), F32(rng.normal(size=(4, 3)) / 3))
    pieces = PiecewiseLinear(F32([-1, 0, 2]), rng.uniform(-1, 1, (4, 4)).astype(F32))
    last = OrderStatistic(rng.normal(size=(3, 4)).astype(F32), F32(rng.normal(size=(3, 2)) / 2))
    ops = (Flatten(), signed, pieces, last)
    return Network(InputSpec((12,), -1.0, 2.0, 0.5), ops)


def network(head: bool, spec: InputSpec | None = None, outputs: int = 3) -> Network:
    """Every kind of operation once."""
    rng = np.random.default_rng(5)
    vector = lambda n: rng.normal(size=n).astype(F32)  # noqa: E731
    matrix = lambda o, i: (rng.normal(size=(o, i)) / 4).astype(F32)  # noqa: E731
    patches = rng.integers(0, 13, size=(3, 4))
    ops: list[Operation] = [
        Normalize(0.5, 0.25) if spec is None else normalization(spec),
        Flatten(),
        SortConv(patches, neuron(rng, 4, 2, 2, 0.5)),
        Abs(),
        Affine(matrix(6, 6), vector(6)),
        GroupSort(3),
        neuron(rng, 6, 5, 3, 0.5),
        Shift(vector(5)),
    ]
    if head:
        ops += [Tanh(), Affine(matrix(outputs, 5), vector(outputs))]
    else:
        ops += [neuron(rng, 5, outputs, 2, 0.5), Bias(vector(outputs)), Negate()]
    return Network(spec or SHAPE, tuple(ops))


NETWORKS = {
    "margin": network(False),
    "interval": network(True),
    "features margin": network(False, features()),
    "features interval": network(True, features()),
    "regression": network(False, features(), outputs=1),
    "ranked": ranked(),
    "learned": learned(),
}
EPS = Fraction(1, 100)
MODELS = {
    kind: build_model(net, None if "margin" in kind else EPS) for kind, net in NETWORKS.items()
}
KINDS = sorted(MODELS)
CLASSIFIERS = [kind for kind in KINDS if kind not in ("regression", "ranked", "learned")]


def copy(kind: str) -> ModelProto:
    model = ModelProto()
    model.CopyFrom(MODELS[kind])
    return model


def node(model: ModelProto, op: str, place: int = 0) -> NodeProto:
    return [n for n in model.graph.node if n.op_type == op][place]


def constant(model: ModelProto, name: str) -> TensorProto:
    return next(t for t in model.graph.initializer if t.name.startswith(name))


def change(tensor: TensorProto, edit: Callable[[np.ndarray], np.ndarray]) -> None:
    value = np.asarray(edit(numpy_helper.to_array(tensor).copy()))
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))


def scale(name: str, factor: float) -> Edit:
    return lambda model: change(constant(model, name), lambda v: (v * factor).astype(v.dtype))


def put(name: str, value: float) -> Edit:
    return lambda model: change(constant(model, name), lambda v: np.full_like(v, value))


def insert_before(model: ModelProto, target: NodeProto, place: int, op: str, **more: int) -> None:
    """A new node on one input of ``target``."""
    old = target.input[place]
    new = helper.make_node(op, [old], ["hidden"], name="hidden", **more)
    target.input[place] = "hidden"
    nodes = list(model.graph.node)
    nodes.insert(nodes.index(target), new)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def attribute(op: str, name: str, value: float) -> Edit:
    def edit(model: ModelProto) -> None:
        target = node(model, op)
        kept = [a for a in target.attribute if a.name != name]
        del target.attribute[:]
        target.attribute.extend([*kept, helper.make_attribute(name, value)])

    return edit


def rename_op(op: str, new: str) -> Edit:
    return lambda model: setattr(node(model, op), "op_type", new)


def hidden(op: str, on: str, place: int = 0, **more: int) -> Edit:
    return lambda model: insert_before(model, node(model, on), place, op, **more)


def hidden_mul(model: ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(F32(3.0), "factor"))
    hidden("Mul", "SortNeuron")(model)
    next(n for n in model.graph.node if n.name == "hidden").input.append("factor")


def function_body(model: ModelProto) -> None:
    body = model.functions[0]
    next(n for n in body.node if n.op_type == "Abs").op_type = "Relu"


def function_constant(model: ModelProto) -> None:
    shrink = next(n for n in model.functions[0].node if "shrink" in n.output)
    shrink.attribute[0].t.CopyFrom(numpy_helper.from_array(np.float64(1.5)))


def function_added(model: ModelProto) -> None:
    """A function under a standard operator's name would replace it."""
    fake = onnx.FunctionProto()
    fake.CopyFrom(model.functions[0])
    fake.name, fake.domain = "Sub", ""
    model.functions.append(fake)


def function_overload(model: ModelProto) -> None:
    model.functions[0].overload = "other"
    for n in model.graph.node:
        if n.op_type == "SortNeuron":
            n.overload = "other"


def swap_outputs(model: ModelProto) -> None:
    first = ModelProto()
    first.CopyFrom(model)
    model.graph.output[0].CopyFrom(first.graph.output[2])
    model.graph.output[2].CopyFrom(first.graph.output[0])


def radius_is_a_logit(model: ModelProto) -> None:
    """The last node named radius copies something else."""
    target = next(n for n in model.graph.node if "radius" in n.output)
    target.CopyFrom(helper.make_node("ReduceMax", ["logits", "axis_one"], ["radius"], keepdims=0))
    if not any(t.name == "axis_one" for t in model.graph.initializer):
        model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "axis_one"))


def external_data(model: ModelProto) -> None:
    tensor = constant(model, "weight")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def overridable(model: ModelProto) -> None:
    """An initializer that is also an input could be replaced at run time."""
    tensor = constant(model, "weight")
    model.graph.input.append(
        helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, list(tensor.dims))
    )


def extra_input(model: ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["N"]))


def extra_output(model: ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("v0", TensorProto.FLOAT, None))


def cycle(model: ModelProto) -> None:
    node(model, "Sub").input[0] = "logits"


def two_definitions(model: ModelProto) -> None:
    extra = helper.make_node("Neg", ["input"], ["logits"], name="again")
    model.graph.node.append(extra)


def dead_node(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Neg", ["input"], ["unused"], name="unused"))


def dead_constant(model: ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(F32([1, 2]), "payload"))


def bypass_layer(model: ModelProto) -> None:
    """The Abs node reads the input of the convolution instead of its output."""
    node(model, "Abs").input[0] = next(
        n for n in model.graph.node if n.op_type == "Flatten"
    ).output[0]


def label_of_radius(model: ModelProto) -> None:
    node(model, "ArgMax").op_type = "ArgMin"


def box_of_another_tensor(model: ModelProto) -> None:
    node(model, "GreaterOrEqual").input[0] = node(model, "Div").output[0]


def no_box(model: ModelProto) -> None:
    target = node(model, "And") if "And" in {n.op_type for n in model.graph.node} else None
    assert target is not None
    target.op_type = "Or"


def box_too_wide(model: ModelProto) -> None:
    """By its full name: "one" begins the name of another constant too."""
    name = node(model, "LessOrEqual").input[1]
    change(next(t for t in model.graph.initializer if t.name == name), lambda v: v * F32(1e6))


def opset(version: int) -> Edit:
    return lambda model: setattr(model.opset_import[0], "version", version)


def foreign_opset(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def foreign_domain(model: ModelProto) -> None:
    node(model, "SortNeuron").domain = "ai.sortnets"


def dimensions(name: str, dims: list[int]) -> Edit:
    def edit(model: ModelProto) -> None:
        tensor = constant(model, name)
        del tensor.dims[:]
        tensor.dims.extend(dims)

    return edit


def huge_input(model: ModelProto) -> None:
    for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]:
        dim.dim_value = 2**40


def fixed_batch(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def declared_shape(model: ModelProto) -> None:
    """One sample a batch: a runtime that believes it would plan its memory by it."""
    info = helper.make_tensor_value_info(node(model, "Div").output[0], TensorProto.FLOAT, [1, 12])
    model.graph.value_info.append(info)


def double_weights(model: ModelProto) -> None:
    change(constant(model, "weight"), lambda v: v.astype(np.float64))


def half_weights(model: ModelProto) -> None:
    change(constant(model, "weight"), lambda v: v.astype(np.float16))


def sparse(model: ModelProto) -> None:
    values = numpy_helper.from_array(F32([1.0]), "sparse")
    indices = numpy_helper.from_array(np.array([0]), "indices")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))


def subgraph(model: ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    node(model, "Sub").attribute.append(helper.make_attribute("body", inner))


def training(model: ModelProto) -> None:
    model.training_info.add()


def quantized(model: ModelProto) -> None:
    model.graph.quantization_annotation.add(tensor_name=node(model, "Div").output[0])


def given_twice(op: str, name: str, value: float) -> Edit:
    """Readers that disagree on which of two attributes counts would see two networks."""
    return lambda model: node(model, op).attribute.append(helper.make_attribute(name, value))


def type_confusion(model: ModelProto) -> None:
    """k is declared a float but holds an integer, so that readers may see 0, 2 or 3."""
    k = next(a for a in node(model, "SortNeuron").attribute if a.name == "k")
    k.type = onnx.AttributeProto.FLOAT


def two_values(model: ModelProto) -> None:
    next(a for a in node(model, "SortNeuron").attribute if a.name == "k").f = 1.0


def attribute_of_caller(model: ModelProto) -> None:
    """A reference to an attribute of a function, outside of any function."""
    next(a for a in node(model, "SortNeuron").attribute if a.name == "k").ref_attr_name = "k"


def attribute_of_no_type(model: ModelProto) -> None:
    next(a for a in node(model, "SortNeuron").attribute if a.name == "k").ClearField("type")


def shadowed_input(model: ModelProto) -> None:
    fixed = np.full((1, *NETWORKS["margin"].input_shape), 0.5, F32)
    model.graph.initializer.append(numpy_helper.from_array(fixed, "input"))


def input_of_any_size(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "W"


def of_type(data_type: int) -> Edit:
    return lambda model: setattr(constant(model, "weight2"), "data_type", data_type)


def texts(model: ModelProto) -> None:
    tensor = constant(model, "weight2")
    tensor.ClearField("raw_data")
    tensor.data_type = TensorProto.STRING
    tensor.string_data.extend([b"1.0"] * 8)


def segment(model: ModelProto) -> None:
    constant(model, "weight2").segment.end = 4


def raw_size(extra: int) -> Edit:
    def edit(model: ModelProto) -> None:
        tensor = constant(model, "weight2")
        tensor.raw_data = (tensor.raw_data + bytes(8))[: len(tensor.raw_data) + extra]

    return edit


def lookalike(model: ModelProto) -> None:
    """An output whose o is Cyrillic."""
    model.graph.output[0].name = "l\u043egits"


def renamed(old: bytes, new: bytes) -> Edit:
    """Bytes that protocol buffers accept as a string, though they are no UTF-8."""

    def edit(model: ModelProto) -> None:
        data = model.SerializeToString().replace(old, new)
        model.Clear()
        model.ParseFromString(data)

    return edit


def unknown_field(find: Callable[[ModelProto], Message]) -> Edit:
    """Field 500, which a runtime newer than this verifier may understand."""

    def edit(model: ModelProto) -> None:
        find(model).MergeFromString(b"\xa2\x1f\x05hello")

    return edit


def second_output(model: ModelProto) -> None:
    node(model, "SortNeuron").output.append("another")


def function_defaults(model: ModelProto) -> None:
    """The function reads a k of its own."""
    model.functions[0].attribute_proto.append(helper.make_attribute("k", 1))


def repeated_function(model: ModelProto) -> None:
    model.functions.append(model.functions[0])


def shared_weights(model: ModelProto) -> None:
    """A little file of endless work: thousands of layers on one wide image."""
    shape = model.graph.input[0].type.tensor_type.shape
    for dim, size in zip(shape.dim[1:], (1, 2**12, 2**12), strict=True):
        dim.dim_value = size
    first = node(model, "Flatten")
    chain = [first.output[0], *(f"again{i}" for i in range(8000))]
    readers = [n for n in model.graph.node if first.output[0] in n.input]
    for n in readers:
        n.input[list(n.input).index(first.output[0])] = chain[-1]
    place = list(model.graph.node).index(first) + 1
    nodes = list(model.graph.node)
    nodes[place:place] = [helper.make_node("Relu", [a], [b]) for a, b in pairwise(chain)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def typed_data(model: ModelProto) -> None:
    """Readers that disagree on which of two copies counts would see two networks."""
    constant(model, "weight").float_data.extend([0.0] * 8)


def patch_beyond(model: ModelProto) -> None:
    change(constant(model, "patches"), lambda v: v + 100)


def patch_negative(model: ModelProto) -> None:
    change(constant(model, "patches"), lambda v: v - 20)


def unknown_op(model: ModelProto) -> None:
    node(model, "Abs").op_type = "Exp"


def affine_unbiased(model: ModelProto) -> None:
    target = node(model, "Gemm")
    target.attribute.append(helper.make_attribute("alpha", 0.5))


def single_precision(model: ModelProto) -> None:
    """The affine layer without its casts to float64."""
    for cast in [n for n in model.graph.node if n.op_type == "Cast"]:
        for a in cast.attribute:
            a.i = TensorProto.FLOAT


def radius_rank(model: ModelProto) -> None:
    """Take the margin between the first and itself, or of other classes."""
    put("second", 2)(model)


def bounds_swapped(model: ModelProto) -> None:
    target = node(model, "SortNeuronBounds")
    target.input[0], target.input[1] = target.input[1], target.input[0]


def bounds_outputs_swapped(model: ModelProto) -> None:
    target = node(model, "SortNeuronBounds", 1)
    target.output[0], target.output[1] = target.output[1], target.output[0]


def bounds_other_weights(model: ModelProto) -> None:
    target = node(model, "SortNeuronBounds", 1)
    other = numpy_helper.to_array(constant(model, target.input[2])) * F32(0.5)
    model.graph.initializer.append(numpy_helper.from_array(other, "tame"))
    target.input[2] = "tame"


def bounds_point(model: ModelProto) -> None:
    """Both bounds are the upper one."""
    target = node(model, "SortNeuronBounds", 1)
    target.input[0] = target.input[1]


def bounds_wide_weights(model: ModelProto) -> None:
    """The worst margin uses rows of a tamer copy of the last layer."""
    target = next(n for n in model.graph.node if "row_differences" in n.output)
    source = next(n for n in model.graph.node if n.output[0] == target.input[1])
    other = numpy_helper.to_array(constant(model, source.input[0])) * F32(0.5)
    model.graph.initializer.append(numpy_helper.from_array(other, "tame"))
    cast = helper.make_node("Cast", ["tame"], ["tame_wide"], to=TensorProto.DOUBLE)
    model.graph.node.insert(0, cast)
    target.input[1] = "tame_wide"


BOTH: dict[str, Edit] = {
    "rho": attribute("SortNeuron", "rho", 1.5),
    "negative rho": attribute("SortNeuron", "rho", -0.5),
    "k": attribute("SortNeuron", "k", 99),
    "k zero": attribute("SortNeuron", "k", 0),
    "k as a float": attribute("SortNeuron", "k", 2.0),
    "another attribute": attribute("SortNeuron", "gain", 2.0),
    "normalisation scaled": scale("std", 1 / 64),
    "std zero": put("std", 0),
    "std negative": put("std", -0.25),
    "offset far away": scale("mean", 1e7),
    "weights huge": scale("weight2", 1e30),
    "weights NaN": put("weight2", math.nan),
    "weights infinite": put("shift", math.inf),
    "hidden Mul": hidden_mul,
    "hidden Cast": hidden("Cast", "SortNeuron", to=TensorProto.FLOAT16),
    "hidden Clip": hidden("Clip", "Abs"),
    "hidden Identity": hidden("Identity", "Abs"),
    "hidden Dropout": hidden("Dropout", "Abs"),
    "label on something else": hidden("Neg", "ArgMax"),
    "function body": function_body,
    "function constant": function_constant,
    "function missing": lambda model: model.functions.pop() and None,
    "function of a standard name": function_added,
    "function overload": function_overload,
    "outputs swapped": swap_outputs,
    "radius is a logit": radius_is_a_logit,
    "external data": external_data,
    "weights as input": overridable,
    "extra input": extra_input,
    "extra output": extra_output,
    "cycle": cycle,
    "one name for all nodes": lambda model: (
        [setattr(n, "name", "x") for n in model.graph.node] and None
    ),
    "name defined twice": two_definitions,
    "dead node": dead_node,
    "dead constant": dead_constant,
    "layer bypassed": bypass_layer,
    "ArgMin": label_of_radius,
    "last of equal labels": attribute("ArgMax", "select_last_index", 1),
    "box of another tensor": box_of_another_tensor,
    "box test weakened": no_box,
    "box too wide": box_too_wide,
    "opset 17": opset(17),
    "opset 22": opset(22),
    "foreign opset": foreign_opset,
    "foreign domain": foreign_domain,
    "IR version": lambda model: setattr(model, "ir_version", 3),
    "weights transposed": dimensions("weight6", [6, 5]),
    "huge dimensions": dimensions("weight6", [2**40, 2**40]),
    "negative dimensions": dimensions("weight6", [-1, 6]),
    "huge input": huge_input,
    "fixed batch": fixed_batch,
    "declared shape": declared_shape,
    "float64 weights": double_weights,
    "float16 weights": half_weights,
    "sparse initializer": sparse,
    "subgraph": subgraph,
    "training information": training,
    "two copies of the weights": typed_data,
    "patches beyond the input": patch_beyond,
    "negative patches": patch_negative,
    "quantization annotation": quantized,
    "attribute given twice": given_twice("SortNeuron", "k", 1),
    "attribute given twice alike": given_twice("ArgMax", "axis", 1),
    "attribute of another type": type_confusion,
    "attribute of two values": two_values,
    "attribute of a caller": attribute_of_caller,
    "attribute without a type": attribute_of_no_type,
    "std subnormal": put("std", 2.0**-140),
    "std NaN": put("std", math.nan),
    "mean infinite": put("mean", -math.inf),
    "constant that shadows the input": shadowed_input,
    "input of any width": input_of_any_size,
    "weights of texts": texts,
    "weights of integers": of_type(TensorProto.INT32),
    "weights of bfloat16": of_type(TensorProto.BFLOAT16),
    "weights of an unknown type": of_type(99),
    "segment of weights": segment,
    "dimensions that overflow": dimensions("weight2", [2**32, 2**32, 8]),
    "dimensions to wrap around": dimensions("weight2", [2**62 + 2, 4]),
    "no dimensions": dimensions("weight2", []),
    "weights cut": raw_size(-4),
    "weights and more": raw_size(4),
    "lookalike output": lookalike,
    "lookalike operation": rename_op("Div", "Di\u0475"),
    "operation that is no text": renamed(b"ArgMax", b"ArgM\xff\xfe"),
    "domain that is no text": renamed(b"ai.sortnet", b"ai.sortn\xff\xfe"),
    "domain of another version": lambda model: setattr(model.opset_import[1], "version", 2),
    "domain given twice": lambda model: model.opset_import.append(helper.make_opsetid("", 18)),
    "domain under another name": lambda model: model.opset_import.append(
        helper.make_opsetid("ai.onnx", 18)
    ),
    "overloaded node": lambda model: setattr(node(model, "SortNeuron"), "overload", "other"),
    "second output": second_output,
    "metadata of a node": lambda model: node(model, "Div").metadata_props.add(key="a") and None,
    "metadata given twice": lambda model: (
        model.metadata_props.add(key="sortnet.lipschitz", value="0") and None
    ),
    "options of the runtime": lambda model: (
        model.metadata_props.add(
            key="ort_config", value='{"session_options": {"enable_profiling": 1}}'
        )
        and None
    ),
    "unknown field of the model": unknown_field(lambda model: model),
    "unknown field of the graph": unknown_field(lambda model: model.graph),
    "unknown field of a node": unknown_field(lambda model: node(model, "Div")),
    "unknown field of an attribute": unknown_field(
        lambda model: node(model, "ArgMax").attribute[0]
    ),
    "unknown field of weights": unknown_field(lambda model: constant(model, "weight2")),
    "unknown field of a type": unknown_field(lambda model: model.graph.input[0].type),
    "unknown field of a function": unknown_field(lambda model: model.functions[0]),
    "function with a default": function_defaults,
    "function given twice": repeated_function,
    "format of a later version": lambda model: (
        [setattr(p, "value", "99") for p in model.metadata_props if "format" in p.key] and None
    ),
    "name of an inlined value": renamed(b"v0_centered", b"_inlfunc_xy"),
    "endless work": shared_weights,
    "unknown activation": unknown_op,
    "swapped operation": rename_op("Sub", "Add"),
    "Gemm with a factor": affine_unbiased,
    "casts to single precision": single_precision,
    "groups of another size": lambda model: change(
        constant(model, "groups"), lambda v: v[[0, 2, 1]]
    ),
    "padding with two": lambda model: change(constant(model, "one_zero_more"), lambda v: v * 2),
    "transposition": attribute("Transpose", "perm", [0, 1, 2]),  # type: ignore[arg-type]
    "smallest instead of largest": attribute("TopK", "largest", 0),
}

MARGIN: dict[str, Edit] = {
    "no slack": put("margin_slack", 0),
    "slack a little small": scale("margin_slack", 1 - 2**-14),
    "slack NaN": put("margin_slack", math.nan),
    "slack infinite": put("margin_slack", math.inf),
    "slack negative": put("margin_slack", -1),
    "scale": scale("margin_scale", 1 + 2**-14),
    "scale negative": put("margin_scale", -1),
    "margin to another rank": radius_rank,
    "affine weights scaled": scale("weight4", 1.01),
    "top 2 of something else": hidden("Abs", "TopK", 0),
}

INTERVAL: dict[str, Edit] = {
    "eps": scale("eps", 1.01),
    "eps NaN": put("eps", math.nan),
    "reach": scale("reach", 0.99),
    "reach without rounding": lambda model: change(
        constant(model, "reach"), lambda v: numpy_helper.to_array(constant(model, "eps"))
    ),
    "interval slack": put("interval_slack", 0),
    "widening": put("widen", 0),
    "widening negative": scale("widen", -1),
    "bounds swapped": bounds_swapped,
    "bounds' outputs swapped": bounds_outputs_swapped,
    "bounds with other weights": bounds_other_weights,
    "bounds of a point": bounds_point,
    "rows of another matrix": bounds_wide_weights,
    "bounds with another rho": attribute("SortNeuronBounds", "rho", 0.0),
    "class numbers": lambda model: change(constant(model, "classes"), lambda v: v[::-1]),
    "certified by or": lambda model: setattr(node(model, "And", -1), "op_type", "Or"),
    "apart or equal": rename_op("Greater", "GreaterOrEqual"),
}


def at_feature(name: str, value: float, place: tuple[int, ...] = (0, 0, 3)) -> Edit:
    """One entry of a constant that holds one for each feature."""

    def edit(model: ModelProto) -> None:
        def changed(values: np.ndarray) -> np.ndarray:
            values[place] = value
            return values

        change(constant(model, name), changed)

    return edit


def another(output: str, place: int, value: np.ndarray | float) -> Edit:
    """An input of the node that computes ``output`` becomes a constant of its own."""

    def edit(model: ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(F32(value), "foreign"))
        target = next(n for n in model.graph.node if output in n.output)
        target.input[place] = "foreign"

    return edit


def unit_dropped(model: ModelProto) -> None:
    """As format 1 the file would claim pixels."""
    del model.graph.output[-1]
    model.graph.node.remove(node(model, "Identity", -1))
    model.graph.initializer.remove(constant(model, "units"))


FEATURES: dict[str, Edit] = {
    "units doubled": scale("units", 2),
    "unit negative": at_feature("units", -1),
    "unit NaN": at_feature("units", math.nan),
    "unit infinite": at_feature("units", math.inf),
    "no units": put("units", 0),
    "unit of a fixed feature": at_feature("units", 100, FIXED),
    "units in another shape": dimensions("units", [3, 4, 1]),
    "units flat": dimensions("units", [12]),
    "units that are computed": lambda model: setattr(node(model, "Identity", -1), "op_type", "Abs"),
    "units of the batch": lambda model: node(model, "Identity", -1).input.__setitem__(0, "input"),
    "units dropped": unit_dropped,
    "one unit for all": another("unit", 0, 0.5),
    "box far wider": scale("box_high", 1e6),
    "box empty": at_feature("box_low", 3),
    "box NaN": at_feature("box_high", math.nan),
    "box infinite": at_feature("box_low", -math.inf),
    "box in another shape": dimensions("box_low", [3, 4, 1]),
    "one box for all": another("not_above", 1, 1.0),
    "box of other axes": lambda model: change(constant(model, "pixel_axes"), lambda v: v[:-1]),
    "no std at a feature": at_feature("std", 0),
    "std tiny at a feature": at_feature("std", 2.0**-70),
    "mean in another shape": dimensions("mean", [3, 4, 1]),
    "one mean for all": another("v0_centered", 1, 0.5),
    "std flat": dimensions("std", [12]),
}

BALL: dict[str, Edit] = {
    "reach of a fixed feature": at_feature("reach", 2.0**-30, FIXED),
    "reach short at a feature": at_feature("reach", 0.0015),
    "no reach at a feature": at_feature("reach", 0),
    "reach NaN": at_feature("reach", math.nan),
    "reach negative": scale("reach", -1),
    "one reach for all": another("ball_above", 1, 1.0),
    "ball in another box": another("ball_lower", 1, np.full(SHAPE, 0.25)),
    "ball in a narrower box": another("ball_upper", 1, np.zeros(SHAPE)),
}


def outputs_swapped(a: str, b: str) -> Edit:
    """Two values get each other's name."""

    def edit(model: ModelProto) -> None:
        swap = {a: b, b: a}
        for n in model.graph.node:
            for names in (n.input, n.output):
                for i, name in enumerate(names):
                    names[i] = swap.get(name, name)

    return edit


def end(op: str) -> Callable[[ModelProto], NodeProto]:
    """The last node of this kind."""
    return lambda model: node(model, op, -1)


REGRESSION: dict[str, Edit] = {
    "no value slack": put("value_slack", 0),
    "value slack a little small": scale("value_slack", 1 - 2**-14),
    "value slack NaN": put("value_slack", math.nan),
    "value reach": scale("value_reach", 0.999),
    "value reach negative": scale("value_reach", -1),
    "value reach NaN": put("value_reach", math.nan),
    "radius larger": scale("radius_of_bounds", 1.01),
    "radius negative": scale("radius_of_bounds", -1),
    "radius NaN": put("radius_of_bounds", math.nan),
    "radius far too large": put("radius_of_bounds", 2.0**30),
    "bounds outside the box": put("lower_unknown", 0),
    "upper outside the box": put("upper_unknown", 1e30),
    "lower and upper": outputs_swapped("lower", "upper"),
    "value and lower": outputs_swapped("value", "lower"),
    "looser of two, but wrong": lambda model: setattr(end("Max")(model), "op_type", "Min"),
    "bound of the other side": lambda model: end("Squeeze")(model).input.__setitem__(
        0, "lower_moved"
    ),
    "squeezed axis": lambda model: change(constant(model, "axis_one"), lambda v: v - 1),
    "another value": lambda model: node(model, "Squeeze").input.__setitem__(0, "v9"),
    "certificate of a batch": attribute("ReduceMin", "keepdims", 1),
    "box test of the upper bound": lambda model: end("Where")(model).input.__setitem__(
        0, "pixel_inside"
    ),
}

OF_LABELS = {
    "label on something else",
    "outputs swapped",
    "radius is a logit",
    "cycle",
    "name defined twice",
    "ArgMin",
    "last of equal labels",
    "attribute given twice alike",
    "lookalike output",
    "operation that is no text",
    "unknown field of an attribute",
}
"""Changes of what a regression has not."""

RANK: dict[str, Edit] = {
    "another rank of the bounds": put("last", 1),
    "rank of fewer": put("rank", 2),
    "rank zero": put("rank", 0),
    "rank beyond the window": put("rank", 9),
    "windows beyond the input": scale("windows", 100),
    "windows negative": scale("windows", -1),
    "windows of the bounds": lambda model: another_integer(model, "l1_windows", 1),
    "smallest of a window": attribute("TopK", "largest", 0),
    "windows along the batch": attribute("Gather", "axis", 0),
    "two zeros around": put("one_zero_more", 2),
}


def rewired(output: str, place: int, source: str) -> Edit:
    """An input of the node that computes ``output`` becomes another value."""

    def edit(model: ModelProto) -> None:
        next(n for n in model.graph.node if output in n.output).input[place] = source

    return edit


LEARNED: dict[str, Edit] = {
    "coefficients doubled": scale("coefficients1", 2),
    "coefficients of the bounds": another("positive1", 0, np.full((4, 3), 0.1)),
    "sign test": another("negative1", 1, 5.0),
    "fewer order statistics": lambda model: change(constant(model, "count1"), lambda v: v - 1),
    "nearest for farthest": rewired("l1_lost", 0, "l1_largest"),
    "farthest for nearest": rewired("u1_gained", 0, "l1_largest"),
    "order statistics of other weights": another("l1_below", 1, np.zeros((4, 12))),
    "distances above zero": another("l1_nearest", 2, -5.0),
    "bounds from one end": rewired("u1_row", 0, "ball_lower"),
    "sum over another axis": lambda model: change(constant(model, "axis_two"), lambda v: v - 1),
    "slopes doubled": scale("slopes2", 2),
    "slopes of the bounds": another("k2_slopes", 0, np.zeros((4, 4))),
    "beginning of a piece": put("begin2", 0),
    "knots that fall": lambda model: change(constant(model, "end2"), lambda v: v[::-1]),
    "origin of a piece": put("origin2", 1),
    "a knot left out of the bounds": another("c2_raised", 1, [-1, 0, 0]),
    "an end left out": rewired("c2_candidates", 2, "l2_end"),
    "largest for smallest": lambda model: setattr(
        next(n for n in model.graph.node if "l2" in n.output), "op_type", "ReduceMax"
    ),
    "values of the lower end only": rewired("k2_column", 0, "l2_end"),
    "clipped to the wrong end": rewired("c2_inside", 1, "l2_end"),
}


def another_integer(model: ModelProto, output: str, place: int) -> None:
    """The windows of one side in another order."""
    target = next(n for n in model.graph.node if output in n.output)
    other = numpy_helper.to_array(constant(model, target.input[place]))[::-1]
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(other), "foreign"))
    target.input[place] = "foreign"


CASES = [
    *[("ranked", name, edit) for name, edit in RANK.items()],
    *[("learned", name, edit) for name, edit in LEARNED.items()],
    *[(kind, name, edit) for kind in CLASSIFIERS for name, edit in BOTH.items()],
    *[("regression", name, edit) for name, edit in BOTH.items() if name not in OF_LABELS],
    *[(kind, name, edit) for kind in KINDS if "margin" in kind for name, edit in MARGIN.items()],
    *[
        (kind, name, edit)
        for kind in KINDS
        if "interval" in kind
        for name, edit in INTERVAL.items()
    ],
    *[
        (kind, name, edit)
        for kind in KINDS
        if kind.startswith("features") or kind == "regression"
        for name, edit in FEATURES.items()
    ],
    *[
        (kind, name, edit)
        for kind in ("features interval", "regression")
        for name, edit in BALL.items()
    ],
    *[("regression", name, edit) for name, edit in REGRESSION.items()],
]


@pytest.mark.parametrize("kind", KINDS)
def test_untouched_files_are_proved_and_read_back(kind: str) -> None:
    assert verify_model(MODELS[kind]).proved
    read = read_model(MODELS[kind]).network
    x = images(np.random.default_rng(0), read, 20)
    assert (read.value(x) == NETWORKS[kind].value(x)).all()


@pytest.mark.parametrize(("kind", "name", "edit"), CASES, ids=[f"{k}-{n}" for k, n, _ in CASES])
def test_tampering_is_refused(kind: str, name: str, edit: Edit, tmp_path: Path) -> None:
    model = copy(kind)
    edit(model)
    assert model.SerializeToString() != MODELS[kind].SerializeToString()
    proof = verify_model(model)
    assert not proof.proved and proof.reasons and all(proof.reasons)
    assert golden.verdict(proof) == VERDICTS[f"{kind}, {name}"]
    if kind.startswith("features"):
        return  # sessions are tried with one file of each form
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=r"model\.onnx"):
        CertifiedSession(tmp_path / "model.onnx")


def with_room(edit: Edit) -> Edit:
    """An edit of a file whose radius is smaller than it could be."""

    def both(model: ModelProto) -> None:
        edit(model)
        scale("margin_slack", 2)(model)
        scale("margin_scale", 0.5)(model)

    return both


HARMLESS: dict[str, Edit] = {
    "names": lambda model: (
        [setattr(n, "name", f"x{i}") for i, n in enumerate(model.graph.node)] and None
    ),
    "no names": lambda model: [n.ClearField("name") for n in model.graph.node] and None,
    "documentation": lambda model: setattr(model, "doc_string", "radius is always 1"),
    "producer": lambda model: setattr(model, "producer_name", "someone"),
    "other metadata": lambda model: model.metadata_props.add(key="team", value="x") and None,
    "metadata that is no text": lambda model: model.ParseFromString(
        model.SerializeToString().replace(b"sortnet.preset", b"sortnet.pres\xff\xfe")
    ),
    "weights halved": scale("weight6", 0.5),
    "another rho": with_room(attribute("SortNeuron", "rho", 0.25)),
    "less sorting": with_room(attribute("SortNeuron", "k", 1)),
    "wider std": scale("std", 2.0),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_other_networks_are_verified_as_what_they_are(name: str, tmp_path: Path) -> None:
    """Where the constants in the graph still suffice, the certificates of the new network hold."""
    model = copy("margin")
    HARMLESS[name](model)
    proof = verify_model(model)
    assert proof.proved, proof.reasons
    assert VERDICTS[f"margin, {name}"] == ["proved"]
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    session = CertifiedSession(path)
    rng = np.random.default_rng(3)
    x = images(rng, session.network, 50)
    prediction = session.predict(x)
    assert (session.network.value(x).argmax(1) == prediction.label).all()
    reach = prediction.radius[:, None, None, None].astype(np.float64)
    for _ in range(50):
        near = np.clip(x + rng.choice([-1, 1], size=x.shape) * reach, 0, 1)
        assert (session.network.value(near).argmax(1) == prediction.label).all()


def test_metadata_is_compared_and_never_believed() -> None:
    model = copy("margin")
    lies = {"sortnet.lipschitz": "1e-9", "sortnet.error_bound": "0.0", "sortnet.box": "[0, 255]"}
    for prop in model.metadata_props:
        prop.value = lies.get(prop.key, prop.value)
    proof, honest = verify_model(model), verify_model(MODELS["margin"])
    assert proof.proved and len(proof.notes) == 3 and not honest.notes
    assert proof.analysis == honest.analysis


ALL_CASES = [*CASES, *(("margin", name, edit) for name, edit in HARMLESS.items())]
VERDICTS = golden.load("verdicts.json")


def test_there_are_enough_kinds() -> None:
    assert VERDICTS.keys() == {f"{kind}, {name}" for kind, name, _ in ALL_CASES}
    assert len(BOTH) + len(MARGIN) + len(INTERVAL) >= 120
    assert len(FEATURES) + len(BALL) + len(REGRESSION) >= 50


def test_trailing_bytes_are_refused() -> None:
    """Also a second, empty graph, which protocol buffers would merge with the first."""
    data = MODELS["margin"].SerializeToString()
    for tail in (b"\0", b"garbage", b"\x3a", b"\xa2\x1f\x05hello"):
        with pytest.raises(RefusedError):
            check_model(parse_model(data + tail))
    merged, plain = (verify_model(parse_model(data + tail)) for tail in (b"\x3a\0", b""))
    assert merged.proved and merged.analysis == plain.analysis


def test_special_files_are_refused(tmp_path: Path) -> None:
    """They may never end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe"):
        proof = verify(path)
        assert not proof.proved and "not a regular file" in proof.reasons[0]


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-45])
def test_constants_that_underflow(scale: float) -> None:
    """The product of 15 tiny Lipschitz constants is 0 in float64; the radius stays finite."""
    flat = [Affine(np.full((4, 4), scale, F32), F32([0, 1, 2, 3])) for _ in range(15)]
    tiny = Network((1, 2, 2), (Flatten(), *flat))
    proof = verify_model(build_model(tiny))
    assert proof.proved and proof.analysis is not None
    assert 0 < proof.analysis.lipschitz < 1e-25
    x = images(np.random.default_rng(0), tiny, 3)
    _, label, radius = start(build_model(tiny).SerializeToString(), True).run(None, {"input": x})
    assert (label == 3).all() and (radius > 1).all() and np.isfinite(radius).all()
