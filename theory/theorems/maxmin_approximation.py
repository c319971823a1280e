"""Theorem 3.11: MaxMin networks of depth o(d) are not universal approximators.

**Statement.** Let N be a MaxMin network with at most M sorting layers, of any width, that is
closer than 1/(2 * 4^(d(M+1))) to a Boolean function g at every vertex of {0,1}^d. Then g is a
circuit of AND and OR of fan-in 2 and depth M with free NOT. So each of the functions that the
counting bound of 3.10 leaves over at depth M, continued to a 1-Lipschitz function, is missed by
at least that much; for M <= d/2 and d >= 8 there are such functions.

**Proof (ours: finite, where the usual argument takes a limit by compactness).** Let a unit be
higher on P than on Q, sets of vertices, by at least 1 - delta. If it is max(a, b), then a is so
on the part of P where a >= b, and b on the rest: OR of two circuits. If it is min, share Q out:
AND. If it is an affine row of absolute sum <= 1, its inputs move by <= 1 between vertices, and
the losses 1 - sign(w_j) (z_j(p) - z_j(q)), weighted with |w_j|, are at most delta for each of the
at most 4^d pairs (p, q): one input has a summed loss <= 4^d delta. A coordinate that is higher
on P than on Q by more than 0 is a literal that separates them. Begin at the output with
delta = 2 error. (:func:`extract_circuit` is this proof.)
"""

from __future__ import annotations

from fractions import Fraction
from random import Random

from ..objects.boolean import BooleanFunction
from ..objects.circuits import Circuit, Constant, Gate, Literal, truth_table
from ..objects.exact import ONE, Vector, check_dimension, check_integer, vertices
from ..objects.networks import Affine, GroupSortNetwork, Layer, expect_network
from ..objects.results import Check, Evidence, Result, require
from ..objects.sampling import sample
from .circuits import count_bound, maxmin_affines


def error_bound(d: int, depth: int) -> Fraction:
    """1/(2 * 4^(d (depth + 1))): closer than this at all vertices, and g has circuits of this
    depth.

    Raises:
        ValueError: d < 1 or depth < 0.
    """
    check_dimension(d)
    check_integer("depth", depth, 0)
    return Fraction(1, 2 * 4 ** (d * (depth + 1)))


def vertex_error(network: GroupSortNetwork, g: BooleanFunction) -> Fraction:
    """The largest distance between the first output and g on the vertices.

    Raises:
        ValueError: the network and g have different numbers of inputs.
    """
    expect_network(network)
    if network.width_in != g.d:
        raise ValueError(f"expected a network of {g.d} inputs, got {network.width_in}")
    points = enumerate(vertices(g.d))
    return max(abs(network(x)[0] - (g.table >> v & 1)) for v, x in points)


def extract_circuit(network: GroupSortNetwork, g: BooleanFunction) -> Circuit:
    """A circuit for g, no deeper than the network, read off a network that is close to g.

    Args:
        network: affine, MaxMin, affine, ..., affine, with norms 1.
        g: closer to the first output than ``error_bound(g.d, network.sorting_layers)`` on all
            vertices.

    Raises:
        ValueError: the network is not of that kind, or not that close.
        Refuted: the lemma fails on it.
    """
    expect_network(network)
    affines = maxmin_affines(network)
    error, limit = vertex_error(network, g), error_bound(g.d, network.sorting_layers)
    if error >= limit:
        raise ValueError(f"expected a network closer than {limit} to g, its error is {error}")
    traces = [(x, *network.units(x)) for x in vertices(g.d)]
    loss_factor = 4**g.d

    def separate(t: int, unit: int, high: frozenset[int], low: frozenset[int]) -> Circuit:
        """True on ``high`` and false on ``low``, where the unit of affine layer t is 1 - delta
        higher on ``high``."""
        if not (high and low):
            return Constant(1 if high else 0)
        moved = _gap([trace[2 * t + 1] for trace in traces], unit, high, low)
        inputs = [trace[2 * t] for trace in traces]
        read = [place for place, weight in enumerate(affines[t].rows[unit]) if weight]
        require(bool(read), f"unit {unit} of layer {t} moves by {moved} and reads nothing")
        gap, negated, place = max(
            choice
            for place in read
            for choice in (
                (_gap(inputs, place, high, low), False, place),
                (_gap(inputs, place, low, high), True, place),
            )
        )
        require(
            gap >= 1 - loss_factor * (1 - moved) > 0,
            f"a row moves by {moved}, each of its inputs by at most {gap}",
        )
        if not t:
            return Literal(place, negated)
        if negated:
            return _negation(through_sort(t, place, low, high))
        return through_sort(t, place, high, low)

    def through_sort(t: int, place: int, high: frozenset[int], low: frozenset[int]) -> Circuit:
        before = [trace[2 * t - 1] for trace in traces]
        a = place // 2 * 2
        if place % 2:  # the smaller of the pair
            first = frozenset(v for v in low if before[v][a] <= before[v][a + 1])
            parts = ((high, first), (high, low - first))
        else:
            first = frozenset(v for v in high if before[v][a] >= before[v][a + 1])
            parts = ((first, low), (high - first, low))
        left, right = (separate(t - 1, a + i, *part) for i, part in enumerate(parts))
        return Gate(place % 2 == 1, left, right)

    ones = frozenset(v for v in range(len(traces)) if g.table >> v & 1)
    return separate(len(affines) - 1, 0, ones, frozenset(range(len(traces))) - ones)


