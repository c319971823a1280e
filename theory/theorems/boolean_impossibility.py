"""Theorem 3.5: standard Lipschitz networks and symmetric Boolean functions.

**Statement.** Let g be a non-constant symmetric Boolean function of d variables and k a jump,
g(k-1) != g(k). A classifier with two standard Lipschitz logits that labels the 2d points of
:func:`.boolean.cyclic_pairs` as g does, each with certified radius at least r, has r <= 1/(2d).

**Proof.** In each of the d pairs f_1 - f_0 changes from at most -2r to at least 2r, or back: by
at least 4r. By the mass lemma the changes of f_1 and f_0 sum to at most 1 each, so 4rd <= 2.

**It is tight (ours), on the whole cube and for every such g.** The paper's facts give threshold
functions: one affine layer with weights 1/d. One activation more gives every non-constant
symmetric function: the mean takes the values n/d, and a zigzag with slopes +-1 or 0 through
(n/d, +-1/(2d)), the sign being that of g(n), is 1-Lipschitz because neighbours are 1/d apart.

"Certified" is essential: the bound is on the margin radius, not on the true robust radius.
A standard network may scale any function down, which keeps its decision boundary and shrinks
its margins.
"""

from __future__ import annotations

from fractions import Fraction

from ..objects.boolean import (
    BooleanFunction,
    Pairs,
    SymmetricFunction,
    count_ones,
    cyclic_pairs,
    symmetric_functions,
)
from ..objects.exact import (
    HALF,
    ONE,
    ZERO,
    Number,
    check_dimension,
    check_rank,
    fraction,
    not_negative,
    vertices,
)
from ..objects.networks import (
    RELU,
    Activation,
    Affine,
    Network,
    PiecewiseLinear,
    StandardNetwork,
    expect_network,
)
from ..objects.results import Check, Comparison, Evidence, Result, require
from ..objects.sampling import sample
from .margin import radius


def bound(d: int, mass: Number = 1, *, norm: Number = 1) -> Fraction:
    """The largest half gap on the cyclic points for logits of mass <= norm * ``mass`` and Lipschitz
    constant ``norm``: norm * min(1/2, mass/(2d)). At norm 1 half a gap is a certified radius.

    Raises:
        ValueError: d < 1, or mass or norm is negative.
    """
    check_dimension(d)
    return not_negative("norm", norm) * min(HALF, not_negative("mass", mass) / (2 * d))


def best_radius(network: Network, pairs: Pairs) -> Fraction:
    """Half the least gap on the cyclic points, after the best choice of output biases.

    For 1-Lipschitz logits that is a certified radius; where the norms multiply to L =
    ``network.norm`` it certifies only 1/L of it.

    Args:
        network: two logits (of more, logits 0 and 1 are looked at: the certified radius of the
            whole classifier is at most that).
        pairs: at least one; second members are to be told from first members.

    Returns:
        the largest r for which a constant added to f_1 makes half the gap at least r at every
        point, in either orientation of the labels; negative if no constant separates them.

    Raises:
        ValueError: fewer than two logits, no pairs, or points that do not fit the network.
    """
    expect_network(network)
    if network.width_out < 2:
        raise ValueError(f"expected at least two logits, got {network.width_out}")
    if not len(pairs):
        raise ValueError("expected at least one pair of points")
    gaps = [[f[1] - f[0] for f in (network(x), network(y))] for x, y in pairs]
    low, high = [g[0] for g in gaps], [g[1] for g in gaps]
    return max(min(high) - max(low), min(low) - max(high)) / 4


def certified_radius(network: Network, g: SymmetricFunction | BooleanFunction) -> Fraction:
    """The least certified radius of label g(x) over all 2^d vertices x: half the gap, or, where
    the norms of the layers multiply to more than 1, that gap over twice ``network.norm``.

    Args:
        g: the theorem speaks about symmetric functions; any other has a radius as well.

    Raises:
        TypeError: no `Network`, or g is a function without a truth table.
        ValueError: the network does not have d inputs and at least two logits.
    """
    expect_network(network)
    if not isinstance(g, SymmetricFunction | BooleanFunction):
        raise TypeError(
            "expected a Boolean function, such as parity(4) or "
            f"BooleanFunction.from_callable(4, g), got {type(g).__name__}"
        )
    return min(radius(network(x), g(x)) for x in vertices(g.d)) / max(ONE, network.norm)


def threshold_example(d: int, k: int) -> StandardNetwork:
    """One affine layer, weights +-1/d, that reaches 1/(2d) for "at least k ones".

    Raises:
        ValueError: k is not in 1..d.
    """
    check_rank(d, k)
    row = (Fraction(1, d),) * d
    bias = Fraction(1 - 2 * k, 2 * d)
    return StandardNetwork((Affine((tuple(-w for w in row), row), (-bias, bias)),))


def tight_example(g: SymmetricFunction) -> StandardNetwork:
    """Weights 1/d and one zigzag per logit: reaches 1/(2d) on all of {0,1}^d for any g.

    Raises:
        ValueError: g is constant.
    """
    g.jumps()
    d = g.d
    knots = tuple((Fraction(n, d), Fraction(2 * g.values[n] - 1, 2 * d)) for n in range(d + 1))
    zigzag = PiecewiseLinear(knots)
    mirrored = PiecewiseLinear(tuple((t, -value) for t, value in knots))
    return StandardNetwork(
        (Affine(((Fraction(1, d),) * d,) * 2), Activation((mirrored, zigzag))),
    )


