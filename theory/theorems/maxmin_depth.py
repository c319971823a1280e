"""Theorem 3.9: the depth that GroupSort networks need.

**Statement (ours, from the mass lemma).** With s layers of GroupSort(G), the certified radius on
the cyclic Boolean points is at most min(1/2, G^s/(2d)), and the error for any order statistic on
[0,1]^d is at least 1/2 - G^s/(2d). So an exact order statistic takes s >= ceil(log_G d) layers:
for G = 2 (MaxMin) the ceil(log_2 d) of the paper.

**What attains it.** The tournament reaches max with exactly ceil(log_G d) layers. Any sorting
network becomes a MaxMin network with its depth, for every other order statistic: Batcher's
odd-even merge has p(p+1)/2 layers for d = 2^p.

**On the cyclic points both bounds are tight too (ours)** when G^s divides d: cut the cycle of
coordinates in m = d/G^s interleaved blocks (i mod m), take one order statistic of each block,
average. Each of the d pairs changes one block's statistic by 1, so the average moves by
1/m = G^s/d in every pair.
For k <= m that is the largest of each block and for k > d - m the smallest: a tournament of
s layers. For s = 1 it is any rank, for one GroupSort(G) layer sorts the block: tight for every k.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from ..objects.boolean import cyclic_pairs
from ..objects.exact import ONE, ZERO, check_dimension, check_integer, check_rank
from ..objects.lattice import on_cube, order_statistic_polynomial
from ..objects.networks import Affine, GroupSort, GroupSortNetwork, Layer, Network, expect_network
from ..objects.results import Check, Evidence, Result, require
from ..objects.sampling import sample
from .boolean_impossibility import best_radius, bound, check_bound
from .order_statistics import best_error
from .order_statistics import bound as error_bound
from .order_statistics import check_bound as check_error

Comparator = tuple[int, int]  # wires (i, j), i < j: the larger value goes to wire i


def needed_depth(d: int, group: int = 2) -> int:
    """ceil(log_group d): the least s with group^s >= d.

    Raises:
        ValueError: d < 1 or group < 2.
    """
    check_dimension(d)
    check_integer("group size", group, 2)
    s = 0
    while group**s < d:
        s += 1
    return s


def selection(width_in: int, sources: Sequence[int]) -> Affine:
    """The layer that copies input ``sources[i]`` to unit i.

    Raises:
        ValueError: no sources, or one that is not in 0..width_in-1.
    """
    check_integer("width", width_in, 1)
    for source in sources:
        check_integer("source", source, 0, width_in - 1)
    return Affine(
        tuple(tuple(ONE if j == source else ZERO for j in range(width_in)) for source in sources)
    )


def tournament(d: int, group: int = 2) -> GroupSortNetwork:
    """max of d inputs with ceil(log_group d) sorting layers of the given group size.

    Raises:
        ValueError: d < 1 or group < 2.
    """
    depth = needed_depth(d, group)
    layers: list[Layer] = []
    width, players = d, list(range(d))
    for _ in range(depth):
        # An incomplete group repeats its last player.
        filled = players + players[-1:] * (-len(players) % group)
        layers += [selection(width, filled), GroupSort(len(filled), group)]
        width, players = len(filled), list(range(0, len(filled), group))
    return GroupSortNetwork((*layers, selection(width, players[:1])))


def odd_even_merge_sort(d: int) -> list[list[Comparator]]:
    """Batcher's sorting network on d wires, in layers of disjoint comparators (largest first).

    Raises:
        ValueError: d < 1.
    """
    check_dimension(d)
    layers: list[list[Comparator]] = []
    p = 1
    while p < d:
        k = p
        while k >= 1:
            layers.append(
                [
                    (i + j, i + j + k)
                    for j in range(k % p, d - k, 2 * k)
                    for i in range(min(k, d - j - k))
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p)
                ]
            )
            k //= 2
        p *= 2
    return layers


def compile_sorting_network(
    d: int, layers: Sequence[Sequence[Comparator]], ranks: Sequence[int] | None = None
) -> GroupSortNetwork:
    """A MaxMin network that does what a sorting network does, layer by layer.

    Args:
        d: number of wires, >= 1.
        layers: disjoint comparators (i, j); the larger value goes to wire i.
        ranks: which wires to output, 1 = the first; all by default.

    Raises:
        ValueError: a wire is outside 0..d-1 or used twice in a layer, a rank is outside 1..d, or
            ``ranks`` is empty.
    """
    check_dimension(d)
    ranks = range(1, d + 1) if ranks is None else ranks
    for rank in ranks:
        check_rank(d, rank)
    result: list[Layer] = []
    width, place = d, list(range(d))  # place[w]: the unit that holds wire w
    for comparators in layers:
        used = [w for pair in comparators for w in pair]
        for wire in used:
            check_integer("wire", wire, 0, d - 1)
        if len(set(used)) != len(used) or len(used) != 2 * len(comparators):
            raise ValueError(f"expected disjoint pairs of wires, got {comparators}")
        idle = [w for w in range(d) if w not in used]
        wires = used + [w for w in idle for _ in range(2)]  # an idle wire is paired with itself
        result += [selection(width, [place[w] for w in wires]), GroupSort(len(wires), 2)]
        width = len(wires)
        place = [wires.index(w) for w in range(d)]
    outputs = [place[rank - 1] for rank in ranks]
    return GroupSortNetwork((*result, selection(width, outputs)))


def order_statistic_network(d: int, k: int) -> GroupSortNetwork:
    """A MaxMin network equal to x_(k): the tournament for the ends, odd-even merge otherwise.

    Raises:
        ValueError: k is not in 1..d.
    """
    check_rank(d, k)
    if k == 1:
        return tournament(d)
    if k == d:  # min(x) = -max(-x)
        first, *rest, last = tournament(d).layers
        assert isinstance(first, Affine) and isinstance(last, Affine)
        return GroupSortNetwork((_negated(first), *rest, _negated(last)))
    return compile_sorting_network(d, odd_even_merge_sort(d), [k])


def _negated(layer: Affine) -> Affine:
    return Affine(tuple(tuple(-w for w in row) for row in layer.rows), layer.bias)


def tight_example(d: int, k: int, group: int, sorts: int) -> GroupSortNetwork:
    """The average of one order statistic per block: certified radius group^sorts/(2d) at jump k,
    and on the cyclic points within 1/2 - group^sorts/(2d) of x_(k) up to a constant.

    Raises:
        ValueError: k is not in 1..d, group < 2, sorts < 1, or group^sorts does not divide d;
            for sorts > 1 also if k is not in 1..m or d-m+1..d, m = d/group^sorts.
    """
    check_rank(d, k)
    check_integer("group size", group, 2)
    check_integer("sorts", sorts, 1)
    size = group**sorts
    if d % size:
        raise ValueError(f"expected {group}^sorts to divide {d}, got sorts = {sorts}")
    m = d // size
    rank = (k - 1) // m + 1  # the statistic of a block that flips when its own coordinate does
    if sorts > 1 and rank not in (1, size):
        raise ValueError(f"expected k in 1..{m} or {d - m + 1}..{d} for {sorts} layers, got {k}")
    # Groups are consecutive, so the members of a block (i mod m) are brought together first.
    layers: list[Layer] = [selection(d, [i for b in range(m) for i in range(b, d, m)])]
    layers.append(GroupSort(d, group))
    width = d
    place = 0 if rank == 1 else group - 1
    if sorts == 1:
        place = rank - 1
    for _ in range(sorts - 1):
        kept = list(range(place, width, group))
        layers += [selection(width, kept), GroupSort(len(kept), group)]
        width = len(kept)
    row = tuple(Fraction(1, m) if i % group == place else ZERO for i in range(width))
    return GroupSortNetwork((*layers, Affine((row,))))


def mirrored(network: Network) -> Network:
    """The two logits -f and f."""
    expect_network(network)
    return Network((*network.layers, Affine(((-ONE,), (ONE,)))))


def check_order_statistic(network: Network, k: int, sorts: int) -> None:
    """Compare the network with x_(k) on all of [0,1]^d, and its GroupSort layers with ``sorts``.

    The comparison is exact on the whole cube (:func:`.lattice.on_cube`).

    Raises:
        Refuted: they differ.
        ValueError: the network has no lattice form there, or k is not in 1..d.
    """
    expect_network(network)
    d = network.width_in
    term = on_cube(network)[0]
    same = (term.sign, term.offset, term.polynomial)
    require(same == (1, ZERO, order_statistic_polynomial(d, k)), f"not x_({k}): {network}")
    require(network.sorting_layers == sorts, f"{network.sorting_layers} layers, not {sorts}")


def _tournaments(thorough: bool) -> Evidence:
    top, count = (14 if thorough else 10), 0
    for group in (2, 3, 5):
        for d in range(1, top + 1):
            check_order_statistic(tournament(d, group), 1, needed_depth(d, group))
            count += 1
    return Evidence("exact", f"max with ceil(log_G d) layers, G = 2, 3, 5, d <= {top}", count)


def _order_statistics(thorough: bool) -> Evidence:
    top, count = (12 if thorough else 9), 0
    for d in range(1, top + 1):
        p = needed_depth(d)
        for k in range(1, d + 1):
            check_order_statistic(
                order_statistic_network(d, k), k, p if k in (1, d) else p * (p + 1) // 2
            )
            count += 1
    reach = f"all of [0,1]^d, every k, d <= {top}, p(p+1)/2 layers, p = ceil(log_2 d)"
    return Evidence("exact", reach, count)


def tight_cases(top: int) -> Iterator[tuple[int, int, int, int]]:
    """Every (d, k, group, sorts) with d <= top for which :func:`tight_example` is made."""
    for group in (2, 3):
        for sorts in (1, 2, 3):
            for d in range(group**sorts, top + 1, group**sorts):
                m = d // group**sorts
                for k in range(1, d + 1):
                    if sorts == 1 or k <= m or k > d - m:
                        yield d, k, group, sorts


def _tight(thorough: bool) -> Evidence:
    top, count = (24 if thorough else 12), 0
    for d, k, group, sorts in tight_cases(top):
        network = tight_example(d, k, group, sorts)
        reached = best_radius(mirrored(network), cyclic_pairs(d, k))
        limit = bound(d, group**sorts)
        require(reached == limit, f"radius {reached}, not {limit}: {(d, k, group, sorts)}")
        error, least = best_error(network, k), error_bound(d, k, group**sorts)
        require(error == least, f"error {error}, not {least}: {(d, k, group, sorts)}")
        count += 1
    return Evidence("exact", f"on the cyclic points, G = 2, 3, G^s divides d <= {top}", count)


def _sampled(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples, top = (3000, 8) if thorough else (200, 6)

    def both(drawn: tuple[Network, int]) -> None:
        network, k = drawn
        check_bound(mirrored(network), k)
        check_error(network, k)

    case = st.tuples(st.integers(1, top), st.integers(2, 3)).flatmap(
        lambda n: st.tuples(draw.group_sort_networks(d=n[0], group=n[1]), st.integers(1, n[0]))
    )
    sample(both, case, examples=examples)
    return Evidence("sampled", f"{examples} GroupSort networks, G = 2, 3, s <= 2, d <= {top}")


RESULT = Result(
    "3.9",
    "With s GroupSort(G) layers the certified radius on the cyclic points is at most "
    "min(1/2, G^s/(2d)) and the error for x_(k) at least 1/2 - G^s/(2d); so an exact order "
    "statistic needs ceil(log_G d) sorting layers, and max is reached with that many.",
    (
        Check("no drawn GroupSort network crosses the G^s bounds", "sampled", _sampled),
        Check("the bounds G^s/(2d) and 1/2 - G^s/(2d) are reached", "exact", _tight),
        Check("the tournament equals max with the least depth", "exact", _tournaments),
        Check("sorting networks become MaxMin networks equal to x_(k)", "exact", _order_statistics),
    ),
    coq=(
        "groupsort_radius",
        "groupsort_radius_norm",
        "groupsort_error",
        "groupsort_error_norm",
        "groupsort_depth",
        "theorem_3_9_tight",
    ),
)