def _gap(values: list[Vector], unit: int, high: frozenset[int], low: frozenset[int]) -> Fraction:
    return min(values[v][unit] for v in high) - max(values[v][unit] for v in low)


def _negation(circuit: Circuit) -> Circuit:
    """NOT of a circuit, as a circuit of the same depth (De Morgan)."""
    if isinstance(circuit, Gate):
        return Gate(not circuit.conjunction, _negation(circuit.left), _negation(circuit.right))
    if isinstance(circuit, Literal):
        return Literal(circuit.variable, not circuit.negated)
    return Constant(1 - circuit.value)


def check_extraction(network: GroupSortNetwork, g: BooleanFunction) -> None:
    """Read a circuit off a network close to g, and compare function and depth.

    Raises:
        Refuted: they do not match.
        ValueError: the network is not close enough.
    """
    expect_network(network)
    circuit = extract_circuit(network, g)
    require(truth_table(circuit, g.d) == g, f"{circuit} is not the function near {network}")
    require(circuit.depth <= network.sorting_layers, f"{circuit} is deeper than {network}")


def disturbed(network: GroupSortNetwork, size: Fraction, seed: int) -> GroupSortNetwork:
    """The network with every row shrunk and every bias moved, by random parts of ``size``."""
    expect_network(network)
    random = Random(seed)

    def part() -> Fraction:
        return size * random.randint(0, 4) / 4

    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Affine):
            shrunk = ((factor, row) for row in layer.rows for factor in (ONE - part(),))
            rows = tuple(tuple(factor * w for w in row) for factor, row in shrunk)
            layer = Affine(rows, tuple(b + part() - part() for b in layer.bias))
        layers.append(layer)
    return GroupSortNetwork(tuple(layers))


def _near(network: GroupSortNetwork, seed: int) -> None:
    table = sum(int(network(x)[0]) << v for v, x in enumerate(vertices(network.width_in)))
    g = BooleanFunction(network.width_in, table)
    size = limit = error_bound(g.d, network.sorting_layers)
    while vertex_error(near := disturbed(network, size, seed), g) >= limit:
        size /= 2
    check_extraction(near, g)


def _sampled(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples = 1000 if thorough else 40
    networks = st.integers(2, 3).flatmap(lambda d: draw.boolean_maxmin_networks(d=d))
    sample(_near, networks, st.integers(0, 2**16), examples=examples)
    return Evidence("sampled", f"{examples} MaxMin networks near a function, d <= 3, depth <= 3")


def _left_over(thorough: bool) -> Evidence:
    top = 14 if thorough else 12
    for d in range(8, top + 1):
        for depth in range(d // 2 + 1):
            require(count_bound(d, depth) < 1 << (1 << d), f"no function left, d {d}, M {depth}")
    return Evidence("exhaustive", f"M <= d/2, d from 8 to {top}, in integers")


RESULT = Result(
    "3.11",
    "A MaxMin network of depth M closer than 1/(2 4^(d(M+1))) to g on {0,1}^d makes g a circuit of "
    "depth M; so MaxMin networks of depth o(d) are not universal approximators.",
    (
        Check("a circuit for g is read off networks close to g", "sampled", _sampled),
        Check("the counting bound leaves functions over at depth d/2", "exhaustive", _left_over),
    ),
    coq=("theorem_3_11_circuit", "theorem_3_11_finite", "theorem_3_11"),
)
