"""The network families over exact fractions.

A layer maps a vector of fractions to a vector of fractions, refuses weights that break its
family's constraint when it is made, and knows two numbers that the theorems need: the
largest factor by which it can stretch l-inf distances (``norm``), and how many times that
factor it can raise the mass by (``spread``).

Affine rows and SortNet weights have absolute sum at most ``norm``, and activations are
``norm``-Lipschitz. ``norm`` is 1 unless it is given: the theorems are stated for 1. A trained
float32 layer may exceed 1 by a rounding error; it is then put under the theorem with its true
norm, and every bound scales with the product of the norms (``Network.norm``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import lcm, prod
from operator import mul
from typing import ClassVar

from .exact import (
    ONE,
    ZERO,
    Number,
    Vector,
    absolute_sum,
    check_integer,
    common,
    fraction,
    not_negative,
    vector,
)


class Layer(ABC):
    """A map of vectors; subclasses say their ``shape`` and what they compute (``_apply``)."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(width_out, width_in)."""

    @property
    def width_in(self) -> int:
        return self.shape[1]

    @property
    def width_out(self) -> int:
        return self.shape[0]

    @property
    def norm(self) -> Fraction:
        """The largest factor by which l-inf distances can grow, as declared."""
        return ONE

    @property
    def spread(self) -> int:
        """How many units one output can follow: 1 where the triangle inequality keeps the mass
        within ``norm``, otherwise the number of inputs whose largest move bounds the output's."""
        return 1

    @property
    def mass_factor(self) -> Fraction:
        """The largest factor by which the mass of a unit can exceed that of the inputs."""
        return self.norm * self.spread

    def __call__(self, x: Vector) -> Vector:
        """The outputs [width_out] at x [width_in].

        Raises:
            ValueError: x does not have width_in entries.
        """
        if len(x) != self.width_in:
            raise ValueError(f"expected {self.width_in} inputs, got {len(x)}")
        return self._apply(x)

    @abstractmethod
    def _apply(self, x: Vector) -> Vector: ...


def _matrix(rows: Iterable[Iterable[Number]], what: str) -> tuple[Vector, ...]:
    result = tuple(vector(row) for row in rows)
    if not result or not result[0] or len({len(row) for row in result}) != 1:
        raise ValueError(f"expected {what} to be a non-empty rectangle of numbers")
    return result


def _bias(values: Iterable[Number], width: int) -> Vector:
    result = vector(values) or (ZERO,) * width
    if len(result) != width:
        raise ValueError(f"expected {width} biases, got {len(result)}")
    return result


def _differences(x: tuple[list[int], int], centre: tuple[list[int], int]) -> tuple[list[int], int]:
    """|x - centre|, as integers over one denominator."""
    scale = lcm(x[1], centre[1])
    a, b = scale // x[1], scale // centre[1]
    return [abs(a * v - b * c) for v, c in zip(x[0], centre[0], strict=True)], scale


def _refuse_rows_above(rows: Iterable[Vector], norm: Fraction, what: str) -> None:
    for i, row in enumerate(rows):
        if absolute_sum(row) > norm:
            raise ValueError(
                f"expected {what} {i} to have absolute sum <= {norm}, got {absolute_sum(row)} (a "
                "layer with larger weights says so: norm=...)"
            )


@dataclass(frozen=True)
class Affine(Layer):
    """x -> W x + b with every row of W of absolute sum <= ``norm``.

    Args:
        rows: W, [width_out, width_in].
        bias: b, [width_out]; empty for zero.
        norm: the bound on the rows, 1 unless given.

    Raises:
        ValueError: a row breaks the bound, or the shapes do not fit.
    """

    rows: tuple[Vector, ...]
    bias: Vector = ()
    norm: Fraction = ONE

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", _matrix(self.rows, "rows"))
        object.__setattr__(self, "bias", _bias(self.bias, len(self.rows)))
        object.__setattr__(self, "norm", fraction(self.norm))
        _refuse_rows_above(self.rows, self.norm, "row")

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), len(self.rows[0])

    @cached_property
    def _integers(self) -> list[tuple[list[int], int]]:
        return [common(row) for row in self.rows]

    def _apply(self, x: Vector) -> Vector:
        xs, scale = common(x)
        return tuple(
            Fraction(sum(map(mul, row, xs)), scale * denominator) + b
            for (row, denominator), b in zip(self._integers, self.bias, strict=True)
        )


