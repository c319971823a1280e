"""Slow, obvious NumPy versions of the kernels: float32 differences, float64 after that."""

import numpy as np
from abi import Array, Masks
from numpy.typing import NDArray

Double = NDArray[np.float64]


def kept(masks: Masks | None, batch: int, inputs: int, outputs: int) -> tuple[NDArray, NDArray]:
    """Boolean masks per sample, [B, I] and [B, O]."""
    rows = np.arange(batch) // (1 if masks is None else masks.group)

    def of(mask: NDArray | None, columns: int) -> NDArray:
        return np.ones((batch, columns), bool) if mask is None else mask[rows] != 0

    if masks is None:
        return of(None, inputs), of(None, outputs)
    return of(masks.inputs, inputs), of(masks.outputs, outputs)


def differences(x: Array, w: Array) -> Array:
    """[B, O, I], each rounded once."""
    with np.errstate(over="ignore", invalid="ignore"):
        return x[:, None, :] - w[None, :, :]


def lp_norm(a: Double, p: float) -> Double:
    """Of the last axis of non-negative terms, scaled by the largest."""
    if a.shape[-1] == 0:
        return np.zeros(a.shape[:-1])
    top = a.max(-1)
    if np.isinf(p):
        return top
    safe = np.where((top > 0) & np.isfinite(top), top, 1.0)
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        norm = safe * ((a / safe[..., None]) ** p).sum(-1) ** (1.0 / p)
    return np.where((top > 0) & np.isfinite(top), norm, top)


def lp_forward(x: Array, w: Array, p: float, masks: Masks | None = None) -> Double:
    inputs, outputs = kept(masks, len(x), w.shape[1], len(w))
    a = np.abs(differences(x, w)).astype(float)
    y = lp_norm(np.where(inputs[:, None, :], a, 0.0), p)
    return np.where(outputs, y, 0.0)


def lp_backward(
    x: Array, w: Array, p: float, y: Array, dy: Array, masks: Masks | None = None
) -> tuple[Double, Double]:
    inputs, outputs = kept(masks, len(x), w.shape[1], len(w))
    d = differences(x, w).astype(float)
    norm = y.astype(float)[..., None]
    if np.isinf(p):
        hit = (np.abs(d) == norm) & inputs[:, None, :] & (norm != 0)
        slope = np.where(hit & (hit.cumsum(-1) == 1), np.sign(d), 0.0)
    else:
        safe = np.where(norm == 0, 1.0, norm)
        with np.errstate(under="ignore", over="ignore"):
            slope = np.sign(d) * (np.abs(d) / safe) ** (p - 1)
        slope = np.where((norm == 0) | ~inputs[:, None, :], 0.0, slope)
    g = np.where(outputs, dy, 0.0)[..., None] * slope
    return g.sum(1), -g.sum(0)


def sort_forward(x: Array, w: Array, coef: Array) -> Array:
    """Bit by bit: float32, from the smallest order statistic up, each operation rounded."""
    count = coef.shape[-1]
    a = -np.sort(-np.abs(differences(x, w)), -1)[..., :count]
    c = np.broadcast_to(coef, (len(w), count))
    y = np.zeros(a.shape[:2], np.float32)
    for k in range(count - 1, -1, -1):
        term = c[:, k] * a[..., k]
        y = term if k == count - 1 else y + term
    return y


def sort_backward(x: Array, w: Array, coef: Array, dy: Array) -> tuple[Array, Array, Array]:
    """Bit by bit: float32, added over neurons and ranks, or over samples, in ascending order."""
    count = coef.shape[-1]
    d = differences(x, w)
    order = np.argsort(-np.abs(d), -1, kind="stable")[..., :count]
    top = np.take_along_axis(d, order, -1)
    slopes = dy[..., None] * np.broadcast_to(coef, (len(w), count)) * np.sign(top)
    dx, dw, dcoef = np.zeros_like(x), np.zeros_like(w), np.zeros((len(w), count), np.float32)
    sample, neuron, rank = np.indices(order.shape)
    np.add.at(dx, (sample, order), slopes)
    np.subtract.at(dw, (neuron, order), slopes)
    np.add.at(dcoef, (neuron, rank), dy[..., None] * np.abs(top))
    return dx, dw, dcoef


def interval_terms(lower: Array, upper: Array, w: Array) -> tuple[Double, Double]:
    """The least and largest |x - w| over the box, [B, O, I], in float64."""
    low, up, v = (t.astype(float) for t in (lower[:, None], upper[:, None], w[None]))
    return np.maximum(np.maximum(low - v, v - up), 0.0), np.maximum(up - v, v - low)


def sorted_range(low: Double, high: Double, coef: Array) -> tuple[Double, Double]:
    """Both ends of coef . order statistics of terms between low and high."""
    count = coef.shape[-1]
    c = coef.astype(float)
    n, f = (-np.sort(-t, -1)[..., :count] * c for t in (low, high))
    return np.minimum(n, f).sum(-1), np.maximum(n, f).sum(-1)
