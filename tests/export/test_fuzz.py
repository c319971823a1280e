"""The loader against damaged and random files: a `Proof` in bounded time and memory, always."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import images, start
from onnx import ModelProto
from test_tampering import KINDS, MODELS

from sortnet.export.report import into_ball
from sortnet.export.verifier import Proof, verify, verify_model
from sortnet.export.wire import RefusedError, parse_model

MANY = settings(max_examples=150, deadline=5000)
FILES = {kind: model.SerializeToString() for kind, model in MODELS.items()}


def holds(data: bytes, proof: Proof) -> None:
    """What a changed file still proves must be true of what it computes now."""
    assert proof.network is not None and proof.analysis is not None
    rng = np.random.default_rng(0)
    spec = proof.network.input
    x = images(rng, proof.network, 5)
    session = start(data, library=False)
    column = (-1, *[1] * len(spec.shape))
    if proof.network.regression:
        lower, upper, eps = session.run(["lower", "upper", "eps"], {"input": x})
        reach, room = np.full((5, 1), eps), proof.analysis.error
    else:
        label, radius = session.run(["label", "radius"], {"input": x})
        reach = radius[:, None]
    reach = reach.reshape(column).astype(np.float32)
    for _ in range(10):
        step = rng.choice([-1, 1], size=x.shape) * reach * spec.unit.astype(np.float64)
        values = proof.network.value(into_ball(x + step, x, reach, spec))
        if proof.network.regression:
            assert (lower <= values[:, 0] + room).all() and (values[:, 0] - room <= upper).all()
        else:
            assert (values.argmax(1) == label)[radius > 0].all()


def examine(data: bytes) -> None:
    try:
        model = parse_model(data)
    except RefusedError:
        return
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    proof = verify_model(model)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
    assert proof.proved or proof.reasons
    if proof.proved:
        holds(model.SerializeToString(), proof)


@MANY
@given(st.sampled_from(KINDS), st.data())
def test_damaged_bytes(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "drop", "repeat", "noise"])):
            case "flip":
                damaged[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del damaged[at + 1 :]
            case "drop":
                del damaged[at : at + data.draw(st.integers(1, 40))]
            case "repeat":
                damaged[at:at] = damaged[at : at + data.draw(st.integers(1, 400))]
            case "noise":
                damaged[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8))
        if not damaged:
            break
    examine(bytes(damaged))


@MANY
@given(st.sampled_from(KINDS), st.data())
def test_rearranged_graphs(kind: str, data: st.DataObject) -> None:
    model = ModelProto()
    model.CopyFrom(MODELS[kind])
    graph = model.graph
    index = lambda items: data.draw(st.integers(0, len(items) - 1))  # noqa: E731
    for _ in range(data.draw(st.integers(1, 3))):
        node = graph.node[index(graph.node)]
        tensor = graph.initializer[index(graph.initializer)]
        match data.draw(st.sampled_from(["op", "wire", "drop", "move", "attr", "dims", "data"])):
            case "op":
                node.op_type = graph.node[index(graph.node)].op_type
            case "wire":
                names = [n for other in graph.node for n in (*other.input, *other.output)]
                node.input[index(node.input)] = names[index(names)]
            case "drop":
                graph.node.remove(node)
            case "move":
                graph.node.insert(index(graph.node), node)
                graph.node.remove(node)
            case "attr" if node.attribute:
                attribute = node.attribute[index(node.attribute)]
                attribute.i = data.draw(st.integers(-(2**63), 2**63 - 1))
                attribute.f = data.draw(st.floats(width=32))
            case "dims" if tensor.dims:
                values = st.sampled_from([-1, 0, 1, 2, 2**31, 2**62])
                tensor.dims[index(tensor.dims)] = data.draw(values)
            case "data":
                size = len(tensor.raw_data)
                tensor.raw_data = data.draw(st.binary(min_size=size, max_size=size))
    examine(model.SerializeToString())


@settings(max_examples=100, deadline=5000)
@given(st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    examine(data)


def test_files_that_are_no_files_of_ours(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04", b"\x80\x04\x95", b"{}", b"\x08\x08" * 1000):
        (tmp_path / "model").write_bytes(content)
        proof = verify(tmp_path / "model")
        assert not proof.proved and "not an ONNX file" in proof.reasons[0]