@dataclass(frozen=True)
class PiecewiseLinear:
    """A continuous piecewise-linear function of one variable, ``norm``-Lipschitz.

    Args:
        knots: points (t, value), t strictly increasing, at least one.
        left: slope before the first knot.
        right: slope after the last knot.
        norm: the largest absolute slope allowed, 1 unless given.

    Raises:
        ValueError: no knot, knots out of order, or a slope above ``norm``.
    """

    knots: tuple[tuple[Fraction, Fraction], ...]
    left: Fraction = ONE
    right: Fraction = ONE
    norm: Fraction = ONE

    def __post_init__(self) -> None:
        knots = tuple((fraction(t), fraction(value)) for t, value in self.knots)
        object.__setattr__(self, "knots", knots)
        for name in ("left", "right", "norm"):
            object.__setattr__(self, name, fraction(getattr(self, name)))
        if not knots or any(a[0] >= b[0] for a, b in pairwise(knots)):
            raise ValueError(f"expected knots with increasing abscissae, got {knots}")
        for slope in self.slopes:
            if abs(slope) > self.norm:
                raise ValueError(f"expected slopes of at most {self.norm}, got {slope}")

    @cached_property
    def slopes(self) -> Vector:
        """The slope left of each knot, then the one right of the last."""
        inner = ((b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(self.knots))
        return (self.left, *inner, self.right)

    @cached_property
    def _abscissae(self) -> Vector:
        return tuple(t for t, _ in self.knots)

    def __call__(self, t: Fraction) -> Fraction:
        piece = bisect_right(self._abscissae, t)
        knot, value = self.knots[max(piece - 1, 0)]
        return value + self.slopes[piece] * (t - knot)


IDENTITY = PiecewiseLinear(((ZERO, ZERO),))
RELU = PiecewiseLinear(((ZERO, ZERO),), left=ZERO)
ABSOLUTE_VALUE = PiecewiseLinear(((ZERO, ZERO),), left=-ONE)


@dataclass(frozen=True)
class Activation(Layer):
    """A function per unit, each unit may have its own; each is ``norm``-Lipschitz.

    Raises:
        ValueError: there is no function, or one that is no :class:`PiecewiseLinear`.
    """

    functions: tuple[PiecewiseLinear, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "functions", tuple(self.functions))
        if not self.functions or any(not isinstance(f, PiecewiseLinear) for f in self.functions):
            raise ValueError(f"expected at least one PiecewiseLinear, got {self.functions}")

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.functions), len(self.functions)

    @property
    def norm(self) -> Fraction:
        return max(function.norm for function in self.functions)

    def _apply(self, x: Vector) -> Vector:
        return tuple(function(t) for function, t in zip(self.functions, x, strict=True))


@dataclass(frozen=True)
class Shift(Layer):
    """x -> x - means (the mean shift with its running means).

    Raises:
        ValueError: ``means`` is empty.
    """

    means: Vector

    def __post_init__(self) -> None:
        object.__setattr__(self, "means", vector(self.means))
        if not self.means:
            raise ValueError("expected at least one mean")

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.means), len(self.means)

    def _apply(self, x: Vector) -> Vector:
        return tuple(a - m for a, m in zip(x, self.means, strict=True))


