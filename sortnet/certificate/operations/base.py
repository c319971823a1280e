"""What every operation of a chain must say about itself, and what its constants must be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import Any

import numpy as np

from ..rounding import Arithmetic, Array

Shape = tuple[int, ...]


class SpecError(ValueError):
    """The operations do not form a network that this package can vouch for."""


class Travel(Enum):
    """How interval bounds of computed values pass an operation (docs/certificates.md, section 6).

    ROUNDED: it acts on either bound and rounds as in the network. OUTWARD: the host rounds its
    bounds outward. WIDENED: bounds are first moved apart by more than the gap, and act then.
    """

    ROUNDED = "rounded"
    OUTWARD = "outward"
    WIDENED = "widened"


class Operation(ABC):
    """One operation y = f(x) of a chain; a frozen dataclass whose constants are float32.

    f is meant over the real numbers. Arrays named `low`, `high` and `moves` have the shape of one
    sample at its input and hold float64. Section numbers are those of docs/certificates.md.
    """

    @abstractmethod
    def out_shape(self, shape: Shape) -> Shape:
        """Per-sample shape of the output.

        Raises:
            SpecError: it does not take inputs of this shape.
        """

    @property
    @abstractmethod
    def entries(self) -> int:
        """Entries of the weights that it reads, for the limit on a network's work."""

    @abstractmethod
    def value(self, x: Array) -> Array:
        """The obvious reference: f of a batch, float64 [N, ...] -> [N, ...]."""

    @abstractmethod
    def moves(self, moves: Array) -> Array:
        """How far each output moves where input i moves by at most ``moves[i]`` (section 2).

        Of a vector of ones its largest entry is the Lipschitz constant, l-inf to l-inf. Exact up
        to a relative error of 2^-50, and from above for ones.
        """

    @property
    @abstractmethod
    def spread(self) -> int:
        """Inputs among which one output selects: what the mass lemma multiplies by (theory)."""

    @abstractmethod
    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Bounds of the exact output for inputs in [low, high], rounded outward (section 4)."""

    @abstractmethod
    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """Largest rounding error of one evaluation by a host (section 3).

        Args:
            magnitude: bounds what it computes in exact arithmetic. magnitude_in: its float inputs.

        Raises:
            BoundError: no bound is known at this size.
        """

    @property
    @abstractmethod
    def travel(self) -> Travel:
        """How interval bounds pass it (section 6)."""

    @abstractmethod
    def pair_slack(self, arithmetic: Arithmetic, magnitude_in: float) -> float:
        """As the last operation: rounding of bounds on differences of two outputs (section 6).

        0 where the bounds of both outputs are subtracted.
        """


def flat(shape: Shape, what: str) -> int:
    """The size of a flat input."""
    if len(shape) != 1:
        raise SpecError(f"{what} needs a Flatten before it, got shape {shape}")
    return shape[0]


def expect_units(shape: Shape, units: int, what: str) -> None:
    """Whether the input is flat and has as many units."""
    if (size := flat(shape, what)) != units:
        raise SpecError(f"{what} expects {units} inputs, got {size}")


def constant(value: Any, ndim: int, what: str) -> Array:
    """A finite, non-empty float32 array, contiguous."""
    array = np.asarray(value)
    if array.dtype != np.float32:
        raise SpecError(f"{what} must be float32, got {array.dtype}")
    if array.ndim != ndim:
        raise SpecError(f"{what} must have {ndim} dimension(s), got shape {array.shape}")
    if array.size == 0:
        raise SpecError(f"{what} is empty")
    if not np.isfinite(array).all():
        raise SpecError(f"{what} has NaN or infinite values")
    return np.ascontiguousarray(array)


def scalar(value: float, what: str) -> float:
    """A finite number that float32 holds exactly."""
    single = float(np.float32(value))
    if not np.isfinite(single) or single != value:
        raise SpecError(f"{what} must be a finite float32, got {value!r}")
    return single


def indices(value: Any, what: str) -> Array:
    """Patches: for each position the input index of each entry, int64 [P, F], none negative."""
    patches = np.asarray(value)
    if patches.dtype != np.int64 or patches.ndim != 2 or patches.size == 0:
        raise SpecError(f"{what} patches must be a non-empty int64 matrix [P, F]")
    if patches.min() < 0:
        raise SpecError(f"{what} patches must not be negative")
    return patches


def expect_indices(shape: Shape, patches: Array, what: str) -> None:
    """Whether patches point into a flat input, or at the one zero after it."""
    size = flat(shape, what)
    if patches.max() > size:
        raise SpecError(f"{what} patches point beyond the {size} inputs")
