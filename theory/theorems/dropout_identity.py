"""The dropout identity: one random max estimates the sorted sum.

**Statement.** Let s_1, ..., s_d be independent with P(s_i = 0) = rho. Then
E max_i s_i |x_i| = sum_k (1 - rho) rho^(k-1) |x|_(k).

**Proof.** |x|_(k) is the max exactly if it is kept and the k - 1 larger ones are dropped (with
probability rho^d all are, and the max is 0).

**Truncation (ours).** The practical neuron reads K terms and rescales them to sum to 1. It
exceeds the expectation, by at most rho^K |x|_(1) (K capped at d); equal entries with d = K
attain that. So in training the estimate is unbiased for the untruncated sum only.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING

from ..objects.exact import ONE, ZERO, Number, Vector, check_dimension, dot, fraction
from ..objects.networks import geometric_weights
from ..objects.results import Check, Evidence, Result, require
from ..objects.sampling import sample

if TYPE_CHECKING:
    import sympy


def _probability(rho: Number) -> Fraction:
    value = fraction(rho)
    if not 0 <= value <= 1:
        raise ValueError(f"expected a probability rho in [0, 1], got {value}")
    return value


def expected_max(x: Vector, rho: Number) -> Fraction:
    """E max_i s_i |x_i| over all 2^d masks, one by one.

    Raises:
        ValueError: x is empty or rho is not in [0, 1].
    """
    check_dimension(len(x))
    rho = _probability(rho)
    total = ZERO
    for mask in product((0, 1), repeat=len(x)):
        kept = sum(mask)
        probability = (1 - rho) ** kept * rho ** (len(x) - kept)
        total += probability * max(s * abs(v) for s, v in zip(mask, x, strict=True))
    return total


def sorted_sum(x: Vector, rho: Number) -> Fraction:
    """sum_k (1 - rho) rho^(k-1) |x|_(k).

    Raises:
        ValueError: x is empty or rho is not in [0, 1].
    """
    check_dimension(len(x))
    rho = _probability(rho)
    ordered = sorted((abs(v) for v in x), reverse=True)
    return sum(((1 - rho) * rho**k * v for k, v in enumerate(ordered)), ZERO)


def practical_sum(x: Vector, rho: Number, k: int) -> Fraction:
    """The practical SortNet neuron at |x|: k terms, rescaled to weights that sum to 1.

    Raises:
        ValueError: see :func:`.networks.geometric_weights`.
    """
    weights = geometric_weights(rho, len(x), k)
    return dot(weights, tuple(sorted((abs(v) for v in x), reverse=True)))


def check_identity(x: Vector, rho: Fraction) -> None:
    """Compare the two sides at x [d], rho in [0, 1].

    Raises:
        Refuted: they differ.
    """
    left, right = expected_max(x, rho), sorted_sum(x, rho)
    require(left == right, f"{left} is not {right} for {x}, rho = {rho}")


def check_truncation(x: Vector, rho: Fraction, k: int, factor: Fraction = ONE) -> None:
    """Check 0 <= practical - expectation <= ``factor`` rho^K |x|_(1), K = min(k, d).

    Raises:
        Refuted: it does not hold.
        ValueError: x is empty, rho is not in [0, 1) or k < 1.
    """
    gap = practical_sum(x, rho, k) - sorted_sum(x, rho)
    limit = factor * rho ** min(k, len(x)) * max(abs(v) for v in x)
    require(0 <= gap <= limit, f"practical - expected = {gap}, not in [0, {limit}], for {x}, {rho}")


def symbolic_difference(d: int) -> sympy.Expr:
    """Left minus right with symbols rho and x_1 >= ... >= x_d >= 0, all masks enumerated.

    Raises:
        ValueError: d < 1.
    """
    import sympy

    check_dimension(d)
    rho, x = sympy.Symbol("rho"), sympy.symbols(f"x1:{d + 1}")
    left = sympy.Integer(0)
    for mask in product((0, 1), repeat=d):
        kept = sum(mask)
        largest = x[mask.index(1)] if kept else 0  # the first kept one, as x is sorted
        left += (1 - rho) ** kept * rho ** (d - kept) * largest
    right = sum((1 - rho) * rho**k * x[k] for k in range(d))
    return sympy.expand(left - right)


def _symbolic(thorough: bool) -> Evidence:
    top = 8 if thorough else 6
    for d in range(1, top + 1):
        difference = symbolic_difference(d)
        require(difference == 0, f"the two sides differ by {difference} for d = {d}")
    return Evidence("exhaustive", f"all masks, symbolic rho and x, d <= {top}")


def _sampled(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples = 1000 if thorough else 100
    case = st.integers(1, 6).flatmap(
        lambda d: st.tuples(
            draw.points(d=d, low=-2, high=2),
            draw.scalars(low=0, high=Fraction(9, 10), denominator=10),
            st.integers(1, 6),
        )
    )

    def both(drawn: tuple[Vector, Fraction, int]) -> None:
        x, rho, k = drawn
        check_identity(x, rho)
        check_truncation(x, rho, k)

    sample(both, case, examples=examples)
    return Evidence("sampled", f"{examples} points and rho, d <= 6, all masks, and the truncation")


RESULT = Result(
    "dropout identity",
    "With P(s_i = 0) = rho, E max_i s_i |x_i| = sum_k (1 - rho) rho^(k-1) |x|_(k); the practical "
    "neuron's K rescaled terms exceed it by at most rho^K max |x_i|.",
    (
        Check("the identity, for symbols rho and x", "exhaustive", _symbolic),
        Check("the identity and the truncation bound", "sampled", _sampled),
    ),
    coq=("dropout_identity",),
)