@dataclass(frozen=True)
class Scale(Layer):
    """x -> factor * x + offset in every unit: a normalised input, or the sign of a logit.

    Args:
        width: the number of units, >= 1.
        factor: the norm of the layer is its absolute value.
        offset: added to every unit.

    Raises:
        ValueError: the width is no integer >= 1, or a number is not finite.
    """

    width: int
    factor: Fraction
    offset: Fraction = ZERO

    def __post_init__(self) -> None:
        check_integer("width", self.width, 1)
        object.__setattr__(self, "factor", fraction(self.factor))
        object.__setattr__(self, "offset", fraction(self.offset))

    @property
    def shape(self) -> tuple[int, int]:
        return self.width, self.width

    @property
    def norm(self) -> Fraction:
        return abs(self.factor)

    def _apply(self, x: Vector) -> Vector:
        return tuple(self.factor * v + self.offset for v in x)


@dataclass(frozen=True)
class GroupSort(Layer):
    """Consecutive groups of ``group`` units, each sorted from largest to smallest.

    Args:
        width: the number of units, >= 1.
        group: G >= 1; G = 2 is MaxMin, G = width is FullSort.

    Raises:
        ValueError: one of them is no integer >= 1, or G does not divide the width.
    """

    width: int
    group: int

    def __post_init__(self) -> None:
        check_integer("width", self.width, 1)
        check_integer("group", self.group, 1)
        if self.width % self.group:
            raise ValueError(
                f"expected a group size that divides the width {self.width}, got {self.group}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        return self.width, self.width

    @property
    def spread(self) -> int:
        """Each sorted output moves by at most the largest move of its group."""
        return self.group

    def _apply(self, x: Vector) -> Vector:
        g = self.group
        return tuple(v for i in range(0, len(x), g) for v in sorted(x[i : i + g], reverse=True))


@dataclass(frozen=True)
class Distance(Layer):
    """u_i(x) = ||x - centre_i||_inf + bias_i.

    Args:
        centres: [width_out, width_in].
        bias: [width_out]; empty for zero.

    Raises:
        ValueError: the shapes do not fit.
    """

    centres: tuple[Vector, ...]
    bias: Vector = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "centres", _matrix(self.centres, "centres"))
        object.__setattr__(self, "bias", _bias(self.bias, len(self.centres)))

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.centres), len(self.centres[0])

    @property
    def spread(self) -> int:
        """A distance moves by at most the largest move of its inputs: the escape."""
        return self.width_in

    @cached_property
    def _integers(self) -> list[tuple[list[int], int]]:
        return [common(row) for row in self.centres]

    def _apply(self, x: Vector) -> Vector:
        point, result = common(x), []
        for centre, bias in zip(self._integers, self.bias, strict=True):
            differences, scale = _differences(point, centre)
            result.append(Fraction(max(differences), scale) + bias)
        return tuple(result)


@dataclass(frozen=True)
class Sort(Layer):
    """u_i(x) = weights_i . sort(|x + offsets_i|) + bias_i, sorted from largest to smallest.

    Args:
        weights: [width_out, width_in], every row of absolute sum <= ``norm``.
        offsets: [width_out, width_in]; minus the centres of a distance layer.
        bias: [width_out]; empty for zero.
        norm: the bound on the weights, 1 unless given.

    Raises:
        ValueError: a row breaks the bound, or the shapes do not fit.
    """

    weights: tuple[Vector, ...]
    offsets: tuple[Vector, ...]
    bias: Vector = ()
    norm: Fraction = ONE

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", _matrix(self.weights, "weights"))
        object.__setattr__(self, "offsets", _matrix(self.offsets, "offsets"))
        object.__setattr__(self, "bias", _bias(self.bias, len(self.weights)))
        object.__setattr__(self, "norm", fraction(self.norm))
        shapes = {(len(m), len(m[0])) for m in (self.weights, self.offsets)}
        if len(shapes) != 1:
            raise ValueError("expected weights and offsets of the same shape")
        _refuse_rows_above(self.weights, self.norm, "weights")

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.weights), len(self.weights[0])

    @property
    def spread(self) -> int:
        """A sorted sum moves by at most the largest move of its inputs, like a distance."""
        return self.width_in

    @cached_property
    def _integers(self) -> list[tuple[list[int], int, tuple[list[int], int]]]:
        centres = (tuple(-o for o in row) for row in self.offsets)
        return [(*common(w), common(c)) for w, c in zip(self.weights, centres, strict=True)]

    def _apply(self, x: Vector) -> Vector:
        point, result = common(x), []
        for (weights, denominator, centre), bias in zip(self._integers, self.bias, strict=True):
            differences, scale = _differences(point, centre)
            differences.sort(reverse=True)
            total = sum(map(mul, weights, differences))
            result.append(Fraction(total, scale * denominator) + bias)
        return tuple(result)


