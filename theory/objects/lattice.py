"""Lattice polynomials: exact statements about a whole cube from its vertices.

A lattice polynomial is an expression of max and min in the variables x_0, ..., x_(d-1).

**Threshold lemma.** For a lattice polynomial p and any t, 1[p(x) >= t] = p(1[x_0 >= t], ...,
1[x_(d-1) >= t]), because thresholding is monotone and so commutes with max and min. Hence two
lattice polynomials that agree on the 2^d points of {0,1}^d agree on all of R^d: p(x) and q(x)
have the same thresholds. (For sorting networks this is the 0-1 principle.)

So a lattice polynomial *is* its truth table on {0,1}^d, and equality on the whole cube is
equality of two integers. :func:`on_cube` runs a network on such objects instead of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce

from .exact import ONE, ZERO, Vector, check_dimension, check_integer, check_rank
from .networks import Affine, Distance, GroupSort, Network, Shift, Sort, expect_network


@dataclass(frozen=True)
class LatticePolynomial:
    """A max-min expression of d variables, up to equality on R^d.

    Args:
        d: number of variables, >= 1.
        table: its truth table on {0,1}^d, as in :class:`.boolean.BooleanFunction`.

    Raises:
        ValueError: d < 1, the table does not have 2^d bits, or a max or min is asked for of
            polynomials of different d.
    """

    d: int
    table: int

    def __post_init__(self) -> None:
        check_dimension(self.d)
        check_integer(f"truth table of 2^{self.d} bits", self.table, 0, (1 << (1 << self.d)) - 1)

    def _same(self, other: LatticePolynomial) -> int:
        if self.d != other.d:
            raise ValueError(f"expected polynomials of {self.d} variables, got one of {other.d}")
        return self.d

    def __or__(self, other: LatticePolynomial) -> LatticePolynomial:
        """The larger of the two, pointwise."""
        return LatticePolynomial(self._same(other), self.table | other.table)

    def __and__(self, other: LatticePolynomial) -> LatticePolynomial:
        """The smaller of the two, pointwise."""
        return LatticePolynomial(self._same(other), self.table & other.table)

    def __call__(self, x: Vector) -> Fraction:
        """The value at x [d], by the threshold lemma: the largest entry t of x with p(x >= t) = 1.

        Raises:
            ValueError: x does not have d entries.
        """
        if len(x) != self.d:
            raise ValueError(f"expected {self.d} entries, got {len(x)}")
        for t in sorted(x, reverse=True):
            if self.table >> sum(1 << i for i, value in enumerate(x) if value >= t) & 1:
                return t
        raise ValueError("the table is constant: no lattice polynomial of the variables")


def variable(d: int, i: int) -> LatticePolynomial:
    """x_i, as a lattice polynomial of d variables, 0 <= i < d."""
    check_dimension(d)
    check_integer("variable", i, 0, d - 1)
    block = 1 << i  # 0...01...1 repeated: 2^i vertices without bit i, 2^i with it
    ones = ((1 << block) - 1) << block
    return LatticePolynomial(d, sum(ones << s for s in range(0, 1 << d, 2 * block)))


def order_statistic_polynomial(d: int, k: int) -> LatticePolynomial:
    """x_(k) on R^d: on a vertex it is 1 where there are at least k ones.

    Raises:
        ValueError: k is not in 1..d.
    """
    check_rank(d, k)
    # at_least[n] holds after variable i: at least n of the first i + 1 variables are ones.
    at_least = [(1 << (1 << d)) - 1] + [0] * k
    for i in range(d):
        bit = variable(d, i).table
        at_least[1:] = [at_least[n] | (at_least[n - 1] & bit) for n in range(1, k + 1)]
    return LatticePolynomial(d, at_least[k])


@dataclass(frozen=True)
class Term:
    """c + p or c - p on the cube [0,1]^d, p a lattice polynomial (so 0 <= p <= 1)."""

    sign: int
    offset: Fraction
    polynomial: LatticePolynomial

    @property
    def low(self) -> Fraction:
        return self.offset if self.sign > 0 else self.offset - 1

    @property
    def high(self) -> Fraction:
        return self.low + 1

    def scaled(self, weight: Fraction, bias: Fraction) -> Term:
        """weight * self + bias for weight = 1 or -1."""
        return Term(int(weight) * self.sign, weight * self.offset + bias, self.polynomial)


def _larger(a: Term, b: Term) -> Term:
    if a.low >= b.high:
        return a
    if b.low >= a.high:
        return b
    if (a.sign, a.offset) != (b.sign, b.offset):
        raise ValueError("the larger of two units is not a lattice polynomial plus a constant")
    p, q = a.polynomial, b.polynomial
    return Term(a.sign, a.offset, p | q if a.sign > 0 else p & q)


def _smaller(a: Term, b: Term) -> Term:
    return _larger(a.scaled(-ONE, ZERO), b.scaled(-ONE, ZERO)).scaled(-ONE, ZERO)


def _absolute(term: Term) -> Term:
    if term.low >= 0:
        return term
    if term.high <= 0:
        return term.scaled(-ONE, ZERO)
    raise ValueError("the absolute value of this unit changes branch inside the cube")


def _sorted(terms: Sequence[Term]) -> list[Term]:
    result = list(terms)
    for last in range(len(result) - 1, 0, -1):
        for i in range(last):
            a, b = result[i], result[i + 1]
            result[i], result[i + 1] = _larger(a, b), _smaller(a, b)
    return result


def on_cube(network: Network) -> list[Term]:
    """The outputs of a network on all of [0,1]^d, exactly, d = ``network.width_in``.

    For networks of affine rows and SortNet weights with a single entry +-1, GroupSort, distances
    and shifts in which every max, min and absolute value is decided on the whole cube, or joins
    lattice polynomials with the same sign and constant.

    Raises:
        ValueError: some unit is not of the form c +- p with p a lattice polynomial.
    """
    expect_network(network)
    d = network.width_in
    state = [Term(1, ZERO, variable(d, i)) for i in range(d)]
    for layer in network.layers:
        if isinstance(layer, Affine):
            state = [_select(row, b, state) for row, b in zip(layer.rows, layer.bias, strict=True)]
        elif isinstance(layer, GroupSort):
            g = layer.group
            state = [t for i in range(0, len(state), g) for t in _sorted(state[i : i + g])]
        elif isinstance(layer, Distance):
            state = [_farthest(state, c, b) for c, b in zip(layer.centres, layer.bias, strict=True)]
        elif isinstance(layer, Sort):
            state = _sort_neurons(layer, state)
        elif isinstance(layer, Shift):
            state = [t.scaled(ONE, -m) for t, m in zip(state, layer.means, strict=True)]
        else:
            raise ValueError(f"no lattice form for a {type(layer).__name__} layer")
    return state


def _select(row: Vector, bias: Fraction, state: Sequence[Term]) -> Term:
    entries = [(w, t) for w, t in zip(row, state, strict=True) if w]
    if len(entries) != 1 or abs(entries[0][0]) != 1:
        raise ValueError("expected rows with a single entry +-1")
    weight, term = entries[0]
    return term.scaled(weight, bias)


def _sort_neurons(layer: Sort, state: Sequence[Term]) -> list[Term]:
    orders: dict[Vector, list[Term]] = {}  # most layers have the same offsets in every unit
    for offsets in layer.offsets:
        if offsets not in orders:
            moved = (t.scaled(ONE, o) for t, o in zip(state, offsets, strict=True))
            orders[offsets] = _sorted([_absolute(t) for t in moved])
    units = zip(layer.weights, layer.offsets, layer.bias, strict=True)
    return [_select(weights, bias, orders[offsets]) for weights, offsets, bias in units]


def _farthest(state: Sequence[Term], centre: Vector, bias: Fraction) -> Term:
    terms = [_absolute(t.scaled(ONE, -c)) for t, c in zip(state, centre, strict=True)]
    # Highest first, so that terms that never win are dropped before they are compared.
    return reduce(_larger, sorted(terms, key=lambda t: t.high, reverse=True)).scaled(ONE, bias)
