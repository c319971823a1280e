"""Boolean functions, symmetric ones, and the cyclic data set of Theorem 3.5."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .exact import (
    ONE,
    ZERO,
    Vector,
    check_dimension,
    check_integer,
    check_rank,
    vector,
    vertices,
)


@dataclass(frozen=True)
class BooleanFunction:
    """g: {0,1}^d -> {0,1} as a truth table.

    Args:
        d: number of variables, >= 1.
        table: bit number x_0 + 2 x_1 + ... + 2^(d-1) x_(d-1) of it is g(x).

    Raises:
        ValueError: d is no integer >= 1, or ``table`` none of 2^d bits.
    """

    d: int
    table: int

    def __post_init__(self) -> None:
        check_dimension(self.d)
        check_integer(f"truth table of 2^{self.d} bits", self.table, 0, (1 << (1 << self.d)) - 1)

    @classmethod
    def from_callable(cls, d: int, g: Callable[[Vector], object]) -> BooleanFunction:
        """The table of ``g``, called on every vertex (its truth value counts)."""
        check_dimension(d)
        return cls(d, sum(1 << i for i, x in enumerate(vertices(d)) if g(x)))

    def __call__(self, x: Sequence[Fraction | int]) -> int:
        if len(x) != self.d or any(bit not in (0, 1) for bit in x):
            raise ValueError(f"expected a point of {{0,1}}^{self.d}, got {x}")
        return self.table >> sum(1 << i for i, bit in enumerate(x) if bit) & 1

    @property
    def constant(self) -> bool:
        return self.table in (0, (1 << (1 << self.d)) - 1)


@dataclass(frozen=True)
class SymmetricFunction:
    """A symmetric Boolean function (SBF): it depends on the number of ones only.

    Args:
        values: values[n] is g at the points with n ones, n = 0..d; so d + 1 bits, d >= 1.

    Raises:
        ValueError: fewer than two values, or a value that is neither 0 nor 1.
    """

    values: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        check_dimension(len(self.values) - 1)
        if any(value not in (0, 1) for value in self.values):
            raise ValueError(f"expected values 0 and 1, got {self.values}")
        object.__setattr__(self, "values", tuple(map(int, self.values)))

    @property
    def d(self) -> int:
        return len(self.values) - 1

    def __call__(self, x: Sequence[Fraction | int]) -> int:
        if len(x) != self.d or any(bit not in (0, 1) for bit in x):
            raise ValueError(f"expected a point of {{0,1}}^{self.d}, got {x}")
        return self.values[sum(1 for bit in x if bit)]

    def jumps(self) -> tuple[int, ...]:
        """Every k in 1..d with g(k-1) != g(k).

        Raises:
            ValueError: the function is constant, so it has none.
        """
        jumps = tuple(k for k in range(1, self.d + 1) if self.values[k - 1] != self.values[k])
        if not jumps:
            raise ValueError("expected a non-constant function: Theorem 3.5 needs a jump")
        return jumps

    def to_boolean(self) -> BooleanFunction:
        """The same function as a truth table."""
        return BooleanFunction.from_callable(self.d, self)


def threshold(d: int, k: int) -> SymmetricFunction:
    """1 on the points with at least k ones, 1 <= k <= d."""
    check_rank(d, k)
    return SymmetricFunction(tuple(int(n >= k) for n in range(d + 1)))


def conjunction(d: int) -> SymmetricFunction:
    """AND of d variables."""
    return threshold(d, d)


def disjunction(d: int) -> SymmetricFunction:
    """OR of d variables."""
    return threshold(d, 1)


def majority(d: int) -> SymmetricFunction:
    """1 where more than half of the d bits are ones."""
    check_dimension(d)
    return threshold(d, d // 2 + 1)


def parity(d: int) -> SymmetricFunction:
    """XOR of d variables."""
    check_dimension(d)
    return SymmetricFunction(tuple(n % 2 for n in range(d + 1)))


def symmetric_functions(d: int, *, constant: bool = False) -> Iterator[SymmetricFunction]:
    """All 2^(d+1) symmetric functions of d variables, the two constants only on demand.

    Raises:
        ValueError: d < 1.
    """
    check_dimension(d)
    codes = range(1 << (d + 1)) if constant else range(1, (1 << (d + 1)) - 1)
    return (SymmetricFunction(tuple(code >> n & 1 for n in range(d + 1))) for code in codes)


@dataclass(frozen=True)
class Pairs:
    """Pairs (x_i, y_i) of points of R^d as the mass lemma needs them.

    y_i differs from x_i in one coordinate only, by at most 1, and no coordinate
    is used by two pairs (a pair of equal points uses none).

    Raises:
        ValueError: a pair breaks one of these rules, or the points do not all have the same
            number (>= 1) of finite entries; the message says which.
    """

    pairs: tuple[tuple[Vector, Vector], ...]

    def __post_init__(self) -> None:
        pairs = tuple((vector(x), vector(y)) for x, y in self.pairs)
        object.__setattr__(self, "pairs", pairs)
        widths = {len(point) for pair in pairs for point in pair}
        if len(widths) > 1 or 0 in widths:
            raise ValueError(f"expected points of one dimension >= 1, got {sorted(widths)}")
        used: set[int] = set()
        for x, y in pairs:
            moved = [j for j, (a, b) in enumerate(zip(x, y, strict=True)) if a != b]
            if len(moved) > 1:
                raise ValueError(f"expected points that differ in one coordinate, got {x}, {y}")
            if moved and abs(x[moved[0]] - y[moved[0]]) > 1:
                raise ValueError(f"expected a move of at most 1, got {x}, {y}")
            if used.intersection(moved):
                raise ValueError(
                    f"expected every coordinate in one pair only, got {moved[0]} twice"
                )
            used.update(moved)

    def __iter__(self) -> Iterator[tuple[Vector, Vector]]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)


def cyclic_point(d: int, start: int, ones: int) -> Vector:
    """``ones`` consecutive ones beginning at position ``start``, modulo d.

    Raises:
        ValueError: d < 1, ``start`` is no integer >= 0 or ``ones`` not in 0..d.
    """
    check_dimension(d)
    check_integer("start", start, 0)
    check_integer("number of ones", ones, 0, d)
    return tuple(ONE if (i - start) % d < ones else ZERO for i in range(d))


def cyclic_pairs(d: int, k: int) -> Pairs:
    """The 2d points of Theorem 3.5: k - 1 consecutive ones beside k consecutive ones.

    Pair i moves coordinate i + k - 1 (modulo d) from 0 to 1, so no coordinate moves twice.
    The points are 2d distinct ones for 1 < k < d; for k = 1 the first members of all pairs
    are the origin, for k = d the second ones are (1, ..., 1).

    Raises:
        ValueError: d < 1, or k not in 1..d.
    """
    check_rank(d, k)
    return Pairs(
        tuple((cyclic_point(d, i, k - 1), cyclic_point(d, i, k)) for i in range(d)),
    )


def count_ones(x: Vector) -> int:
    """|x| for a point of {0,1}^d.

    Raises:
        ValueError: an entry is neither 0 nor 1.
    """
    if any(bit not in (0, 1) for bit in x):
        raise ValueError(f"expected entries 0 and 1, got {x}")
    return sum(1 for bit in x if bit)
