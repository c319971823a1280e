"""An ONNX file as a graph of named values, checked for everything that is not a node's meaning.

Nothing is executed, no other file is touched, and names are only names: a value is the node that
computes it.
"""

from __future__ import annotations

import math
import os
import stat
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from onnx import TensorProto, helper, numpy_helper

from sortnet.certificate.rounding import Array

from .format import CLASSIFIER, DOMAIN, OPSET, REGRESSION

_OUTPUTS = (CLASSIFIER, (*CLASSIFIER, "unit"), (*REGRESSION, "unit"))

MAX_FILE = 2**31 - 1
MAX_NODES = 10_000
"""Also the most initializers; a network of ours has some hundreds."""

_BYTES = {TensorProto.FLOAT: 4, TensorProto.DOUBLE: 8, TensorProto.INT64: 8}
"""Element types of constants; every other one is refused."""

_VALUE = {
    onnx.AttributeProto.INT: "i",
    onnx.AttributeProto.FLOAT: "f",
    onnx.AttributeProto.INTS: "ints",
}
"""The field that holds an attribute of each understood type."""


class RefusedError(ValueError):
    """The file is not an exported network, or holds something that cannot be vouched for."""


@dataclass(frozen=True, eq=False)
class Const:
    name: str
    tensor: onnx.TensorProto

    @cached_property
    def array(self) -> Array:
        try:
            return numpy_helper.to_array(self.tensor)
        except Exception as error:  # onnx raises whatever the bytes provoke
            raise RefusedError(f"initializer {self.name!r} cannot be read: {error}") from None


@dataclass(frozen=True, eq=False)
class Input:
    name: str


@dataclass(frozen=True, eq=False)
class Node:
    name: str
    op: str
    domain: str
    attributes: dict[str, Any]
    inputs: tuple[Value, ...]
    outputs: int


@dataclass(frozen=True, eq=False)
class Result:
    node: Node
    index: int


Value = Const | Input | Result


