"""Theorem 3.8: l-inf distance networks escape.

**Statement.** A two-layer l-inf distance network represents every Boolean function on {0,1}^d,
and every order statistic on all of [0,1]^d. So Boolean data can be certified to 1/2, for every d.

**Constructions.** *Boolean:* the first layer measures the distance to every vertex v with
g(v) = 1: it is 0 at v and 1 at every other vertex. A distance neuron whose centre has large
entries C computes C - min, so min is 0 where g = 1 and 1 elsewhere. The logit of class 0 does the
same with the vertices where g = 0; entries 1/2 (with C >= 3/2) keep each logit blind to the
other's units. (A constant g leaves no vertices to one of them: one neuron at the centre of the
cube, 1/2 away from all vertices, is enough.)
*Order statistic:* x_(k) = max over k-subsets S of min over S. The neuron with centre 2 on S and
0 elsewhere computes 2 - min over S, for 2 - x_i >= 1 >= x_j; a neuron with centre 2 on top of
these computes the largest min.

**Why the check covers the whole cube.** Every unit is c + p or c - p with p a lattice polynomial
there, and the threshold lemma (:mod:`.lattice`) turns equality into one of truth tables.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

from ..objects.boolean import (
    BooleanFunction,
    SymmetricFunction,
    majority,
    parity,
    symmetric_functions,
)
from ..objects.exact import HALF, ONE, ZERO, check_rank, vertices
from ..objects.lattice import on_cube, order_statistic_polynomial
from ..objects.networks import Distance, DistanceNetwork, expect_network
from ..objects.results import Check, Evidence, Result, require
from ..objects.sampling import sample
from .margin import radius

TWO = Fraction(2)


def boolean_network(
    g: BooleanFunction | SymmetricFunction, centre: Fraction = TWO
) -> DistanceNetwork:
    """Two distance layers and two logits, (1 - g, g) on the vertices.

    Args:
        g: any Boolean function of d variables; the hidden width is at most 2^d.
        centre: entries of the second layer's centres; the construction needs >= 3/2.
    """
    ones = [v for v in vertices(g.d) if g(v)]
    zeros = [v for v in vertices(g.d) if not g(v)]
    if not ones or not zeros:
        hidden = Distance(((HALF,) * g.d,))
        value = HALF if ones else -HALF  # the hidden unit is 1/2 on every vertex
        return DistanceNetwork((hidden, Distance(((ZERO,), (ZERO,)), (-value, value))))
    hidden = Distance((*ones, *zeros))
    logit_one = (centre,) * len(ones) + (HALF,) * len(zeros)
    logit_zero = (HALF,) * len(ones) + (centre,) * len(zeros)
    return DistanceNetwork((hidden, Distance((logit_zero, logit_one), (ONE - centre,) * 2)))


def order_statistic_network(d: int, k: int, centre: Fraction = TWO) -> DistanceNetwork:
    """Two distance layers equal to x_(k) on [0,1]^d, one hidden unit for each k-subset.

    Args:
        d: >= 1.
        k: 1..d.
        centre: the large entry of both layers; the construction needs >= 2.

    Raises:
        ValueError: k is not in 1..d.
    """
    check_rank(d, k)
    subsets = [set(s) for s in combinations(range(d), k)]
    hidden = Distance(tuple(tuple(centre if i in s else ZERO for i in range(d)) for s in subsets))
    return DistanceNetwork((hidden, Distance(((centre,) * len(subsets),))))


def check_boolean(g: BooleanFunction | SymmetricFunction, network: DistanceNetwork) -> None:
    """Compare the logits with (1 - g, g), and the radius with 1/2, on every vertex.

    Raises:
        Refuted: they differ.
    """
    expect_network(network)
    for x in vertices(g.d):
        logits = network(x)
        require(
            logits == (ONE - g(x), Fraction(g(x))), f"logits {logits} at {x}, where {g} is {g(x)}"
        )
        require(radius(logits, g(x)) == HALF, f"radius {radius(logits, g(x))} at {x}")


def check_order_statistic(network: DistanceNetwork, k: int) -> None:
    """Compare the network with x_(k) on all of [0,1]^d.

    Raises:
        Refuted: they differ, or the network is not a lattice polynomial there.
    """
    expect_network(network)
    try:
        term = on_cube(network)[0]
    except ValueError as error:
        require(False, f"{error}: {network}")
    d = network.width_in
    require(
        (term.sign, term.offset, term.polynomial) == (1, ZERO, order_statistic_polynomial(d, k)),
        f"the network is not x_({k}) on [0,1]^{d}: {network}",
    )


def _boolean(thorough: bool) -> Evidence:
    count, d_all = 0, 4 if thorough else 3
    for d in range(1, d_all + 1):
        for table in range(1 << (1 << d)):
            g = BooleanFunction(d, table)
            check_boolean(g, boolean_network(g))
            count += 1
    return Evidence("exhaustive", f"all {count} Boolean functions, d <= {d_all}, all vertices")


def _symmetric(thorough: bool) -> Evidence:
    top = 8 if thorough else 6
    functions = [g for d in range(1, 5) for g in symmetric_functions(d, constant=True)]
    functions += [g(d) for d in range(5, top + 1) for g in (majority, parity)]
    for g in functions:
        check_boolean(g, boolean_network(g))
    reach = f"symmetric d <= 4, majority and parity d <= {top}, all vertices"
    return Evidence("exact", reach, len(functions))


def _sampled(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples, top = (300, 6) if thorough else (60, 4)
    functions = st.integers(1, top).flatmap(lambda d: draw.boolean_functions(d=d))
    sample(lambda g: check_boolean(g, boolean_network(g)), functions, examples=examples)
    return Evidence("sampled", f"{examples} Boolean functions, d <= {top}, all vertices")


def _order_statistics(thorough: bool) -> Evidence:
    top = 10 if thorough else 8
    for d in range(1, top + 1):
        for k in range(1, d + 1):
            check_order_statistic(order_statistic_network(d, k), k)
    return Evidence("exact", f"x_(k) on all of [0,1]^d, every k, d <= {top}", top * (top + 1) // 2)


RESULT = Result(
    "3.8",
    "Two l-inf distance layers represent every Boolean function on {0,1}^d with certified radius "
    "1/2, and every order statistic on all of [0,1]^d.",
    (
        Check(
            "two distance layers equal every Boolean function, radius 1/2", "exhaustive", _boolean
        ),
        Check("the same for symmetric functions of more variables", "exact", _symmetric),
        Check("the same for drawn Boolean functions", "sampled", _sampled),
        Check("two distance layers equal x_(k) on the whole cube", "exact", _order_statistics),
    ),
    coq=("theorem_3_8_boolean", "theorem_3_8_radius", "theorem_3_8_order_statistic"),
)

CEILING = Result(
    "ceiling 1/2",
    "No classifier with 1-Lipschitz logits, of whatever family, has certified radius above 1/2 on "
    "the cyclic points.",
    (),
    coq=("lipschitz_radius",),
)
