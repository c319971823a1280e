"""What a network computes: its input and an ordered chain of operations.

This is the meeting point of the house: layers say which operations they are, a file is written from
a `Network` and read back into one, and every certificate is derived from it. No torch here.

Shapes are those of one sample: that of the input until `Flatten`, (D,) after it. All constants are
float32, and the network they define over the real numbers is the one that certificates speak about.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import operations
from .operations import OPERATIONS, Operation, Shape, SpecError, Travel
from .rounding import Array, ball_reach, ball_reaches

MAX_UNITS = 2**24
"""No layer may have more units: the analysis of a small file stays small."""

MAX_WORK = 2**30
"""Nor may all layers together have more units, weights and patch entries, shared ones counted
again: a small file could name the same weights in thousands of nodes. 2 GiB hold fewer."""


_OF_IMAGES = {"low": 0, "high": 1, "unit": 1}


@dataclass(frozen=True, eq=False, init=False, repr=False)
class InputSpec:
    """What a network takes: inputs of one shape in a box, and how far they may be moved.

    The ball of radius r around x holds every x' in the box with |x'_i - x_i| <= r unit_i; where the
    unit is 0, nobody can change feature i.

    Args:
        shape: of one sample, any rank from 1 on.
        low, high: ends of the box, finite, low <= high; numbers or arrays of that shape. float32.
        unit: >= 0, finite, not 0 everywhere; a number or an array of that shape. float32.

    Raises:
        SpecError: an argument is not as it should be; the message says which and how.
    """

    shape: Shape
    low: Array
    high: Array
    unit: Array
    images: bool
    """Whether these are images [C, H, W] in [0, 1] with radii in pixels (format 1)."""

    def __init__(
        self,
        shape: Shape,
        low: npt.ArrayLike = 0.0,
        high: npt.ArrayLike = 1.0,
        unit: npt.ArrayLike = 1.0,
    ) -> None:
        shape = tuple(shape)
        if not shape or not all(n > 0 for n in shape):
            raise SpecError(f"the input shape must be positive, got {shape}")
        if math.prod(shape) > MAX_UNITS:
            raise SpecError(f"a layer of shape {shape} has more than {MAX_UNITS} units")
        given = {"low": np.asarray(low), "high": np.asarray(high), "unit": np.asarray(unit)}
        for name, values in given.items():
            with np.errstate(over="ignore"):
                single = values.astype(np.float32)
            if values.shape not in ((), shape):
                raise SpecError(f"the input's {name} must have shape {shape}, got {values.shape}")
            if not np.isfinite(single).all() or (single != values).any():
                raise SpecError(f"the input's {name} must be finite float32 numbers")
            object.__setattr__(self, name, np.broadcast_to(single, shape))
        plain = all((given[name] == value).all() for name, value in _OF_IMAGES.items())
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "images", len(shape) == 3 and bool(plain))
        if (self.low > self.high).any():
            raise SpecError("the input box is empty: low is above high somewhere")
        if (self.unit < 0).any() or not (self.unit > 0).any():
            raise SpecError("units must be at least 0, and above 0 for some feature")

    def __repr__(self) -> str:
        words = "images in [0, 1]" if self.images else "a box and a unit for each feature"
        return f"<InputSpec {list(self.shape)}: {words}>"

    def reach(self, eps: float) -> Array:
        """How far interval bounds must move from x to hold its ball, rounding included.

        Args:
            eps: radius, a float32 > 0.

        Returns:
            float32, of the input's shape, or a scalar for images; exactly 0 where the unit is 0.
        """
        if self.images:
            return np.asarray(ball_reach(eps), np.float32)
        return ball_reaches(eps, self.unit, np.maximum(np.abs(self.low), np.abs(self.high)))

    @property
    def meeting_radius(self) -> float:
        """The radius from which on the balls of any two inputs of the box meet.

        They meet in the middle between the two, so that from there on no certificates of two
        different labels can be true. Infinite where an immutable feature can tell inputs apart.
        """
        width, unit = self.high.astype(np.float64) - self.low, self.unit.astype(np.float64)
        free = unit > 0
        if (width[~free] > 0).any():
            return math.inf
        return float((width[free] / (2 * unit[free])).max())


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Network:
    """Its input, then ``ops`` in order: K >= 2 logits, or the one value of a regression.

    Args:
        input: an `InputSpec`, or the shape (C, H, W) of images in [0, 1].

    Raises:
        SpecError: the operations do not fit together, or the output is not flat.
        TypeError: something else than an operation of `OPERATIONS`.
    """

    input: InputSpec
    ops: tuple[Operation, ...]
    shapes: tuple[Shape, ...]
    """Per-sample shapes: shapes[i] enters ops[i]; the last one is (K,)."""

    def __init__(self, input: InputSpec | Shape, ops: tuple[Operation, ...]) -> None:
        if not isinstance(input, InputSpec):
            if len(input) != 3 or not all(n > 0 for n in input):
                raise SpecError(f"the input shape must be positive (C, H, W), got {input}")
            input = InputSpec(input)
        object.__setattr__(self, "input", input)
        object.__setattr__(self, "ops", tuple(ops))
        shapes = [input.shape]
        work = 0
        for op in self.ops:
            if type(op) not in OPERATIONS:  # a subclass may compute something else
                raise TypeError(f"{type(op).__name__} is not an operation that is vouched for")
            if math.prod(shapes[-1]) > MAX_UNITS:
                raise SpecError(f"a layer of shape {shapes[-1]} has more than {MAX_UNITS} units")
            shapes.append(op.out_shape(shapes[-1]))
            work += math.prod(shapes[-1]) + op.entries
            if work > MAX_WORK:
                raise SpecError(f"the layers have more than {MAX_WORK} units and weights together")
        if len(shapes[-1]) != 1 or not 1 <= shapes[-1][0] <= MAX_UNITS:
            raise SpecError(
                f"a network ends in at least 2 logits or 1 value, got shape {shapes[-1]}"
            )
        object.__setattr__(self, "shapes", tuple(shapes))

    def __repr__(self) -> str:
        names = [type(op).__name__ for op in self.ops]
        shown = ", ".join(names[:20]) + (f", ... ({len(names)})" if len(names) > 20 else "")
        out = "a value" if self.regression else f"{self.classes} logits"
        return f"<Network {list(self.input_shape)} -> {out}: {shown}>"

    @property
    def input_shape(self) -> Shape:
        """Of one sample."""
        return self.input.shape

    @property
    def regression(self) -> bool:
        """Whether its one output is a value, not logits."""
        return self.classes == 1

    @property
    def classes(self) -> int:
        """Logits, or 1 for a regression."""
        return self.shapes[-1][0]

    @property
    def has_head(self) -> bool:
        """Whether the operations after the last sorted neuron mix units (an MLP head).

        Lipschitz constants through such a head are too large for the margin to certify anything,
        so its file carries interval bounds for one radius instead.
        """
        travels = [op.travel for op in self.ops]
        if Travel.OUTWARD not in travels:
            return False
        after = len(travels) - travels[::-1].index(Travel.OUTWARD)
        return Travel.WIDENED in travels[after:]

    def value(self, x: Array) -> Array:
        """Logits in float64, operation by operation: [N, C, H, W] -> [N, K]. Slow and obvious."""
        y = np.asarray(x, np.float64)
        for op in self.ops:
            y = op.value(y)
        return y


def __getattr__(name: str) -> object:
    """Names of version 0.1, where this module held the operations too; they go with the next."""
    old: dict[str, object] = {"Op": Operation, "Activation": _activation}
    if name in old or name in operations.__all__:
        warnings.warn(
            f"{name} is imported from sortnet.certificate.operations now",
            DeprecationWarning,
            stacklevel=2,
        )
        return old.get(name) or getattr(operations, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _activation(kind: str) -> Operation:
    kinds: dict[str, type[Operation]] = {
        "relu": operations.ReLU,
        "abs": operations.Abs,
        "tanh": operations.Tanh,
    }
    return kinds[kind]()