def robust_example(d: int, delta: Number) -> StandardNetwork:
    """A standard classifier of OR that is robust well beyond its certificate.

    The logits are -(f - delta) and f - delta with f = mean of relu(x_i - 1/2). No move of less than
    1/2 - d delta changes a label on {0,1}^d, although 1/(2d) bounds its margin radius.

    Raises:
        ValueError: d < 1, or delta is not in (0, 1/(2d)).
    """
    check_dimension(d)
    delta = fraction(delta)
    if not 0 < delta < Fraction(1, 2 * d):
        raise ValueError(f"expected delta in (0, 1/{2 * d}), got {delta}")
    shifted = tuple(tuple(ONE if i == j else ZERO for j in range(d)) for i in range(d))
    mean = (Fraction(1, d),) * d
    return StandardNetwork(
        (
            Affine(shifted, (-HALF,) * d),
            Activation((RELU,) * d),
            Affine((tuple(-w for w in mean), mean), (delta, -delta)),
        )
    )


def check_bound(
    network: Network,
    k: int,
    factor: Fraction = ONE,
    *,
    norm: Number = 1,
    mass: Number | None = None,
) -> Comparison:
    """Compare the best half gap at jump k with ``factor`` times the bound.

    Half a gap is a certified radius for logits that are 1-Lipschitz, the theorem's hypothesis.
    Without it (``network.norm`` above 1) the gap may pass the bound, but certifies less.

    The bound is L min(1/2, M/(2d)), M the mass that the lemma allows at norm 1:
    that of the network's own layers (:attr:`.networks.Network.spread`), unless ``mass`` says whose
    bound is meant. So ``mass=1`` holds any network to the bound of standard ones.

    Args:
        network: at least two logits.
        k: 1..d.
        factor: 1 in the theorem.
        norm: L >= 0, what the norms of the layers multiply to: 1 in the theorem, ``network.norm``
            for layers that declare other norms.
        mass: M >= 0; 1 in the theorem. None for what the network's own layers allow.

    Returns:
        What the network reaches, the bound, and whose bound it is.

    Raises:
        Refuted: the network is better.
        TypeError: no `Network`; torch layers become one by `exact_network`.
        ValueError: fewer than two logits, k is not in 1..d, or norm or mass is negative.
    """
    expect_network(network)
    d = network.width_in
    allowed, family = network.mass_allowed(mass)
    limit = factor * bound(d, allowed, norm=norm)
    found = Comparison(best_radius(network, cyclic_pairs(d, k)), limit, family, allowed)
    what = "certified radius" if network.norm <= 1 else "half the gap, but no certified radius,"
    require(found.reached <= limit, f"{what} {found}, for k = {k}: {network}")
    return found


def _tight(thorough: bool) -> Evidence:
    top, count = 8 if thorough else 6, 0
    for d in range(1, top + 1):
        for g in symmetric_functions(d):
            reached = certified_radius(tight_example(g), g)
            require(reached == bound(d), f"{g} is certified to {reached}, not {bound(d)}")
            count += 1
    return Evidence("exhaustive", f"all {count} non-constant symmetric functions, d <= {top}")


def _threshold(thorough: bool) -> Evidence:
    top, count = 10 if thorough else 7, 0
    for d in range(1, top + 1):
        for k in range(1, d + 1):
            network = threshold_example(d, k)
            reached = min(radius(network(x), int(count_ones(x) >= k)) for x in vertices(d))
            require(reached == bound(d), f"threshold {k} of {d}: {reached}, not {bound(d)}")
            count += 1
    return Evidence("exact", f"threshold functions on all vertices, d <= {top}", count)


def _sampled(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples, top = (3000, 8) if thorough else (150, 5)

    def case(d: int) -> st.SearchStrategy[tuple[Network, int]]:
        two = draw.standard_networks(d=d, outputs=2)
        mirrored = draw.classifiers(draw.standard_networks(d=d))
        return st.tuples(st.one_of(two, mirrored), st.integers(1, d))

    sample(lambda drawn: check_bound(*drawn), st.integers(1, top).flatmap(case), examples=examples)
    return Evidence("sampled", f"{examples} standard networks, d <= {top}, every jump k")


RESULT = Result(
    "3.5",
    "For every non-constant symmetric Boolean function of d variables, no standard Lipschitz "
    "classifier has certified radius above 1/(2d) on the cyclic points; 1/(2d) is reached.",
    (
        Check("no drawn standard network has certified radius above 1/(2d)", "sampled", _sampled),
        Check(
            "every non-constant symmetric function: one affine layer and a zigzag reach 1/(2d)",
            "exhaustive",
            _tight,
        ),
        Check("threshold functions: one affine layer reaches 1/(2d)", "exact", _threshold),
    ),
    coq=("theorem_3_5", "theorem_3_5_tight", "theorem_3_5_tight_symmetric"),
)
