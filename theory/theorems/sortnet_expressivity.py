"""SortNet contains the other families, exactly.

**l-inf distance networks**: w = (1, 0, ..., 0), offsets = -centres; equal everywhere.

**GroupSort networks**, on a box: give every group of units its own large offset. All of them
become positive and groups do not overlap, so one global sort leaves the groups one after the
other and sorts each; the weights w are then the next affine row itself. What the offsets add is
a known constant. Affine layers are the case of groups of one unit.

**A precise point.** The constant has to go somewhere: hidden layers absorb it in the next
offsets, the last layer needs an output bias, as the l-inf distance neuron has one. Without any
bias the inclusion is false: a SortNet neuron of one input is w|x + b|, never |x| - 1.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

from ..objects.exact import ONE, ZERO, Vector, dot
from ..objects.networks import (
    Affine,
    Distance,
    DistanceNetwork,
    GroupSort,
    GroupSortNetwork,
    Layer,
    Shift,
    Sort,
    SortNetwork,
    expect_network,
)
from ..objects.results import Check, Evidence, Result, require
from ..objects.sampling import sample
from .maxmin_depth import check_order_statistic, order_statistic_network

Range: TypeAlias = tuple[Fraction, Fraction]  # (low, high)


def from_distance(network: DistanceNetwork) -> SortNetwork:
    """The same function as a general SortNet, on all of R^d."""
    expect_network(network)
    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Distance):
            first = (ONE, *(ZERO,) * (layer.width_in - 1))
            offsets = tuple(tuple(-c for c in row) for row in layer.centres)
            layers.append(Sort((first,) * layer.width_out, offsets, layer.bias))
        else:
            layers.append(layer)
    return SortNetwork(tuple(layers))


def _ranges(low: Vector, high: Vector, width: int) -> list[Range]:
    if (
        len(low) != width
        or len(high) != width
        or any(a > b for a, b in zip(low, high, strict=True))
    ):
        raise ValueError(f"expected a box of {width} intervals low <= high, got {low} and {high}")
    return list(zip(low, high, strict=True))


def affine_range(layer: Affine, low: Vector, high: Vector) -> list[Range]:
    """The exact range of every output of an affine layer on the box [low, high].

    Raises:
        ValueError: the box does not fit the layer.
    """
    return _image(layer, _ranges(low, high, layer.width_in))


def _image(layer: Affine, ranges: list[Range]) -> list[Range]:
    result = []
    for row, bias in zip(layer.rows, layer.bias, strict=True):
        ends = [sorted((w * a, w * b)) for w, (a, b) in zip(row, ranges, strict=True)]
        result.append((sum((e[0] for e in ends), bias), sum((e[1] for e in ends), bias)))
    return result


def affine_to_sort(layer: Affine, low: Vector, high: Vector) -> Sort:
    """A SortNet layer equal to an affine layer on the box [low, high].

    Raises:
        ValueError: the box does not fit the layer.
    """
    return _grouped(layer, _ranges(low, high, layer.width_in), 1)


def _grouped(layer: Affine, ranges: list[Range], group: int) -> Sort:
    """The affine layer after a sort of consecutive groups, as one SortNet layer on |x + offsets|.

    ``ranges`` are those of the units before the sort. The last group is moved to start at 0,
    every earlier one above the group that follows it.
    """
    offsets = [ZERO] * len(ranges)
    floor = ZERO
    for start in range(len(ranges) - group, -1, -group):
        low = min(a for a, _ in ranges[start : start + group])
        high = max(b for _, b in ranges[start : start + group])
        offsets[start : start + group] = [floor - low] * group
        floor += high - low
    bias = tuple(
        b - dot(row, tuple(offsets)) for row, b in zip(layer.rows, layer.bias, strict=True)
    )
    return Sort(layer.rows, (tuple(offsets),) * layer.width_out, bias, layer.norm)


def _identity(width: int, bias: Vector = ()) -> Affine:
    rows = tuple(tuple(ONE if i == j else ZERO for j in range(width)) for i in range(width))
    return Affine(rows, bias)


def from_group_sort(network: GroupSortNetwork, low: Vector, high: Vector) -> SortNetwork:
    """A general SortNet equal to a GroupSort network on the box [low, high], one layer for each
    affine layer.

    Raises:
        ValueError: the box does not have ``network.width_in`` coordinates, or is empty.
    """
    expect_network(network)
    ranges = _ranges(low, high, network.width_in)
    group = 1
    layers: list[Layer] = []
    pending = [*network.layers]
    if isinstance(pending[-1], GroupSort):
        pending.append(_identity(network.width_out))
    for layer in pending:
        if isinstance(layer, GroupSort):
            if group > 1:  # two sorts in a row: read the first one by the identity
                unit = _identity(len(ranges))
                layers.append(_grouped(unit, ranges, group))
                ranges = _sorted_ranges(ranges, group)
            group = layer.group
            continue
        if isinstance(layer, Shift):
            layer = _identity(layer.width_in, tuple(-m for m in layer.means))
        if not isinstance(layer, Affine):
            raise ValueError(f"a GroupSort network has no {type(layer).__name__} layer")
        layers.append(_grouped(layer, ranges, group))
        ranges = _image(layer, _sorted_ranges(ranges, group))
        group = 1
    return SortNetwork(tuple(layers))


def _sorted_ranges(ranges: list[Range], group: int) -> list[Range]:
    """Ranges after the sort: the k-th largest lies between the k-th largest ends."""
    result: list[Range] = []
    for start in range(0, len(ranges), group):
        part = ranges[start : start + group]
        lows = sorted((a for a, _ in part), reverse=True)
        highs = sorted((b for _, b in part), reverse=True)
        result.extend(zip(lows, highs, strict=True))
    return result


def check_distance(network: DistanceNetwork, x: Vector) -> None:
    """Compare a distance network with its SortNet at a point, unit by unit.

    Raises:
        Refuted: they differ.
    """
    expect_network(network)
    require(from_distance(network).units(x) == network.units(x), f"differ at {x}: {network}")


def check_group_sort(network: GroupSortNetwork, x: Vector, box: int = 1) -> None:
    """Compare a GroupSort network with its SortNet for the box [0, box]^d at a point.

    Raises:
        Refuted: they differ.
    """
    expect_network(network)
    d = network.width_in
    compiled = from_group_sort(network, (ZERO,) * d, (ONE * box,) * d)
    require(compiled(x) == network(x), f"{compiled(x)} is not {network(x)} at {x}: {network}")


def _distance(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples = 2000 if thorough else 100
    case = st.integers(1, 3).flatmap(
        lambda d: st.tuples(draw.distance_networks(d=d), draw.points(d=d, low=-2, high=2))
    )
    sample(lambda drawn: check_distance(*drawn), case, examples=examples)
    return Evidence("sampled", f"{examples} distance networks and points, d <= 3")


def _group_sort(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples = 2000 if thorough else 100
    case = st.tuples(st.integers(1, 3), st.integers(2, 3)).flatmap(
        lambda n: st.tuples(draw.group_sort_networks(d=n[0], group=n[1]), draw.points(d=n[0]))
    )
    sample(lambda drawn: check_group_sort(*drawn), case, examples=examples)
    return Evidence("sampled", f"{examples} GroupSort networks and points of [0,1]^d, d <= 3")


def _order_statistics(thorough: bool) -> Evidence:
    top, count = (10 if thorough else 7), 0
    for d in range(1, top + 1):
        for k in range(1, d + 1):
            compiled = from_group_sort(order_statistic_network(d, k), (ZERO,) * d, (ONE,) * d)
            check_order_statistic(compiled, k, 0)
            count += 1
    return Evidence("exact", f"x_(k) on all of [0,1]^d, every k, d <= {top}", count)


DISTANCE = Result(
    "SortNet contains distance",
    "A SortNet with w = (1, 0, ..., 0) is the l-inf distance network with the same biases.",
    (Check("distance networks and their SortNets are equal, unit by unit", "sampled", _distance),),
    coq=("sortnet_contains_distance",),
)

GROUP_SORT = Result(
    "SortNet contains GroupSort",
    "On a box every GroupSort network is a SortNet with output biases, layer for layer.",
    (
        Check("GroupSort networks and their SortNets are equal", "sampled", _group_sort),
        Check(
            "the SortNets of the MaxMin order statistics equal x_(k) on the whole cube",
            "exact",
            _order_statistics,
        ),
    ),
    coq=("sortnet_contains_groupsort",),
)
