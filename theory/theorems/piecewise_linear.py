"""Piecewise-linear 1-Lipschitz functions: SortNet represents them, distance networks do not.

**Statement (SortNet).** Every continuous piecewise-linear f that is 1-Lipschitz in l-inf equals,
on a box, a SortNet of three layers.

**Construction.** Such an f is max_i min_(j in S_i) a_j with affine a_j whose gradients have l1
norm <= 1 (the lattice form of piecewise-linear functions; the a_j are the pieces of f itself).
The first layer computes the a_j (:func:`.sortnet_expressivity.affine_to_sort`), the second and
third, with w = (1, 0, ..., 0), the max of mins as in Theorem 3.8.

**Statement (distance networks).** On a line parallel to an axis every unit of an l-inf distance
network is piecewise linear with slopes -1, 0 and 1 only. So a function with slope s, |s| not 0 or
1, on a segment of that line of length l, such as (x_0 + x_1)/2, is represented by none of them;
and one that is within eta of it there has at least N >= l delta / (2 eta) pieces,
delta = min over m in {-1, 0, 1} of |s - m|.

**Proof.** |z - w| and max keep these slopes. On a piece of length p the difference has slope at
least delta in size, so it changes by at least delta p <= 2 eta; the N lengths p add up to l.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from ..objects.exact import HALF, ONE, ZERO, Vector, check_integer, fraction, vector
from ..objects.lattice_form import LatticeForm
from ..objects.networks import (
    Affine,
    Distance,
    DistanceNetwork,
    Layer,
    PiecewiseLinear,
    Shift,
    Sort,
    SortNetwork,
    expect_network,
)
from ..objects.results import Check, Evidence, Result, require
from ..objects.sampling import sample
from .sortnet_expressivity import affine_range, affine_to_sort


def lattice_form(function: PiecewiseLinear) -> LatticeForm:
    """The lattice form of a piecewise-linear function of one variable.

    Every piece is one affine function; the term of piece i holds the pieces that are nowhere
    below it on its own interval.
    """
    rows: list[Vector] = []
    bias: list[Fraction] = []
    ends = [function.knots[0][0] - 1, *(t for t, _ in function.knots), function.knots[-1][0] + 1]
    for i, slope in enumerate(function.slopes):
        t, value = function.knots[max(i - 1, 0)]
        rows.append((slope,))
        bias.append(value - slope * t)
    pieces = Affine(tuple(rows), tuple(bias), function.norm)
    # On an outer, unbounded interval being above at infinity means a slope that is no smaller
    # (right) or no larger (left) as well.
    terms = []
    for i in range(len(rows)):
        at = [pieces((ends[i],)), pieces((ends[i + 1],))]
        term = [j for j in range(len(rows)) if all(v[j] >= v[i] for v in at)]
        if i == 0:
            term = [j for j in term if rows[j][0] <= rows[i][0]]
        if i == len(rows) - 1:
            term = [j for j in term if rows[j][0] >= rows[i][0]]
        terms.append(tuple(term))
    return LatticeForm(pieces, tuple(terms))


def sort_network(form: LatticeForm, low: Vector, high: Vector) -> SortNetwork:
    """Three SortNet layers equal to a lattice form on the box [low, high].

    Raises:
        ValueError: the box does not have d coordinates, or is empty.
    """
    ranges = affine_range(form.pieces, low, high)
    bottom, top = min(a for a, _ in ranges), max(b for _, b in ranges)
    middle, half = (bottom + top) / 2, (top - bottom) / 2
    count = len(ranges)
    first = (ONE, *(ZERO,) * (count - 1))
    # From the centre top + half every piece is at least `half` away, from `middle` at most.
    far = top + half
    mins = Sort(
        (first,) * len(form.terms),
        tuple(tuple(-far if j in term else -middle for j in range(count)) for term in form.terms),
    )  # far - min over the term
    end = far - bottom  # the largest value of a unit of the second layer
    last = Sort(
        ((ONE, *(ZERO,) * (len(form.terms) - 1)),), ((-end,) * len(form.terms),), (far - end,)
    )
    return SortNetwork((affine_to_sort(form.pieces, low, high), mins, last))


def check_representation(form: LatticeForm, x: Vector) -> None:
    """Compare the SortNet of a form on [0,1]^d with the form at a point of it.

    Raises:
        Refuted: they differ.
    """
    network = sort_network(form, (ZERO,) * form.d, (ONE,) * form.d)
    require(network(x) == (form(x),), f"{network(x)} is not {form(x)} at {x}: {form}")


def check_lattice_form(function: PiecewiseLinear, t: Fraction) -> None:
    """Compare a function of one variable with its lattice form at a point.

    Raises:
        Refuted: they differ.
    """
    form = lattice_form(function)
    require(form((t,)) == function(t), f"{form} is {form((t,))}, not {function(t)}, at {t}")


def knots_along_axis(
    network: DistanceNetwork | SortNetwork, x: Vector, axis: int
) -> list[Fraction]:
    """Values t_0 = 0 < ... < t_n = 1 of coordinate ``axis`` between which every unit is affine,
    the other coordinates being those of x [d].

    Raises:
        ValueError: no such axis.
    """
    expect_network(network)
    check_integer("axis", axis, 0, network.width_in - 1)

    def states(t: Fraction) -> list[Vector]:
        start = vector((*x[:axis], t, *x[axis + 1 :]))
        return [start, *network.units(start)]

    knots = [ZERO, ONE]
    for depth, layer in enumerate(network.layers):
        if isinstance(layer, Shift):
            continue
        for centre in _centres(layer):
            ends = [
                tuple(z - c for z, c in zip(states(t)[depth], centre, strict=True)) for t in knots
            ]
            added = set(knots)
            for i in range(len(knots) - 1):
                added.update(_crossings(knots[i], knots[i + 1], ends[i], ends[i + 1]))
            knots = sorted(added)
    return knots


def _centres(layer: Layer) -> tuple[Vector, ...]:
    if isinstance(layer, Distance):
        return layer.centres
    assert isinstance(layer, Sort)
    return tuple(tuple(-o for o in row) for row in layer.offsets)


def _crossings(s: Fraction, t: Fraction, at_s: Vector, at_t: Vector) -> set[Fraction]:
    """Where, between s and t, entries of an affine vector vanish or agree in absolute value."""
    found = set()
    for i in range(len(at_s)):
        for j in range(i + 1):
            for sign in (1, -1) if j < i else (0,):
                a, b = at_s[i] + sign * at_s[j], at_t[i] + sign * at_t[j]
                if a * b < 0:
                    found.add(s + (t - s) * a / (a - b))
    return found


def check_pieces(
    network: DistanceNetwork | SortNetwork,
    x: Vector,
    axis: int,
    slope: Fraction = HALF,
    factor: Fraction = ONE,
) -> None:
    """On the line through x [d] along ``axis``, t in [0, 1]: slopes are -1, 0 or 1, and the best
    fit of slope * t + constant obeys N * 2 eta >= delta / ``factor``.

    Raises:
        Refuted: they are not, or it does not.
    """
    expect_network(network)
    slope = fraction(slope)
    knots = knots_along_axis(network, x, axis)
    values = [network((*x[:axis], t, *x[axis + 1 :]))[0] for t in knots]
    slopes = [
        (values[i + 1] - values[i]) / (knots[i + 1] - knots[i]) for i in range(len(knots) - 1)
    ]
    require(set(slopes) <= {-ONE, ZERO, ONE}, f"slopes {slopes} along axis {axis}: {network}")
    pieces = 1 + sum(a != b for a, b in pairwise(slopes))
    errors = [v - slope * t for t, v in zip(knots, values, strict=True)]
    width = max(errors) - min(errors)  # 2 eta with the best constant
    delta = min(abs(slope - m) for m in (-1, 0, 1))
    require(
        pieces * width * factor >= delta,
        f"{pieces} pieces come within {width / 2} of slope {slope}: {network} at {x}",
    )


def _sampled(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples = 2000 if thorough else 150
    case = st.integers(1, 3).flatmap(lambda d: st.tuples(draw.lattice_forms(d=d), draw.points(d=d)))
    sample(lambda drawn: check_representation(*drawn), case, examples=examples)
    return Evidence("sampled", f"{examples} lattice forms of <= 3 pieces and terms, d <= 3")


def _one_variable(thorough: bool) -> Evidence:
    from ..objects import strategies as draw

    examples = 2000 if thorough else 150
    sample(
        check_lattice_form,
        draw.piecewise_linear(),
        draw.scalars(low=-6, high=6),
        examples=examples,
    )
    return Evidence("sampled", f"{examples} functions of one variable")


def _pieces(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples = 1000 if thorough else 60
    case = st.integers(1, 3).flatmap(
        lambda d: st.tuples(draw.distance_networks(d=d), draw.points(d=d), st.integers(0, d - 1))
    )
    sample(lambda drawn: check_pieces(*drawn), case, examples=examples)
    return Evidence("sampled", f"{examples} distance networks on axis-parallel lines, d <= 3")


RESULT = Result(
    "piecewise linear",
    "A SortNet of 3 layers equals any piecewise-linear 1-Lipschitz function on a box.",
    (
        Check("the SortNet of a lattice form equals it on [0,1]^d", "sampled", _sampled),
        Check("functions of one variable have a lattice form", "sampled", _one_variable),
    ),
)

LOWER_BOUND = Result(
    "slopes of distance nets",
    "Along an axis an l-inf distance network has slopes -1, 0, 1 only: it equals no function of "
    "slope 1/2 there, and is within eta of one on a unit segment only with >= 1/(4 eta) pieces.",
    (Check("slopes -1, 0, 1 and enough pieces, on exact lines", "sampled", _pieces),),
    coq=("distance_slopes", "distance_not_mean"),
)