def geometric_weights(rho: Number, width: int, k: int = 10) -> Vector:
    """The weights of the practical SortNet: (1 - rho) rho^(i-1), i = 1..min(k, width), rescaled
    to sum to 1, then zeros up to ``width``.

    Raises:
        ValueError: rho is not in [0, 1), k < 1 or width < 1.
    """
    rho = fraction(rho)
    if not 0 <= rho < 1:
        raise ValueError(f"expected rho in [0, 1), got {rho}")
    check_integer("k", k, 1)
    check_integer("width", width, 1)
    series = [rho**i for i in range(min(k, width))]
    total = sum(series, ZERO)
    return (*(value / total for value in series), *(ZERO,) * (width - len(series)))


def practical_sort(
    centres: Iterable[Iterable[Number]],
    *,
    rho: Number,
    k: int = 10,
    bias: Iterable[Number] = (),
) -> Sort:
    """The practical SortNet layer: geometric weights of ratio rho, truncated at k, on |x - centre|.

    Args:
        centres: [width_out, width_in].
        rho: the probability that an input is dropped, in [0, 1); 0 is the l-inf distance.
        k: the number of sorted values read, >= 1.
        bias: [width_out]; empty for zero.

    Raises:
        ValueError: see :func:`geometric_weights`; or the shapes do not fit.
    """
    rows = _matrix(centres, "centres")
    weights = geometric_weights(rho, len(rows[0]), k)
    offsets = tuple(tuple(-c for c in row) for row in rows)
    return Sort((weights,) * len(rows), offsets, tuple(vector(bias)))


@dataclass(frozen=True)
class Network:
    """Layers one after the other, of any kind: 1-Lipschitz in l-inf if every ``norm`` is 1.

    The subclasses are the families of the paper: they accept their own layers only.

    Raises:
        ValueError: there is no layer, widths do not fit, or a layer is of another family.
    """

    layers: tuple[Layer, ...]
    accepts: ClassVar[tuple[type, ...]] = (
        Affine,
        Activation,
        Shift,
        Scale,
        GroupSort,
        Distance,
        Sort,
    )
    family: ClassVar[str] = "mixed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ValueError("expected at least one layer")
        for layer in self.layers:
            if not isinstance(layer, self.accepts):
                raise ValueError(f"a {self.family} network has no {type(layer).__name__} layer")
        for a, b in pairwise(self.layers):
            if a.width_out != b.width_in:
                raise ValueError(f"expected width {b.width_in} between layers, got {a.width_out}")

    @property
    def width_in(self) -> int:
        return self.layers[0].width_in

    @property
    def width_out(self) -> int:
        return self.layers[-1].width_out

    @property
    def norm(self) -> Fraction:
        """A Lipschitz constant in l-inf: the product of the layers' norms."""
        return prod((layer.norm for layer in self.layers), start=ONE)

    @property
    def sorting_layers(self) -> int:
        """How many GroupSort layers there are."""
        return sum(isinstance(layer, GroupSort) for layer in self.layers)

    @property
    def spread(self) -> int:
        """The mass that the lemma allows the outputs if all norms are 1: 1 for standard networks,
        G^s for GroupSort networks."""
        return prod(layer.spread for layer in self.layers)

    def __call__(self, x: Sequence[Number]) -> Vector:
        """The output [width_out] at x [width_in].

        Raises:
            ValueError: x does not have width_in finite entries.
        """
        return self.units(x)[-1]

    def units(self, x: Sequence[Number]) -> list[Vector]:
        """The outputs of every layer at x [width_in], the input itself not included.

        Raises:
            ValueError: x does not have width_in finite entries.
        """
        state, result = vector(x), []
        for layer in self.layers:
            state = layer(state)
            result.append(state)
        return result

    def mass_allowed(self, mass: Number | None = None) -> tuple[Fraction, str]:
        """The mass that a bound allows an output of norm 1, and whose bound that is, in words.

        Args:
            mass: of the family that the theorem speaks about (1: standard networks); None for that
                of this network's own layers (:attr:`spread`).

        Raises:
            ValueError: ``mass`` is negative.
        """
        allowed = not_negative("mass", self.spread if mass is None else mass)
        if allowed == 1:
            return allowed, "standard Lipschitz networks (mass 1)"
        own = f"its own layers ({self.family})" if mass is None else "the mass asked for"
        return allowed, f"{own} (mass {allowed})"

    def mass_bounds(self, pairs: int) -> list[Fraction]:
        """For each layer, the mass that none of its units can exceed over ``pairs`` pairs.

        The smaller of two bounds: the product of the mass factors (inputs have mass <= 1), and
        the number of pairs times the Lipschitz constant so far.

        Raises:
            ValueError: ``pairs`` is no integer >= 0.
        """
        check_integer("number of pairs", pairs, 0)
        by_mass, norm, result = ONE, ONE, []
        for layer in self.layers:
            by_mass *= layer.mass_factor
            norm *= layer.norm
            result.append(min(by_mass, pairs * norm))
        return result