def load_model(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """Parse a file without touching anything else on disk.

    Raises:
        RefusedError: not an ONNX file, or too large.
        OSError: the file cannot be read.
    """
    return parse_model(read_bytes(path))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file that may be one of ours.

    Raises:
        RefusedError: too large, or no regular file. OSError: it cannot be read.
    """
    path = Path(path)
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe may never end, a device neither
        raise RefusedError(f"{path} is not a regular file")
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > MAX_FILE:
            raise RefusedError(f"{path} is larger than 2 GiB, more than any exported file")
        return file.read(MAX_FILE)


def parse_model(data: bytes) -> onnx.ModelProto:
    """As `load_model`, from the bytes of a file."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise RefusedError("not an ONNX file (it cannot be parsed)") from None
    if not model.HasField("graph"):
        raise RefusedError("not an ONNX file (it has no graph)")
    return model


def check_model(model: onnx.ModelProto) -> None:
    if not 8 <= model.ir_version <= 10:
        raise RefusedError(f"IR version {model.ir_version} is not known (8 to 10 are)")
    opsets = [(entry.domain, entry.version) for entry in model.opset_import]
    allowed = [("", OPSET), (DOMAIN, 1)]
    if Counter(opsets) not in (Counter(allowed), Counter(allowed[:1])):
        raise RefusedError(f"opsets must be {allowed}, got {opsets}")
    _no_others(
        model,
        "model",
        "ir_version opset_import producer_name producer_version domain model_version doc_string "
        "graph metadata_props functions",
    )
    # No value_info: a runtime may believe a wrong shape and plan its memory by it.
    _no_others(model.graph, "graph", "node name initializer doc_string input output")
    if max(len(model.graph.node), len(model.graph.initializer)) > MAX_NODES:
        raise RefusedError(f"more than {MAX_NODES} nodes or initializers")
    keys = Counter(prop.key for prop in model.metadata_props)
    if repeated := [key for key, count in keys.items() if count > 1]:
        raise RefusedError(f"metadata {repeated[0]!r} is given twice")
    if "ort_config" in keys:
        raise RefusedError("metadata 'ort_config' would set options of ONNX Runtime")
    _no_unknown(model)


def _no_unknown(message: Message) -> None:
    """Refuse fields that this version of ONNX does not know: a newer runtime may."""
    if len(UnknownFieldSet(message)):
        kind = message.DESCRIPTOR.name
        raise RefusedError(f"a {kind} has a field that is not in ONNX as it is known here")
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in [value] if isinstance(value, Message) else value:
                _no_unknown(part)


def _no_others(message: Any, what: str, known: str) -> None:
    names = set(known.split())
    for descriptor, _ in message.ListFields():
        if descriptor.name not in names:
            raise RefusedError(f"{what} field {descriptor.name!r} has no place in the format")


def tensor_shape(info: onnx.ValueInfoProto, element: int) -> list[int | None]:
    kind = info.type.tensor_type
    if info.type.WhichOneof("value") != "tensor_type" or kind.elem_type != element:
        raise RefusedError(f"{info.name!r} must be a tensor of another type")
    if not kind.HasField("shape"):
        raise RefusedError(f"{info.name!r} has no declared shape")
    return [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]


def input_shape(graph: onnx.GraphProto) -> tuple[int, ...]:
    if [info.name for info in graph.input] != ["input"]:
        raise RefusedError(f"inputs must be ['input'], got {[i.name for i in graph.input]}")
    batch, *shape = tensor_shape(graph.input[0], TensorProto.FLOAT) or [0]
    if batch is not None or not shape or not all(shape):
        raise RefusedError(f"'input' must be [N, ...], N alone free, got {[batch, *shape]}")
    return tuple(int(size) for size in shape if size)


def wire(graph: onnx.GraphProto) -> tuple[dict[str, Value], list[Node]]:
    """Connect nodes by name; every name is defined once, before it is used.

    Returns:
        The graph's outputs by name, and its nodes.
    """
    values: dict[str, Value] = {info.name: Input(info.name) for info in graph.input}
    for tensor in graph.initializer:
        if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
            raise RefusedError(f"initializer {tensor.name!r} lies in another file")
        _check_name(tensor.name, values)
        what = f"initializer {tensor.name!r}:"
        _no_others(tensor, what, "dims data_type name raw_data doc_string")
        if tensor.data_type not in _BYTES:
            raise RefusedError(f"{what} its element type {tensor.data_type} is not known")
        dims = list(tensor.dims)
        if min(dims, default=0) < 0 or (
            math.prod(dims) * _BYTES[tensor.data_type] != len(tensor.raw_data)
        ):
            raise RefusedError(f"{what} dimensions {dims} do not fit {len(tensor.raw_data)} bytes")
        values[tensor.name] = Const(tensor.name, tensor)
    nodes = []
    names = [proto.name for proto in graph.node if proto.name]
    if len(set(names)) < len(names):
        raise RefusedError("two nodes have the same name")
    for proto in graph.node:
        label = proto.name or (proto.output[0] if proto.output else proto.op_type)
        _no_others(
            proto, f"node {label!r}:", "input output name op_type domain attribute doc_string"
        )
        for name in proto.input:
            if name not in values:
                raise RefusedError(f"node {label!r} uses {name!r} before anything defines it")
        node = Node(
            label,
            proto.op_type,
            "" if proto.domain == "ai.onnx" else proto.domain,
            _attributes(proto, label),
            tuple(values[name] for name in proto.input),
            len(proto.output),
        )
        for index, name in enumerate(proto.output):
            _check_name(name, values)
            values[name] = Result(node, index)
        nodes.append(node)
    names = [info.name for info in graph.output]
    if tuple(names) not in _OUTPUTS:
        raise RefusedError(f"outputs must be {list(CLASSIFIER)}, got {names}")
    missing = [name for name in names if name not in values]
    if missing:
        raise RefusedError(f"nothing computes {missing}")
    return {name: values[name] for name in names}, nodes


def _check_name(name: str, values: dict[str, Value]) -> None:
    if name in values or not name:
        raise RefusedError(f"the name {name!r} is defined twice or empty")
    if str(name).startswith("_inlfunc_"):
        raise RefusedError(f"the name {name!r} is one that ONNX Runtime gives when it inlines")


def _attributes(proto: onnx.NodeProto, label: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for attribute in proto.attribute:
        what = f"node {label!r}: attribute {attribute.name!r}"
        if attribute.type not in _VALUE or attribute.name in result:
            raise RefusedError(f"{what} is not understood")
        _no_others(attribute, what, f"name type doc_string {_VALUE[attribute.type]}")
        result[attribute.name] = helper.get_attribute_value(attribute)
    return result
