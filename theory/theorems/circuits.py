"""Theorem 3.10: MaxMin networks for Boolean functions are circuits of fan-in 2.

**Statement.** (a) If a MaxMin network represents a non-constant g on {0,1}^d, so does a network
of the same shape whose rows hold a single +-1: a circuit of AND and OR of fan-in 2 with free
NOT. (b) Depth M reaches at most (2d+2)^(2^M) 2^(2^M - 1) of the 2^(2^d) functions, so most need
depth >= d - log2(log2(2d+2) + 1).

**Proof of (a).** f runs through an interval of length 1 on {0,1}^d, and no unit can do more, as
all are 1-Lipschitz. So a row whose unit goes from c on N to c + 1 on P has absolute sum 1, and
every input it reads with weight w goes by sign(w) between N and P: any one of them, with weight
sign(w), does the same on N and P. In a sorted pair, max(a, b) = c + 1 on P and c on N means that
a or b is c + 1 at each point of P, and the one that ever is, is c on N; dually for min. So the
claim passes from the outputs to the inputs (:func:`single_weights` is this proof).

**Proof of (b).** Push negations to the leaves and unfold: a full binary tree with 2^M leaves, each
one of 2d literals or 2 constants, and 2^M - 1 gates, each AND or OR.

For d <= 4 the least depth of every function is computed outright (:func:`minimal_depths`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..objects.boolean import BooleanFunction
from ..objects.circuits import (
    Circuit,
    Constant,
    Gate,
    Literal,
    compile_circuit,
    truth_table,
    unit_row,
)
from ..objects.exact import ONE, ZERO, Vector, check_dimension, check_integer, vertices
from ..objects.networks import Affine, GroupSort, GroupSortNetwork, Layer, expect_network
from ..objects.results import Check, Evidence, Result, require
from ..objects.sampling import sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# --- counting ---------------------------------------------------------------------------------


def count_bound(d: int, depth: int) -> int:
    """At most this many functions of d variables have circuits of depth <= ``depth``.

    Raises:
        ValueError: d < 1 or depth < 0.
    """
    check_dimension(d)
    check_integer("depth", depth, 0)
    leaves = 1 << depth
    return int((2 * d + 2) ** leaves << (leaves - 1))


def counting_depth(d: int) -> int:
    """The least depth at which the counting bound allows all 2^(2^d) functions.

    Raises:
        ValueError: d < 1.
    """
    check_dimension(d)
    depth = 0
    while count_bound(d, depth) < 1 << (1 << d):
        depth += 1
    return depth


# --- exact minimal depth ------------------------------------------------------------------------


@lru_cache(typed=True)  # True and 2.0 are to be refused even after 1 and 2
def minimal_depths(d: int) -> NDArray[np.int8]:
    """The least fan-in-2 depth of every function of d <= 4 variables, by exhaustion.

    Returns:
        [2^(2^d)], indexed by truth table. Functions of depth <= m + 1 are the ANDs and ORs of
        two functions of depth <= m; these sets are closed under NOT, so ANDs are enough, and
        under permuting and negating variables, so one of the two may stand for its orbit.

    Raises:
        ValueError: d is not in 1..4.
    """
    import numpy as np

    check_integer("d", d, 1, 4)
    everything = (1 << (1 << d)) - 1
    symmetries = _symmetries(d)
    orbit = _closure(np.arange(everything + 1), symmetries, np.minimum)
    literals = [sum(1 << i for i in range(1 << d) if i >> j & 1) for j in range(d)]
    depths = np.full(everything + 1, -1, dtype=np.int8)
    depths[[0, everything, *literals, *(everything ^ bits for bits in literals)]] = 0
    depth = 0
    while (depths < 0).any():
        found = np.flatnonzero(depths >= 0)
        reached = np.zeros(everything + 1, dtype=bool)
        for table in np.unique(orbit[found]):
            reached[found & table] = True
        reached = _closure(reached, symmetries, np.logical_or)
        reached |= reached[::-1]  # the complement of table t is everything - t
        depth += 1
        depths[reached & (depths < 0)] = depth
    depths.setflags(write=False)
    return depths


def _symmetries(d: int) -> list[NDArray[np.int64]]:
    """Generators of the symmetries that keep depth and AND: swaps of neighbouring variables and
    the negation of x_0, as permutations (involutions) of the truth tables."""
    import numpy as np

    def swap(v: int, j: int) -> int:
        a, b = v >> j & 1, v >> (j + 1) & 1
        return v ^ ((a ^ b) << j) ^ ((a ^ b) << (j + 1))

    images = [[swap(v, j) for v in range(1 << d)] for j in range(d - 1)]
    images.append([v ^ 1 for v in range(1 << d)])
    tables = np.arange(1 << (1 << d))
    bits = [tables >> v & 1 for v in range(1 << d)]
    return [sum((b << i for b, i in zip(bits, image, strict=True)), 0 * tables) for image in images]


def _closure(
    values: NDArray[Any], symmetries: list[NDArray[np.int64]], join: Callable[..., NDArray[Any]]
) -> NDArray[Any]:
    """Join the values of every orbit until nothing changes."""
    while True:
        joined = values
        for symmetry in symmetries:
            joined = join(joined, joined[symmetry])
        if (joined == values).all():
            return joined
        values = joined


def minimal_circuit(g: BooleanFunction) -> Circuit:
    """A circuit of the least depth for g, d <= 4.

    Raises:
        ValueError: d > 4.
    """
    import numpy as np

    depths = minimal_depths(g.d)
    everything = (1 << (1 << g.d)) - 1

    def build(table: int) -> Circuit:
        depth = int(depths[table])
        if depth == 0:
            return _leaf(table)
        shallower = np.flatnonzero((depths >= 0) & (depths < depth))
        for conjunction, target in ((True, table), (False, everything ^ table)):
            above = shallower[(shallower & target) == target]
            for a in above:
                partners = above[(above & a) == target]
                if len(partners):
                    pair = (int(a), int(partners[0]))
                    if not conjunction:
                        pair = (everything ^ pair[0], everything ^ pair[1])
                    return Gate(conjunction, build(pair[0]), build(pair[1]))
        raise AssertionError("every function of positive depth is an AND or an OR")

    def _leaf(table: int) -> Circuit:
        if table in (0, everything):
            return Constant(int(table == everything))
        for variable in range(g.d):
            for negated in (False, True):
                if truth_table(Literal(variable, negated), g.d).table == table:
                    return Literal(variable, negated)
        raise AssertionError("functions of depth 0 are literals and constants")

    return build(g.table)


# --- the single-weight lemma --------------------------------------------------------------------


def _represented(network: GroupSortNetwork) -> BooleanFunction:
    """The Boolean function that the first output is on the vertices."""
    values = [network(x)[0] for x in vertices(network.width_in)]
    if not set(values) <= {ZERO, ONE}:
        raise ValueError("expected a network with values 0 and 1 on the vertices of the cube")
    table = sum(1 << i for i, value in enumerate(values) if value)
    return BooleanFunction(network.width_in, table)


@dataclass
class _Demand:
    """Where a unit has to be high (c + 1) and low (c), as sets of vertex numbers."""

    high: set[int]
    low: set[int]


def single_weights(network: GroupSortNetwork) -> GroupSortNetwork:
    """A network of the same shape whose rows hold a single +-1, equal on {0,1}^d (the lemma).

    Args:
        network: affine, MaxMin, affine, ..., affine; one output, equal to a non-constant Boolean
            function on the vertices.

    Raises:
        ValueError: the network is not of that kind.
        Refuted: the lemma fails on it.
    """
    expect_network(network)
    affines, d = maxmin_affines(network), network.width_in
    g = _represented(network)
    if network.width_out != 1 or g.constant:
        raise ValueError("expected one output that is not constant on the vertices of the cube")
    traces = [(x, *network.units(x)) for x in vertices(d)]
    points = range(len(traces))
    # inputs[t][v] are the inputs of affine layer t at vertex v, outputs[t][v] its outputs.
    inputs = [[trace[2 * t] for trace in traces] for t in range(len(affines))]
    outputs = [[trace[2 * t + 1] for trace in traces] for t in range(len(affines))]

    ones = {v for v in points if g.table >> v & 1}
    demands = {0: _Demand(ones, set(points) - ones)}
    chosen: list[dict[int, tuple[int, int]]] = []  # per layer: unit -> (input, sign)
    lows: list[dict[int, Fraction]] = []  # per layer: unit -> its c in the given network
    for t in range(len(affines) - 1, -1, -1):
        demands = {unit: demand for unit, demand in demands.items() if demand.high and demand.low}
        read: dict[int, _Demand] = {}
        picks: dict[int, tuple[int, int]] = {}
        for unit, demand in demands.items():
            place, sign = _pick(affines[t].rows[unit], inputs[t], demand)
            picks[unit] = (place, sign)
            high, low = (demand.high, demand.low)[::sign]
            merged = read.setdefault(place, _Demand(set(), set()))
            merged.high |= high
            merged.low |= low
        chosen.insert(0, picks)
        lows.insert(0, {u: outputs[t][min(dem.low)][u] for u, dem in demands.items()})
        if t:
            demands = _through_sort(read, inputs[t], outputs[t - 1])
    result = _rebuild(affines, chosen, lows)
    require(_represented(result) == g, f"{result} is not the function of {network}")
    return result


def maxmin_affines(network: GroupSortNetwork) -> list[Affine]:
    """The affine layers of a network affine, MaxMin, affine, ..., affine.

    Raises:
        ValueError: the network has another shape, or an affine layer of another norm than 1.
    """
    expect_network(network)
    affines, sorts = network.layers[::2], network.layers[1::2]
    if any(not isinstance(s, GroupSort) or s.group != 2 for s in sorts):
        raise ValueError("expected MaxMin layers between the affine ones")
    result = [layer for layer in affines if isinstance(layer, Affine) and layer.norm == 1]
    if len(result) != len(affines) or len(affines) != len(sorts) + 1:
        raise ValueError("expected affine layers of norm 1 around the MaxMin layers")
    return result


def _pick(row: Vector, inputs: list[Vector], demand: _Demand) -> tuple[int, int]:
    """An input that goes up by 1 (or down, for sign -1) from ``low`` to ``high``."""
    for place, weight in enumerate(row):
        if weight:
            sign = 1 if weight > 0 else -1
            high = {inputs[v][place] for v in demand.high}
            low = {inputs[v][place] for v in demand.low}
            one_step = all(sign * (a - b) == 1 for a in high for b in low)
            require(one_step, f"input {place} of row {row} does not move by 1 where the row does")
            return place, sign
    require(False, f"row {row} moves by 1 but is zero")
    raise AssertionError("unreachable")


def _through_sort(
    read: dict[int, _Demand], after: list[Vector], before: list[Vector]
) -> dict[int, _Demand]:
    """What the demands on sorted outputs ask of the units before the sort."""
    demands: dict[int, _Demand] = {}
    for place, demand in read.items():
        high_value = after[min(demand.high)][place]
        for unit in (place // 2 * 2, place // 2 * 2 + 1):
            merged = demands.setdefault(unit, _Demand(set(), set()))
            high = {v for v in demand.high if before[v][unit] == high_value}
            low = {v for v in demand.low if before[v][unit] == high_value - 1}
            if (high if place % 2 == 0 else low) and high and low:
                merged.high |= high
                merged.low |= low
    return demands


def _rebuild(
    affines: list[Affine],
    chosen: list[dict[int, tuple[int, int]]],
    lows: list[dict[int, Fraction]],
) -> GroupSortNetwork:
    """The network of the picks: demanded units run from 0 to 1 (from -1 to 0 where the partner in
    the pair runs higher), others copy their partner."""
    layers: list[Layer] = []
    floor = dict.fromkeys(range(affines[0].width_in), ZERO)  # the low value of each input
    for t, affine in enumerate(affines):
        rows, bias, targets = [], [], {}
        for unit in range(affine.width_out):
            source = unit if unit in chosen[t] else unit ^ 1
            if source not in chosen[t]:
                rows.append(unit_row(affine.width_in, 0))
                bias.append(ZERO)
                continue
            place, sign = chosen[t][source]
            partner = lows[t].get(source ^ 1)
            target = -ONE if partner is not None and partner > lows[t][source] else ZERO
            rows.append(unit_row(affine.width_in, place, Fraction(sign)))
            bias.append(target - floor[place] if sign > 0 else target + floor[place] + 1)
            targets[unit] = target
        layers.append(Affine(tuple(rows), tuple(bias)))
        if t < len(affines) - 1:
            layers.append(GroupSort(affine.width_out, 2))
            floor = {}
            for first in range(0, affine.width_out, 2):
                pair = [targets.get(u, ZERO) for u in (first, first + 1)]
                floor[first], floor[first + 1] = max(pair), min(pair)
    return GroupSortNetwork(tuple(layers))


def is_selection(network: GroupSortNetwork) -> bool:
    """Does every row hold a single +-1?"""
    expect_network(network)
    rows = [row for layer in network.layers if isinstance(layer, Affine) for row in layer.rows]
    return all([abs(w) for w in row if w] == [ONE] for row in rows)


def check_single_weights(network: GroupSortNetwork) -> None:
    """Run the lemma on a network and compare function, shape and rows.

    Raises:
        Refuted: they do not match.
    """
    expect_network(network)
    result = single_weights(network)
    shapes = [(layer.width_in, layer.width_out) for layer in network.layers]
    require(is_selection(result), f"rows with other weights: {result}")
    require([(x.width_in, x.width_out) for x in result.layers] == shapes, f"other shape: {result}")


def check_compiler(circuit: Circuit, d: int) -> None:
    """Compare a circuit with its MaxMin network: function and depth.

    Raises:
        Refuted: they do not match.
    """
    network = compile_circuit(circuit, d)
    require(_represented(network) == truth_table(circuit, d), f"{network} is not {circuit}")
    require(network.sorting_layers == circuit.depth, f"{network} is not as deep as {circuit}")


# --- checks -------------------------------------------------------------------------------------


def _counting(thorough: bool) -> Evidence:
    for d in range(1, 5):
        depths = minimal_depths(d)
        for depth in range(int(depths.max()) + 1):
            count, limit = int((depths <= depth).sum()), count_bound(d, depth)
            require(count <= limit, f"{count} > {limit} functions of depth {depth}, d = {d}")
        require(int((depths == 0).sum()) == count_bound(d, 0), "the bound is not tight at depth 0")
        require(int(depths.max()) >= counting_depth(d), f"all depths < {counting_depth(d)}")
    return Evidence("exhaustive", "number of functions of each depth, d <= 4")


def _growth(thorough: bool) -> Evidence:
    top = 14 if thorough else 12
    for d in range(1, top + 1):
        depth = counting_depth(d)
        # The same as depth >= d - log2(log2(2d + 2) + 1), without logarithms.
        enough = (2 * (2 * d + 2)) ** (1 << depth) >= 1 << (1 << d)
        require(enough, f"counting gives depth {depth} for {d}")
    return Evidence("exhaustive", f"least M with the count >= 2^(2^d), integers, d <= {top}")


def _minimal(thorough: bool) -> Evidence:
    summary = []
    for d in range(1, 5):
        depths = minimal_depths(d)
        summary.append(f"d = {d}: <= {int(depths.max())}")
        parity = sum(1 << i for i in range(1 << d) if i.bit_count() % 2)
        # Parity needs log2(d^2) rounded up: Khrapchenko's bound, d^2 leaves.
        require(2 ** int(depths[parity]) >= d * d, f"parity of {d} has depth {depths[parity]}")
    return Evidence("exhaustive", "least depth of all 65,536 functions, " + ", ".join(summary))


def _circuits(thorough: bool) -> Evidence:
    import numpy as np

    cases = [(d, table) for d in (1, 2, 3) for table in range(1 << (1 << d))]
    reach = f"least-depth circuit and network of all {len(cases)} functions, d <= 3"
    if thorough:
        orbits = _closure(np.arange(1 << 16), _symmetries(4), np.minimum)
        cases += [(4, int(table)) for table in np.unique(orbits)]
        reach += ", and of d = 4 up to permuting and negating variables"
    for d, table in cases:
        g = BooleanFunction(d, table)
        circuit = minimal_circuit(g)
        require(truth_table(circuit, d) == g, f"{circuit} is not {g}")
        require(circuit.depth == minimal_depths(d)[table], f"{circuit} is too deep")
        check_compiler(circuit, d)
    return Evidence("exhaustive", reach)


def _sampled(thorough: bool) -> Evidence:
    from ..objects import strategies as draw

    examples = 1000 if thorough else 60
    sample(check_single_weights, draw.boolean_maxmin_networks(d=3), examples=examples)
    return Evidence("sampled", f"{examples} MaxMin networks with mixed rows, d = 3, depth <= 3")


RESULT = Result(
    "3.10",
    "A MaxMin network that represents g on {0,1}^d can have a single +-1 in each row: it is a "
    "circuit of fan-in 2; counting these, most g need depth >= d - log2(log2(2d+2) + 1).",
    (
        Check("drawn networks with mixed rows reduce to a single +-1 per row", "sampled", _sampled),
        Check("the counting bound, against the true counts", "exhaustive", _counting),
        Check("the counting bound gives at least d - log2(log2(2d+2) + 1)", "exhaustive", _growth),
        Check("least depth of every function of d <= 4 variables", "exhaustive", _minimal),
        Check("circuits become MaxMin networks of the same depth", "exhaustive", _circuits),
    ),
    coq=(
        "theorem_3_10_selection",
        "theorem_3_10_circuits",
        "theorem_3_10_counting",
        "theorem_3_10_depth",
    ),
)
