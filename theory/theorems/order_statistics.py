"""Theorem 3.6: standard Lipschitz networks and order statistics.

**Statement.** For every standard Lipschitz f on [0,1]^d and every k,
sup |f(x) - x_(k)| >= 1/2 - 1/(2d).

**Proof.** On the d pairs of :func:`.boolean.cyclic_pairs` x_(k) moves by 1, from 0 to 1, while
f moves by at most 1 in total, so by at most 1/d along some pair; one of its two ends is off by
at least (1 - 1/d)/2. So the bound already holds on the 2d cyclic points.

**It is tight for every k (ours).** The mean plus (1/2)(d + 1 - 2k)/d attains it. That is checked
on the whole cube: on each of the cells x_(s1) >= ... >= x_(sd) the difference mean - x_(k) is
affine, and the corners of a cell are 0/1 points, so its extremes over the cube are among the
2^d vertices (by symmetry, among the d + 1 numbers of ones).
"""

from __future__ import annotations

from fractions import Fraction

from ..objects.boolean import cyclic_pairs, cyclic_point
from ..objects.exact import (
    HALF,
    ONE,
    ZERO,
    Number,
    Vector,
    check_rank,
    not_negative,
    order_statistic,
)
from ..objects.networks import Affine, Network, StandardNetwork, expect_network
from ..objects.results import Check, Comparison, Evidence, Result, require
from ..objects.sampling import sample


def bound(d: int, k: int = 1, mass: Number = 1) -> Fraction:
    """The least error on [0,1]^d of a function of mass <= ``mass``: max(0, 1/2 - mass/(2d)).

    Raises:
        ValueError: k is not in 1..d (the bound is the same for all of these), or mass < 0.
    """
    check_rank(d, k)
    return max(ZERO, HALF - not_negative("mass", mass) / (2 * d))


def cyclic_error(network: Network, k: int) -> Fraction:
    """The largest |f(x) - x_(k)| over the 2d cyclic points: a lower bound for the cube."""
    expect_network(network)
    points = {z for pair in cyclic_pairs(network.width_in, k) for z in pair}
    return max(abs(network(z)[0] - order_statistic(z, k)) for z in points)


def best_error(network: Network, k: int) -> Fraction:
    """The error on the cyclic points after the best choice of an output bias."""
    expect_network(network)
    points = {z for pair in cyclic_pairs(network.width_in, k) for z in pair}
    errors = [network(z)[0] - order_statistic(z, k) for z in points]
    return (max(errors) - min(errors)) / 2


def tight_example(d: int, k: int) -> StandardNetwork:
    """The mean plus a constant, the best standard approximation of x_(k).

    Raises:
        ValueError: k is not in 1..d.
    """
    check_rank(d, k)
    return StandardNetwork((Affine(((Fraction(1, d),) * d,), (Fraction(d + 1 - 2 * k, 2 * d),)),))


def symmetric_error(network: StandardNetwork, k: int) -> Fraction:
    """sup over [0,1]^d of |f(x) - x_(k)| for one affine row with equal weights, exactly.

    Raises:
        ValueError: the network is not one affine row with equal weights.
    """
    expect_network(network)
    layer = network.layers[0]
    if len(network.layers) != 1 or not isinstance(layer, Affine) or len(set(layer.rows[0])) != 1:
        raise ValueError("expected one affine row with equal weights")
    d = network.width_in
    corners = (cyclic_point(d, 0, ones) for ones in range(d + 1))
    return max(abs(network(x)[0] - order_statistic(x, k)) for x in corners)


def check_bound(
    network: Network,
    k: int,
    factor: Fraction = ONE,
    *,
    norm: Number = 1,
    mass: Number | None = None,
) -> Comparison:
    """Compare the best error of output 0 on the cyclic points with ``factor`` times the bound.

    The bound is max(0, 1/2 - L M/(2d)), M the mass that the lemma allows at norm 1:
    that of the network's own layers (:attr:`.networks.Network.spread`), unless ``mass`` says whose
    bound is meant. So ``mass=1`` holds any network to the bound of standard ones.

    Args:
        network: its first output is compared with x_(k).
        k: 1..d.
        factor: 1 in the theorem.
        norm: L >= 0, what the norms of the layers multiply to: 1 in the theorem, ``network.norm``
            for layers that declare other norms.
        mass: M >= 0; 1 in the theorem. None for what the network's own layers allow.

    Returns:
        What the network reaches, the bound, and whose bound it is.

    Raises:
        Refuted: the network is better.
        ValueError: k is not in 1..d, or norm or mass is negative.
    """
    expect_network(network)
    d = network.width_in
    allowed, family = network.mass_allowed(mass)
    limit = factor * bound(d, k, not_negative("norm", norm) * allowed)
    found = Comparison(best_error(network, k), limit, family, allowed)
    require(found.reached >= limit, f"error {found}, for x_({k}): {network}")
    return found


def check_point(network: Network, k: int, x: Vector, limit: Fraction) -> None:
    """Compare |f(x) - x_(k)| with ``limit``.

    Raises:
        Refuted: it is larger.
    """
    expect_network(network)
    error = abs(network(x)[0] - order_statistic(x, k))
    require(error <= limit, f"error {error} > {limit} for x_({k}) at {x}: {network}")


def _tight(thorough: bool) -> Evidence:
    top, count = 60 if thorough else 24, 0
    for d in range(1, top + 1):
        for k in range(1, d + 1):
            reached = symmetric_error(tight_example(d, k), k)
            require(reached == bound(d, k), f"the mean is off by {reached}, not {bound(d, k)}")
            count += 1
    return Evidence(
        "exact", f"the mean plus a constant on all of [0,1]^d, every k, d <= {top}", count
    )


def _sampled(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples, top = (3000, 8) if thorough else (150, 5)
    case = st.integers(1, top).flatmap(
        lambda d: st.tuples(draw.standard_networks(d=d), st.integers(1, d))
    )
    sample(lambda drawn: check_bound(*drawn), case, examples=examples)
    return Evidence("sampled", f"{examples} standard networks, d <= {top}, every k")


RESULT = Result(
    "3.6",
    "No standard Lipschitz network comes nearer to x_(k) on [0,1]^d than 1/2 - 1/(2d); for every "
    "k the mean plus a constant does come that near.",
    (
        Check(
            "no drawn standard network is nearer to x_(k) than 1/2 - 1/(2d)", "sampled", _sampled
        ),
        Check("the mean plus a constant attains 1/2 - 1/(2d) on the whole cube", "exact", _tight),
    ),
    coq=("theorem_3_6", "theorem_3_6_tight"),
)
