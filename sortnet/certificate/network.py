"""What a network computes, as an ordered chain of small operations over numpy arrays.

This is the meeting point of the folder: a model is turned into a `Network` (`from_torch`), a
`Network` into an ONNX graph (`graph`), an ONNX graph back into a `Network` (`read`), and every
certificate is derived from a `Network` (`error_bound`). No torch here.

Values are per-sample shapes: (C, H, W) until `Flatten`, (D,) after it. All constants are float32,
and the network they define over the real numbers is the one that certificates speak about.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from .coefficients import geometric_coefficients

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

MAX_UNITS = 2**24
"""No layer may have more units: the analysis of a small file stays small."""

MAX_WORK = 2**30
"""Nor may all layers together have more units, weights and patch entries, shared ones counted
again: a small file could name the same weights in thousands of nodes. 2 GiB hold fewer."""


class SpecError(ValueError):
    """The operations do not form a network that this package can vouch for."""


def _flat(shape: Shape, what: str) -> int:
    if len(shape) != 1:
        raise SpecError(f"{what} needs a Flatten before it, got shape {shape}")
    return shape[0]


def _constant(value: Any, ndim: int, what: str) -> Array:
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


def _scalar(value: float, what: str) -> float:
    single = float(np.float32(value))
    if not np.isfinite(single) or single != value:
        raise SpecError(f"{what} must be a finite float32, got {value!r}")
    return single


@dataclass(frozen=True, eq=False)
class Normalize:
    """y = (x - mean) / std with scalars; std >= 2^-20, so that 1 / std stays far from overflow."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        _scalar(self.mean, "Normalize mean")
        if not _scalar(self.std, "Normalize std") >= 2**-20:
            raise SpecError(f"Normalize std must be at least 2^-20, got {self.std}")

    def out_shape(self, shape: Shape) -> Shape:
        return shape


@dataclass(frozen=True, eq=False)
class Flatten:
    """[C, H, W] -> [C*H*W] in row-major order; nothing on a flat input."""

    def out_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


@dataclass(frozen=True, eq=False)
class SortNeuron:
    """y_o = sum_k coef_k |x - W_o|_(k), the practical SortNet neuron (paper, section 1).

    W: [O, I]; rho in [0, 1), a float32; 1 <= k <= I. The coefficients are those of
    `sortnet.certificate.coefficients.geometric_coefficients`; their exact sum is at most 1.
    """

    W: Array
    rho: float
    k: int
    coefficients: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        W = _constant(self.W, 2, "SortNeuron W")
        _scalar(self.rho, "SortNeuron rho")
        if not 0 <= self.rho < 1:
            raise SpecError(f"SortNeuron rho must be in [0, 1), got {self.rho}")
        if not 1 <= self.k <= W.shape[1]:
            raise SpecError(f"SortNeuron k must be in [1, {W.shape[1]}], got {self.k}")
        object.__setattr__(self, "W", W)
        coefficients = np.asarray(geometric_coefficients(self.rho, self.k), dtype=np.float32)
        object.__setattr__(self, "coefficients", coefficients)

    def out_shape(self, shape: Shape) -> Shape:
        if (size := _flat(shape, "SortNeuron")) != self.W.shape[1]:
            raise SpecError(f"SortNeuron expects {self.W.shape[1]} inputs, got {size}")
        return (self.W.shape[0],)


@dataclass(frozen=True, eq=False)
class SortConv:
    """A sorted neuron on patches: [D] -> [O * P], unit o at position p at index o * P + p.

    patches: int64 [P, F], the input index of each entry of each patch; D stands for a zero that
    padding adds. neuron: W [O, F].
    """

    patches: Array
    neuron: SortNeuron

    def __post_init__(self) -> None:
        patches = np.asarray(self.patches)
        if patches.dtype != np.int64 or patches.ndim != 2 or patches.size == 0:
            raise SpecError("SortConv patches must be a non-empty int64 matrix [P, F]")
        if patches.min() < 0:
            raise SpecError("SortConv patches must not be negative")

    def out_shape(self, shape: Shape) -> Shape:
        size = _flat(shape, "SortConv")
        if self.patches.max() > size:
            raise SpecError(f"SortConv patches point beyond the {size} inputs")
        (outputs,) = self.neuron.out_shape((self.patches.shape[1],))
        return (outputs * self.patches.shape[0],)


