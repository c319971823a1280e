"""What a network computes: its input and an ordered chain of operations.

This is the meeting point of the house: layers say which operations they are, a file is written from
a `Network` and read back into one, and every certificate is derived from it. No torch here.

Values are per-sample shapes: (C, H, W) until `Flatten`, (D,) after it. All constants are float32,
and the network they define over the real numbers is the one that certificates speak about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from .operations import (
    OPERATIONS,
    Abs,
    Affine,
    Bias,
    Flatten,
    GroupSort,
    Negate,
    Normalize,
    Operation,
    ReLU,
    Shape,
    Shift,
    SortConv,
    SortNeuron,
    SpecError,
    Tanh,
    Travel,
)
from .rounding import Array

__all__ = [  # noqa: RUF022 - the operations go with the last caller
    "MAX_UNITS",
    "MAX_WORK",
    "Network",
    "Activation",
    "Affine",
    "Array",
    "Bias",
    "Flatten",
    "GroupSort",
    "Negate",
    "Normalize",
    "Op",
    "Shape",
    "Shift",
    "SortConv",
    "SortNeuron",
    "SpecError",
]
Op = Operation

MAX_UNITS = 2**24
"""No layer may have more units: the analysis of a small file stays small."""

MAX_WORK = 2**30
"""Nor may all layers together have more units, weights and patch entries, shared ones counted
again: a small file could name the same weights in thousands of nodes. 2 GiB hold fewer."""


@dataclass(frozen=True, eq=False)
class Network:
    """A classifier: input [C, H, W] in [0, 1] (float32), then ``ops`` in order, K >= 2 logits.

    Raises:
        SpecError: the operations do not fit together, or the output is not flat.
        TypeError: something else than an operation of `OPERATIONS`.
    """

    input_shape: Shape
    ops: tuple[Operation, ...]
    shapes: tuple[Shape, ...] = field(init=False, repr=False)
    """Per-sample shapes: shapes[i] enters ops[i]; the last one is (K,)."""

    def __post_init__(self) -> None:
        if len(self.input_shape) != 3 or not all(n > 0 for n in self.input_shape):
            raise SpecError(f"the input shape must be positive (C, H, W), got {self.input_shape}")
        shapes = [tuple(self.input_shape)]
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
        if len(shapes[-1]) != 1 or not 2 <= shapes[-1][0] <= MAX_UNITS:
            raise SpecError(f"a classifier ends in at least 2 logits, got shape {shapes[-1]}")
        object.__setattr__(self, "shapes", tuple(shapes))

    @property
    def classes(self) -> int:
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


def Activation(kind: str) -> Operation:  # noqa: N802 - goes with the last caller
    """The operation of a name: "relu", "abs" or "tanh"."""
    return {"relu": ReLU, "abs": Abs, "tanh": Tanh}[kind]()
