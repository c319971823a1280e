"""Random small networks of every kind the format knows, and what they compute exactly."""

from __future__ import annotations

import functools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from hypothesis import strategies as st

from sortnet.backend.native import library_path
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
    ReLU,
    Shape,
    Shift,
    SortConv,
    SortNeuron,
    Tanh,
)
from sortnet.certificate.rounding import Array

F32 = np.float32
ZERO = Fraction(0)


def neuron(rng: np.random.Generator, inputs: int, outputs: int, k: int, rho: float) -> SortNeuron:
    return SortNeuron(rng.normal(size=(outputs, inputs)).astype(F32), float(F32(rho)), k)


@st.composite
def specs(draw: st.DrawFn) -> InputSpec:
    """Inputs of any rank, with a box and a unit of very different size for each feature."""
    shape = draw(
        st.one_of(
            st.tuples(st.integers(1, 7)),
            st.tuples(st.integers(1, 2), st.integers(1, 4)),
            st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 2)),
        )
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = 2.0 ** rng.integers(-12, 13, shape)
    low = (rng.normal(size=shape) * scale).astype(F32)
    high = np.maximum(low, (low + scale * rng.random(shape)).astype(F32))
    unit = (scale * rng.random(shape)).astype(F32)
    unit *= rng.random(shape) < draw(st.sampled_from([1.0, 0.5]))  # some cannot be changed
    if not unit.any():
        unit.reshape(-1)[0] = 0.5
    return InputSpec(shape, low, high, unit)


def normalization(spec: InputSpec) -> Normalize:
    """Each feature to about [-1, 1]."""
    middle = (spec.low.astype(np.float64) + spec.high) / 2
    half = np.maximum((spec.high.astype(np.float64) - spec.low) / 2, 2.0**-20)
    return Normalize(middle.astype(F32), half.astype(F32))


@st.composite
def networks(
    draw: st.DrawFn,
    head: bool | None = None,
    classes: int | None = None,
    features: bool = False,
) -> Network:
    """A few layers of any kind on a tiny image, or on features with a box and units."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if features:
        source: InputSpec | Shape = draw(specs())
        shape = source.shape
        ops: list[Operation] = [normalization(source), Flatten()]
    else:
        source = shape = draw(st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 3)))
        std = draw(st.sampled_from([1.0, 0.25, float(F32(0.3))]))
        ops = [Normalize(float(F32(0.2)), std), Flatten()]
    units = int(np.prod(shape))
    kinds = ["sort", "conv", "rank", "order", "pieces", "affine", "group", "abs", "relu"]
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
        elif kind == "rank":
            outputs, entries = draw(st.integers(1, 5)), draw(st.integers(1, 4))
            windows = rng.integers(0, units + 1, size=(outputs, entries))
            ops.append(RankFilter(windows, draw(st.integers(1, entries))))
        elif kind == "order":
            outputs, count = draw(st.integers(1, 4)), draw(st.integers(1, units))
            weights = rng.normal(size=(outputs, count)).astype(F32)
            ops.append(OrderStatistic(rng.normal(size=(outputs, units)).astype(F32), weights))
        elif kind == "pieces":
            outputs, count = units, draw(st.integers(1, 4))
            knots = np.sort(rng.normal(size=count)).astype(F32)
            slopes = rng.uniform(-1.5, 1.5, (units, count + 1)).astype(F32)
            ops.append(PiecewiseLinear(knots, slopes))
        elif kind == "affine":
            outputs = draw(st.integers(1, 6))
            ops.append(_affine(rng, units, outputs))
        elif kind == "group":
            size = draw(st.integers(2, 3))
            outputs = size * draw(st.integers(1, 2))
            ops += [_affine(rng, units, outputs), GroupSort(size)]
        else:
            outputs = units
            ops.append(Abs() if kind == "abs" else ReLU())
        units = outputs
    classes = classes or draw(st.integers(2, 4))
    if draw(st.booleans()) if head is None else head:
        ops += [_affine(rng, units, 5), Tanh(), _affine(rng, 5, classes)]
    else:
        k = draw(st.integers(1, units))
        ops += [neuron(rng, units, classes, k, 0.5), Bias(_vector(rng, classes)), Negate()]
    return Network(source, tuple(ops))


def _vector(rng: np.random.Generator, size: int) -> Array:
    return rng.normal(size=size).astype(F32)


def _affine(rng: np.random.Generator, inputs: int, outputs: int) -> Affine:
    W = rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)
    return Affine(W.astype(F32), _vector(rng, outputs))


def images(rng: np.random.Generator, network: Network, count: int) -> Array:
    """Inputs anywhere in the box."""
    spec = network.input
    u = rng.random((count, *spec.shape)).astype(F32)
    if spec.images:
        return u
    x = spec.low.astype(np.float64) + (spec.high.astype(np.float64) - spec.low) * u
    return np.clip(x.astype(F32), spec.low, spec.high)


def any_networks(**options: Any) -> st.SearchStrategy[Network]:
    """Images as well as features."""
    return st.booleans().flatmap(lambda features: networks(features=features, **options))


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
        v = apply_exact(op, v)
    return v


def _fractions(array: Array) -> list[Fraction]:
    return [Fraction(float(value)) for value in array]


def _on_pieces(x: Fraction, knots: list[Fraction], slopes: list[Fraction]) -> Fraction:
    """0 at the first knot, and along every piece from there to x."""
    if x < knots[0]:
        return slopes[0] * (x - knots[0])
    y, ends = ZERO, [*knots[1:], max(x, knots[-1])]
    for begin, end, slope in zip(knots, ends, slopes[1:], strict=True):
        y += slope * (min(max(x, begin), end) - begin)
    return y


def apply_exact(op: Operation, v: list[Fraction]) -> list[Fraction]:
    match op:
        case Normalize():
            mean, std = (
                _fractions(np.broadcast_to(a, (len(v),)) if np.ndim(a) == 0 else a.reshape(-1))
                for a in (op.mean, op.std)
            )
            return [(x - m) / s for x, m, s in zip(v, mean, std, strict=True)]
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
            columns = [apply_exact(op.neuron, [padded[i] for i in row]) for row in op.patches]
            return [column[o] for o in range(len(op.neuron.W)) for column in columns]
        case OrderStatistic():
            result = []
            for centre, row in zip(op.W, op.coefficients, strict=True):
                a = sorted((abs(x - w) for x, w in zip(v, _fractions(centre), strict=True)))[::-1]
                result.append(sum((c * y for c, y in zip(_fractions(row), a, strict=False)), ZERO))
            return result
        case PiecewiseLinear():
            t = _fractions(op.knots)
            return [_on_pieces(x, t, _fractions(row)) for x, row in zip(v, op.slopes, strict=True)]
        case RankFilter():
            padded = [*v, ZERO]
            return [sorted(padded[i] for i in row)[-op.k] for row in op.patches]
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
        case ReLU():
            return [max(x, ZERO) for x in v]
        case Abs():
            return [abs(x) for x in v]
    raise AssertionError(op)
