"""The mass lemma (ours): it carries Theorems 3.5, 3.6 and the depth bounds behind 3.9.

**Statement.** Take pairs (x_i, y_i), i = 1..m, such that y_i differs from x_i in one coordinate
only, by at most 1, and no coordinate is used twice. The *mass* of a function u is
sum_i |u(y_i) - u(x_i)|. Every unit of a standard Lipschitz network, of any depth and width, has
mass at most 1; with s layers of GroupSort(G), at most G^s.

**Proof.** An input coordinate moves in one pair only, by at most 1. A row of absolute sum <= 1
of units of mass <= M has mass <= M (triangle inequality). A 1-Lipschitz function per unit does
not raise mass (term by term). A sorted output moves by at most the largest, hence by at most
the sum, of the moves in its group: mass <= G M.

A distance or SortNet neuron reads all its inputs that way and may reach mass m: the escape.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from ..objects.boolean import Pairs, cyclic_pairs
from ..objects.exact import ZERO, Vector, check_dimension
from ..objects.networks import Distance, DistanceNetwork, Network, expect_network
from ..objects.results import Check, Comparison, Evidence, Result, require
from ..objects.sampling import sample


def masses(network: Network, pairs: Iterable[tuple[Vector, Vector]]) -> list[Vector]:
    """The mass of every unit: one vector for each layer, over pairs of points [width_in].

    Raises:
        ValueError: a point does not have width_in finite entries.
    """
    expect_network(network)
    totals = [(ZERO,) * layer.width_out for layer in network.layers]
    for x, y in pairs:
        for i, (a, b) in enumerate(zip(network.units(x), network.units(y), strict=True)):
            totals[i] = tuple(t + abs(v - u) for t, u, v in zip(totals[i], a, b, strict=True))
    return totals


def check_mass(
    network: Network,
    pairs: Pairs | Sequence[tuple[Vector, Vector]],
    bounds: Sequence[Fraction] | None = None,
) -> list[Comparison]:
    """Compare every unit's mass with ``bounds``, one for each layer (the lemma's by default).

    Returns:
        For each layer the largest mass of a unit, its bound, and whose bound it is.

    Raises:
        Refuted: a unit exceeds its bound.
        ValueError: a point does not fit the network, or ``bounds`` are not one for each layer.
    """
    expect_network(network)
    limits = network.mass_bounds(len(pairs)) if bounds is None else bounds
    if len(limits) != len(network.layers):
        raise ValueError(f"expected {len(network.layers)} bounds, got {len(limits)}")
    found = []
    for i, (layer, limit) in enumerate(zip(masses(network, pairs), limits, strict=True)):
        family = f"layers 0..{i} ({network.family})" if bounds is None else "the bounds given"
        found.append(Comparison(max(layer), limit, family, limit))
        require(
            max(layer) <= limit,
            f"layer {i} has a unit of mass {found[-1]}: {network}, {pairs}",
        )
    return found


def escape(d: int) -> DistanceNetwork:
    """One distance neuron at the origin: it moves by 1 in every pair (0, e_i), so mass d.

    Raises:
        ValueError: d < 1.
    """
    check_dimension(d)
    return DistanceNetwork((Distance(((ZERO,) * d,)),))


def _sampled(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples = 3000 if thorough else 150
    d = st.integers(1, 8 if thorough else 4)
    case = d.flatmap(lambda d: st.tuples(draw.networks(d=d), draw.single_coordinate_pairs(d=d)))
    sample(lambda drawn: check_mass(*drawn), case, examples=examples)
    return Evidence("sampled", f"{examples} networks of all families, d <= {8 if thorough else 4}")


def _escape(thorough: bool) -> Evidence:
    top = 64 if thorough else 16
    for d in range(1, top + 1):
        reached = masses(escape(d), cyclic_pairs(d, 1))[-1][0]
        require(reached == d, f"the distance neuron has mass {reached}, not {d}")
    return Evidence("exact", f"a distance neuron has mass d, d = 1..{top}", top)


RESULT = Result(
    "mass lemma",
    "Over m pairs that each move one coordinate of their own by at most 1, every unit of a "
    "standard Lipschitz network has mass <= 1, and <= G^s with s GroupSort(G) layers.",
    (
        Check("every unit of the drawn networks has mass within the bound", "sampled", _sampled),
        Check("a distance neuron escapes the bound 1: its mass is d", "exact", _escape),
    ),
    coq=("mass_lemma", "mass_lemma_groupsort", "mass_lemma_norm"),
)
