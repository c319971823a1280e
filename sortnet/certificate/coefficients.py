"""The weights of the practical sort neuron, as every host computes them. Needs no torch."""

import ctypes
import math

from sortnet.base.units import float32_down


def to_float32(value: float) -> float:
    """The float32 nearest to `value` (ties to even), as a Python float."""
    return ctypes.c_float(value).value


def geometric_coefficients(rho: float, k: int) -> list[float]:
    """Geometric series (1 - rho) rho^(j-1), j = 1..k, rescaled to sum to 1 and rounded down.

    Bit-equal to `sn_geometric_coefficients` of the C ABI. The exact sum of the k float32 values is
    at most 1, so a neuron with these weights is 1-Lipschitz over the reals, not up to rounding.
    (Paper, SortNet, practical form; rho = 0 or k = 1 is the l-inf-distance neuron.)

    Args:
        rho: probability that training drops an input, in [0, 1); used as the nearest float32.
        k: number of order statistics, at least 1.

    Raises:
        ValueError: rho or k out of range.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k must be an integer of at least 1, got {k!r}")
    if not (math.isfinite(rho) and rho >= 0 and to_float32(rho) < 1):
        raise ValueError(f"rho must be in [0, 1), got {rho!r}")
    ratio = to_float32(rho)
    if k == 1 or ratio == 0:
        return [1.0] + [0.0] * (k - 1)
    terms = [1.0]
    while len(terms) < k:
        terms.append(terms[-1] * ratio)
    total = 0.0
    for term in terms:
        total += term
    shrink = 1 - 2.0**-40  # covers the float64 roundings above
    return [float32_down(term / total * shrink) for term in terms]
