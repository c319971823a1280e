"""Hypothesis strategies: odd shapes, strides, values and masks for the kernels."""

from dataclasses import dataclass

import numpy as np
from abi import Array, Masks
from hypothesis import strategies as st

# Exponents: the whole powers that need no logarithm, the range of each method, both ends.
POWERS = st.one_of(
    st.sampled_from([float("inf"), *(c * 2.0**k for k in range(11) for c in (1, 3)), 2.0**20]),
    st.floats(1.0, 1000.0, width=32),
    st.sampled_from([1.0000001, 1.5, 7.9, 17.3, 40.0, 41.0, 300.0, 1000.0]),
)


@dataclass(frozen=True)
class Case:
    """Operands; rows of x and w are further apart than their length."""

    x: Array
    w: Array


def _strided(values: Array, gap: int) -> Array:
    rows, columns = values.shape
    wide = np.full((rows, columns + gap), np.nan, np.float32)
    wide[:, :columns] = values
    return wide[:, :columns]


@st.composite
def cases(draw: st.DrawFn, least_inputs: int = 0, scales: bool = False) -> Case:
    """Ordinary values; with many ties now and then; of any scale if `scales`."""
    batch = draw(st.integers(0, 19))
    inputs = draw(st.integers(least_inputs, 70) | st.sampled_from([333, 400, 1000]))
    outputs = draw(st.integers(1, 37) | st.just(65))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, w = rng.normal(size=(batch, inputs)), rng.normal(size=(outputs, inputs))
    kind = draw(st.sampled_from(["normal", "ties", "equal", "outlier"]))
    if kind == "ties":
        x, w = np.round(x), np.round(w)
    elif kind == "equal" and inputs:
        x, w = np.ones_like(x), np.full_like(w, draw(st.sampled_from([1.0, -2.0])))
    elif kind == "outlier" and inputs:
        w[:, draw(st.integers(0, inputs - 1))] = -10
    if scales:
        scale = 2.0 ** draw(st.integers(-140, 120))
        x, w = x * scale, w * scale
    gap = draw(st.integers(0, 3))
    return Case(_strided(x.astype(np.float32), gap), _strided(w.astype(np.float32), gap))


@st.composite
def masks_for(draw: st.DrawFn, case: Case) -> Masks:
    """Random masks of both kinds, either of them absent at times."""
    group = draw(st.integers(1, 9))
    rows = -(-len(case.x) // group)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    keep = draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))

    def mask(columns: int) -> np.ndarray | None:
        if not draw(st.booleans()):
            return None
        return (rng.random((rows, columns)) < keep).astype(np.uint8)

    return Masks(mask(case.x.shape[1]), mask(len(case.w)), group)


@st.composite
def coefficients_for(draw: st.DrawFn, case: Case, most: int = 20) -> Array:
    """K weights of any sign, shared or per neuron."""
    count = draw(st.integers(0, min(most, case.x.shape[1])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (count,) if draw(st.booleans()) else (len(case.w), count)
    coef = rng.normal(size=shape)
    if draw(st.booleans()):
        coef = np.abs(coef)
    return coef.astype(np.float32)