def expect_network(given: object) -> None:
    """Every check of a theorem reads layers: a function alone says nothing about all inputs.

    Raises:
        TypeError: not a `Network`.
    """
    if not isinstance(given, Network):
        raise TypeError(
            "expected a network of sortnet.theory.objects.networks, such as "
            "StandardNetwork((Affine(rows),)), or exact_network(model) of torch layers, got "
            f"{type(given).__name__}"
        )


@dataclass(frozen=True)
class StandardNetwork(Network):
    """x -> sigma(W x + b), repeated: affine layers, 1-Lipschitz functions per unit, shifts."""

    accepts: ClassVar[tuple[type, ...]] = (Affine, Activation, Shift, Scale)
    family: ClassVar[str] = "standard Lipschitz"


@dataclass(frozen=True)
class GroupSortNetwork(Network):
    """Affine layers with sorted groups between them."""

    accepts: ClassVar[tuple[type, ...]] = (Affine, GroupSort, Shift)
    family: ClassVar[str] = "GroupSort"


@dataclass(frozen=True)
class DistanceNetwork(Network):
    """l-inf distance layers (and shifts)."""

    accepts: ClassVar[tuple[type, ...]] = (Distance, Shift)
    family: ClassVar[str] = "l-inf distance"


@dataclass(frozen=True)
class SortNetwork(Network):
    """SortNet layers (and shifts): the general SortNet, and the practical one built from
    :func:`practical_sort`."""

    accepts: ClassVar[tuple[type, ...]] = (Sort, Shift)
    family: ClassVar[str] = "SortNet"


@dataclass(frozen=True)
class PracticalSortNetwork(SortNetwork):
    """The practical SortNet: every neuron reads with positive weights w_1, w_1 r, w_1 r^2, ...
    that sum to 1, cut after some term (r = rho; r = 0 is the distance net).

    Raises:
        ValueError: some weights are not of this form.
    """

    family: ClassVar[str] = "practical SortNet"

    def __post_init__(self) -> None:
        super().__post_init__()
        for layer in self.layers:
            for row in layer.weights if isinstance(layer, Sort) else ():
                k = sum(1 for w in row if w)
                rho = row[1] / row[0] if k > 1 else ZERO
                if k == 0 or not 0 <= rho < 1 or row != geometric_weights(rho, len(row), k):
                    raise ValueError(f"expected geometric weights that sum to 1, got {row}")