@dataclass(frozen=True, eq=False)
class _PerUnit:
    values: Array
    name: ClassVar[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _constant(self.values, 1, f"{self.name} values"))

    def out_shape(self, shape: Shape) -> Shape:
        if (size := _flat(shape, self.name)) != len(self.values):
            raise SpecError(f"{self.name} expects {len(self.values)} inputs, got {size}")
        return shape


@dataclass(frozen=True, eq=False)
class Shift(_PerUnit):
    """y = x - values, per unit (a running mean, for instance)."""

    name: ClassVar[str] = "Shift"


@dataclass(frozen=True, eq=False)
class Bias(_PerUnit):
    """y = x + values, per unit."""

    name: ClassVar[str] = "Bias"


@dataclass(frozen=True, eq=False)
class Negate:
    """y = -x."""

    def out_shape(self, shape: Shape) -> Shape:
        return shape


@dataclass(frozen=True, eq=False)
class Affine:
    """y = W x + b; W: [O, I], b: [O]. Exported in float64, so that long sums stay exact enough."""

    W: Array
    b: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "W", _constant(self.W, 2, "Affine W"))
        object.__setattr__(self, "b", _constant(self.b, 1, "Affine b"))
        if len(self.b) != len(self.W):
            raise SpecError(f"Affine b must have {len(self.W)} entries, got {len(self.b)}")

    def out_shape(self, shape: Shape) -> Shape:
        if (size := _flat(shape, "Affine")) != self.W.shape[1]:
            raise SpecError(f"Affine expects {self.W.shape[1]} inputs, got {size}")
        return (self.W.shape[0],)


@dataclass(frozen=True, eq=False)
class GroupSort:
    """Sorts consecutive groups of ``size`` units, largest first. Size 2 is MaxMin."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 2:
            raise SpecError(f"GroupSort size must be at least 2, got {self.size}")

    def out_shape(self, shape: Shape) -> Shape:
        if (units := _flat(shape, "GroupSort")) % self.size:
            raise SpecError(f"GroupSort({self.size}) does not divide {units} units")
        return shape


@dataclass(frozen=True, eq=False)
class Activation:
    """A 1-Lipschitz function of each unit: "relu", "abs" or "tanh"."""

    kind: str

    FUNCTIONS: ClassVar[dict[str, Callable[[Array], Array]]] = {
        "relu": lambda x: np.maximum(x, 0),
        "abs": np.abs,
        "tanh": np.tanh,
    }

    def __post_init__(self) -> None:
        if self.kind not in self.FUNCTIONS:
            raise SpecError(f"unknown activation {self.kind!r}: one of {sorted(self.FUNCTIONS)}")

    def out_shape(self, shape: Shape) -> Shape:
        return shape


Op: TypeAlias = (
    Normalize
    | Flatten
    | SortNeuron
    | SortConv
    | Shift
    | Bias
    | Negate
    | Affine
    | GroupSort
    | Activation
)


def _constants(op: Op) -> int:
    """Entries of the arrays that one operation reads."""
    match op:
        case SortConv():
            return op.patches.size + op.neuron.W.size
        case SortNeuron() | Affine():
            return op.W.size
    return 0


@dataclass(frozen=True, eq=False)
class Network:
    """A classifier: input [C, H, W] in [0, 1] (float32), then ``ops`` in order, K >= 2 logits.

    Raises:
        SpecError: the operations do not fit together, or the output is not flat.
    """

    input_shape: Shape
    ops: tuple[Op, ...]
    shapes: tuple[Shape, ...] = field(init=False, repr=False)
    """Per-sample shapes: shapes[i] enters ops[i]; the last one is (K,)."""

    def __post_init__(self) -> None:
        if len(self.input_shape) != 3 or not all(n > 0 for n in self.input_shape):
            raise SpecError(f"the input shape must be positive (C, H, W), got {self.input_shape}")
        shapes = [tuple(self.input_shape)]
        work = 0
        for op in self.ops:
            if math.prod(shapes[-1]) > MAX_UNITS:
                raise SpecError(f"a layer of shape {shapes[-1]} has more than {MAX_UNITS} units")
            shapes.append(op.out_shape(shapes[-1]))
            work += math.prod(shapes[-1]) + _constants(op)
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
        sorting = [i for i, op in enumerate(self.ops) if isinstance(op, SortNeuron | SortConv)]
        return bool(sorting) and any(isinstance(op, Affine) for op in self.ops[sorting[-1] :])
