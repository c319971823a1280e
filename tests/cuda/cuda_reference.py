"""The operations in NumPy, slow and obvious. Masks are expanded to one row per sample."""

import numpy as np

Array = np.ndarray


def differences(x: Array, w: Array) -> Array:
    """x_i - w_i in float32, [B, O, I]."""
    return x[:, None, :] - w[None, :, :]


def expand(mask: Array | None, group: int, shape: tuple[int, int]) -> Array:
    """One row per sample; all kept without a mask."""
    if mask is None:
        return np.ones(shape, dtype=bool)
    return np.repeat(mask.astype(bool), group, axis=0)[: shape[0]]


def lp_forward(x: Array, w: Array, p: float, keep_in: Array, keep_out: Array) -> Array:
    """[B, O] float64."""
    a = np.abs(differences(x, w)).astype(np.float64) * keep_in[:, None, :]
    top = a.max(axis=2, initial=0.0)
    if np.isinf(p):
        return top * keep_out
    scale = np.where(top > 0, top, 1.0)[:, :, None]
    return top * ((a / scale) ** p).sum(axis=2) ** (1 / p) * keep_out


def lp_gradient(x: Array, w: Array, p: float, y: Array, keep_in: Array) -> Array:
    """d y[b, o] / d x[b, i], [B, O, I] float64."""
    d = np.where(keep_in[:, None, :], differences(x, w), 0.0).astype(np.float64)
    y = y[:, :, None].astype(np.float64)
    if np.isinf(p):
        hit = (np.abs(d) == y) & (y > 0)
        first = hit & (np.cumsum(hit, axis=2) == 1)
        return np.sign(d) * first
    d = np.where(y > 0, d, 0.0)
    return np.sign(d) * (np.abs(d) / np.where(y > 0, y, 1.0)) ** (p - 1)


def sort_forward(x: Array, w: Array, coef: Array) -> Array:
    """[B, O] float32, in the order of summation that the header promises."""
    a = -np.sort(-np.abs(differences(x, w)), axis=2)
    coef = np.broadcast_to(coef, (w.shape[0], coef.shape[-1]))
    y = np.zeros((x.shape[0], w.shape[0]), dtype=np.float32)
    for k in reversed(range(coef.shape[1])):
        term = coef[:, k] * a[:, :, k]
        y = term if k == coef.shape[1] - 1 else y + term
    return np.where(np.isnan(differences(x, w)).any(axis=2), np.float32(np.nan), y)


def sort_ranks(x: Array, w: Array, count: int) -> Array:
    """The inputs of the largest differences, lower indices first among equals, [B, O, K]."""
    a = np.abs(differences(x, w))
    return np.argsort(-a, axis=2, kind="stable")[:, :, :count]
