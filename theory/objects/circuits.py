"""Boolean circuits of fan-in 2, and the MaxMin networks that are equal to them on {0,1}^d."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from .boolean import BooleanFunction
from .exact import ONE, ZERO, Vector, check_dimension, check_integer
from .networks import Affine, GroupSort, GroupSortNetwork, Layer


@dataclass(frozen=True)
class Literal:
    """x_i, or its negation."""

    variable: int
    negated: bool = False

    depth = 0


@dataclass(frozen=True)
class Constant:
    """0 or 1.

    Raises:
        ValueError: ``value`` is neither.
    """

    value: int

    depth = 0

    def __post_init__(self) -> None:
        check_integer("value", self.value, 0, 1)


@dataclass(frozen=True)
class Gate:
    """AND (``conjunction``) or OR of two circuits."""

    conjunction: bool
    left: Circuit
    right: Circuit

    @property
    def depth(self) -> int:
        return 1 + max(self.left.depth, self.right.depth)


Circuit: TypeAlias = Literal | Constant | Gate


def truth_table(circuit: Circuit, d: int) -> BooleanFunction:
    """The function that a circuit computes, of d variables.

    Raises:
        ValueError: d < 1, or the circuit reads a variable outside 0..d-1.
    """
    check_dimension(d)

    def table(node: Circuit) -> int:
        if isinstance(node, Gate):
            left, right = table(node.left), table(node.right)
            return left & right if node.conjunction else left | right
        if isinstance(node, Constant):
            return everything if node.value else 0
        check_integer("variable", node.variable, 0, d - 1)
        bits = sum(1 << i for i in range(1 << d) if i >> node.variable & 1)
        return everything ^ bits if node.negated else bits

    everything = (1 << (1 << d)) - 1
    return BooleanFunction(d, table(circuit))


def compile_circuit(circuit: Circuit, d: int, *others: Circuit) -> GroupSortNetwork:
    """A MaxMin network with as many sorting layers as the circuits are deep, equal to them on
    {0,1}^d; every row holds a single +-1 (none for a constant).

    Args:
        circuit: the first output.
        d: number of variables.
        others: further outputs.

    Raises:
        ValueError: a circuit reads a variable outside 0..d-1.
    """
    check_dimension(d)
    layers: list[Layer] = []
    wanted: list[Circuit] = [circuit, *others]
    selections: list[tuple[int, list[int]]] = []  # for each sorting layer: its width, what is read
    for level in range(max(node.depth for node in wanted), 0, -1):
        inputs: list[Circuit] = []
        places: dict[tuple[Circuit, Circuit], int] = {}
        reads = []
        for node in wanted:
            pair, place = (node, node), 0
            if isinstance(node, Gate) and node.depth == level:
                pair, place = (node.left, node.right), int(node.conjunction)
            if pair not in places:
                places[pair] = len(inputs)
                inputs.extend(pair)
            reads.append(places[pair] + place)
        selections.append((len(inputs), reads))
        wanted = inputs
    layers.append(_leaves(wanted, d))
    for width, reads in reversed(selections):
        layers.append(GroupSort(width, 2))
        layers.append(Affine(tuple(unit_row(width, place) for place in reads)))
    return GroupSortNetwork(tuple(layers))


def unit_row(width: int, place: int, sign: Fraction = ONE) -> Vector:
    """A row of ``width`` weights that reads one unit only."""
    return tuple(sign if i == place else ZERO for i in range(width))


def _leaves(nodes: list[Circuit], d: int) -> Affine:
    rows, bias = [], []
    for node in nodes:
        if isinstance(node, Constant):
            rows.append((ZERO,) * d)
            bias.append(Fraction(node.value))
        elif isinstance(node, Literal):
            check_integer("variable", node.variable, 0, d - 1)
            rows.append(unit_row(d, node.variable, -ONE if node.negated else ONE))
            bias.append(ONE if node.negated else ZERO)
        else:
            raise AssertionError("a gate cannot be a leaf")
    return Affine(tuple(rows), tuple(bias))
