"""Random small networks of every kind the format knows, and what they compute in float64."""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnxruntime
from hypothesis import strategies as st

from sortnet.backend.native import library_path
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

F32 = np.float32
ZERO = Fraction(0)


def neuron(rng: np.random.Generator, inputs: int, outputs: int, k: int, rho: float) -> SortNeuron:
    return SortNeuron(rng.normal(size=(outputs, inputs)).astype(F32), float(F32(rho)), k)


@st.composite
def networks(draw: st.DrawFn, head: bool | None = None, classes: int | None = None) -> Network:
    """A few layers of any kind on a tiny image."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = tuple(draw(st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 3))))
    std = draw(st.sampled_from([1.0, 0.25, float(F32(0.3))]))
    ops: list[Op] = [Normalize(float(F32(0.2)), std), Flatten()]
    units = int(np.prod(shape))
    kinds = ["sort", "conv", "affine", "group", "abs", "relu"]
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(kinds))
        if kind == "sort":
            outputs = draw(st.integers(1, 6))
            k = draw(st.integers(1, units))
            rho = draw(st.sampled_from([0.0, 0.3, 0.75]))
            ops += [neuron(rng, units, outputs, k, rho), Shift(_vector(rng, outputs))]
        elif kind == "conv":
            positions, entries = draw(st.integers(1, 3)), draw(st.integers(1, 4))
            patches = rng.integers(0, units + 1, size=(positions, entries))
            outputs = draw(st.integers(1, 3)) * positions
            ops.append(SortConv(patches, neuron(rng, entries, outputs // positions, 1, 0.0)))
        elif kind == "affine":
            outputs = draw(st.integers(1, 6))
            ops.append(_affine(rng, units, outputs))
        elif kind == "group":
            size = draw(st.integers(2, 3))
            outputs = size * draw(st.integers(1, 2))
            ops += [_affine(rng, units, outputs), GroupSort(size)]
        else:
            outputs = units
            ops.append(Activation(kind))
        units = outputs
    classes = classes or draw(st.integers(2, 4))
    if draw(st.booleans()) if head is None else head:
        ops += [_affine(rng, units, 5), Activation("tanh"), _affine(rng, 5, classes)]
    else:
        k = draw(st.integers(1, units))
        ops += [neuron(rng, units, classes, k, 0.5), Bias(_vector(rng, classes)), Negate()]
    return Network(shape, tuple(ops))


def _vector(rng: np.random.Generator, size: int) -> Array:
    return rng.normal(size=size).astype(F32)


def _affine(rng: np.random.Generator, inputs: int, outputs: int) -> Affine:
    W = rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)
    return Affine(W.astype(F32), _vector(rng, outputs))


def images(rng: np.random.Generator, network: Network, count: int) -> Array:
    return rng.random((count, *network.input_shape)).astype(F32)


def evaluate(network: Network, x: Array) -> Array:
    """Logits in float64, one obvious line per operation: [N, K]."""
    v = x.astype(np.float64)
    for op in network.ops:
        v = _apply(op, v)
    return v


def _apply(op: Op, v: Array) -> Array:
    match op:
        case Normalize():
            return (v - op.mean) / op.std
        case Flatten():
            return v.reshape(len(v), math.prod(v.shape[1:]))
        case SortNeuron():
            a = np.abs(v[..., None, :] - op.W.astype(np.float64))
            return -np.sort(-a, axis=-1)[..., : op.k] @ op.coefficients.astype(np.float64)
        case SortConv():
            padded = np.concatenate([v, np.zeros((len(v), 1))], axis=1)
            y = _apply(op.neuron, padded[:, op.patches])
            return y.transpose(0, 2, 1).reshape(len(v), y.shape[1] * y.shape[2])
        case Shift():
            return v - op.values
        case Bias():
            return v + op.values
        case Negate():
            return -v
        case Affine():
            return v @ op.W.astype(np.float64).T + op.b
        case GroupSort():
            groups = v.reshape(len(v), v.shape[1] // op.size, op.size)
            return -np.sort(-groups, axis=-1).reshape(v.shape)
        case Activation():
            return Activation.FUNCTIONS[op.kind](v)
    raise AssertionError(op)


@functools.cache
def _options(library: bool, optimize: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    if library:
        options.register_custom_ops_library(str(library_path("sortnet_ort")))
    return options


def start(
    model: bytes | Path, library: bool, optimize: bool = True
) -> onnxruntime.InferenceSession:
    source = str(model) if isinstance(model, Path) else model
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(source, _options(library, optimize), providers=providers)


def evaluate_exact(network: Network, pixels: list[Fraction]) -> list[Fraction]:
    """Logits over the rational numbers; no tanh."""
    v = pixels
    for op in network.ops:
        v = _apply_exact(op, v)
    return v


def _fractions(array: Array) -> list[Fraction]:
    return [Fraction(float(value)) for value in array]


def _apply_exact(op: Op, v: list[Fraction]) -> list[Fraction]:
    match op:
        case Normalize():
            return [(x - Fraction(op.mean)) / Fraction(op.std) for x in v]
        case Flatten():
            return v
        case SortNeuron():
            coefficients = _fractions(op.coefficients)
            result = []
            for row in op.W:
                a = sorted((abs(x - w) for x, w in zip(v, _fractions(row), strict=True)))[::-1]
                result.append(sum((c * y for c, y in zip(coefficients, a, strict=False)), ZERO))
            return result
        case SortConv():
            padded = [*v, ZERO]
            columns = [_apply_exact(op.neuron, [padded[i] for i in row]) for row in op.patches]
            return [column[o] for o in range(len(op.neuron.W)) for column in columns]
        case Shift():
            return [x - c for x, c in zip(v, _fractions(op.values), strict=True)]
        case Bias():
            return [x + c for x, c in zip(v, _fractions(op.values), strict=True)]
        case Negate():
            return [-x for x in v]
        case Affine():
            return [
                sum((x * w for x, w in zip(v, _fractions(row), strict=True)), Fraction(float(b)))
                for row, b in zip(op.W, op.b, strict=True)
            ]
        case GroupSort():
            groups = [v[i : i + op.size] for i in range(0, len(v), op.size)]
            return [x for group in groups for x in sorted(group)[::-1]]
        case Activation(kind="relu"):
            return [max(x, ZERO) for x in v]
        case Activation(kind="abs"):
            return [abs(x) for x in v]
    raise AssertionError(op)
