"""Every value that a real host computes lies where the relation of the proofs allows (sampled)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import onnx.reference
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from javascript import WEB, JavaScriptHost, javascript_host
from networks import F32, any_networks, images, neuron, start
from onnx import ModelProto, TensorProto, helper
from relation import allowed, nearest, proved_margin, radius

from sortnet.certificate.network import Network
from sortnet.certificate.operations import Bias, Flatten, Normalize, Operation, ReLU, Shift
from sortnet.export.reader import MarginRadius, read_model
from sortnet.export.writer import build_model

Host = Callable[[ModelProto, np.ndarray], list[np.ndarray]]


def onnx_runtime(library: bool, optimize: bool) -> Host:
    return lambda model, x: start(model.SerializeToString(), library, optimize).run(
        None, {"input": x}
    )


def flushing(model: ModelProto, x: np.ndarray) -> list[np.ndarray]:
    """ONNX Runtime with numbers below 2^-126 taken for 0."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"input": x})


def reference(model: ModelProto, x: np.ndarray) -> list[np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return onnx.reference.ReferenceEvaluator(model).run(None, {"input": x})


HOSTS: dict[str, Host] = {
    "library": onnx_runtime(True, True),
    "library, as written": onnx_runtime(True, False),
    "functions": onnx_runtime(False, True),
    "functions, as written": onnx_runtime(False, False),
    "flushing": flushing,
    "onnx.reference": reference,
}


WEBASSEMBLY = {"WebAssembly": True, "WebAssembly, as written": False}
"""ONNX Runtime in the browser's virtual machine, under Node: whether it optimizes."""


def webassembly(
    started: JavaScriptHost, folder: Path, optimize: bool, model: ModelProto, x: np.ndarray
) -> list[np.ndarray]:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    found = started.run(path, x, optimize)
    return [found[output.name] for output in model.graph.output]


@pytest.fixture(
    scope="module",
    params=[*HOSTS, *(pytest.param(name, marks=pytest.mark.slow) for name in WEBASSEMBLY)],
)
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    if request.param in HOSTS:
        yield HOSTS[request.param]
        return
    folder = tmp_path_factory.mktemp("webassembly")
    with javascript_host(WEB, folder) as started:
        yield partial(webassembly, started, folder, WEBASSEMBLY[request.param])


def fractions(values: np.ndarray) -> list[Fraction]:
    return [Fraction(float(value)) for value in values.reshape(-1)]


def examine(network: Network, x: np.ndarray, host: Host) -> None:
    model = build_model(network)
    read = read_model(model)
    kind = read.radius
    assert isinstance(kind, MarginRadius)
    names = [f"v{index}" for index in range(len(network.ops) - 1)]
    for name in names:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    logits, label, found, *inner = host(model, x)
    if read.version > 1:
        assert (inner.pop(0) == network.input.unit).all()
    values = [x, *inner, logits]
    for sample in range(len(x)):
        for index, op in enumerate(network.ops):
            before, after = (fractions(values[i][sample]) for i in (index, index + 1))
            intervals = allowed(op, before)
            assert len(intervals) == len(after)
            for unit, (value, (low, high)) in enumerate(zip(after, intervals, strict=True)):
                assert low <= value <= high, (
                    index,
                    op,
                    unit,
                    float(value),
                    float(low),
                    float(high),
                )
        last = fractions(logits[sample])
        assert last[label[sample]] == max(last)
        low, high = radius(last, kind.slack, kind.scale)
        assert low <= Fraction(float(found[sample])) <= high


@settings(max_examples=5)
@given(network=any_networks().filter(proved_margin), seed=st.integers(0, 2**32 - 1))
def test_hosts_stay_within_the_relation(host: Host, network: Network, seed: int) -> None:
    examine(network, images(np.random.default_rng(seed), network, 2), host)


def edges(kind: str) -> Network:
    """Values next to where floats change: far weights, cancellation, numbers below 2^-126."""
    rng = np.random.default_rng(3)
    vector = lambda n, scale: (rng.normal(size=n) * scale).astype(F32)  # noqa: E731
    ops: list[Operation] = [Normalize(float(F32(0.1)), float(F32(0.3))), Flatten()]
    if kind == "far":
        first = neuron(rng, 6, 4, 6, float(F32(0.9)))
        first.W[:] += F32(1000)
        ops += [first, Shift(vector(4, 1) + F32(1000))]
    elif kind == "tiny":
        ops += [neuron(rng, 6, 4, 2, float(F32(1e-25))), Shift(vector(4, 1e-40))]
    else:
        ops += [neuron(rng, 6, 4, 4, 0.0), Bias(vector(4, 1e-38)), ReLU()]
    ops += [neuron(rng, 4, 3, 4, 0.5), Bias(vector(3, 1))]
    return Network((1, 2, 3), tuple(ops))


@pytest.mark.parametrize("kind", ["far", "tiny", "flat"])
def test_the_edges_of_floats(host: Host, kind: str) -> None:
    x = images(np.random.default_rng(0), edges(kind), 3)
    x[1] = 0
    x[2, 0, 0, 0] = F32(1e-40)
    examine(edges(kind), x, host)


def test_the_relation_is_not_everything() -> None:
    """A value that is one float off is no rounding, and a lost term is no other order."""
    values = [Fraction(1, 3) + i for i in range(4)]
    values = [nearest(value) for value in values]
    shift = Shift(F32([0.1, 0.2, 0.3, 0.4]))
    for value, (low, high) in zip(
        np.array([float(v) for v in values], F32) - shift.values,
        allowed(shift, values),
        strict=True,
    ):
        assert low == high == Fraction(float(value))
    op = neuron(np.random.default_rng(0), 4, 3, 3, 0.75)
    for low, high in allowed(op, values):
        assert high - low < Fraction(1, 2**18) * high


@given(st.fractions(-(2**20), 2**20))
def test_nearest_is_that_of_numpy(z: Fraction) -> None:
    """Through float64, which is exact enough unless it lands on a tie."""
    wide = float(z)
    if Fraction(wide) == z or abs(Fraction(wide) - z) * 2**60 < abs(z):
        single = Fraction(float(F32(wide)))
        assert nearest(z) == single or abs(abs(nearest(z) - z) - abs(single - z)) * 2**45 < abs(z)
