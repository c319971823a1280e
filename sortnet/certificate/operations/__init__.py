"""One file for each operation: what it computes, how Lipschitz it is, what rounding may do to it
and how interval bounds travel through it. `OPERATIONS` is all that a network may consist of."""

from .abs import Abs
from .affine import Affine
from .base import Operation, Shape, SpecError, Travel
from .bias import Bias
from .flatten import Flatten
from .group_sort import GroupSort
from .negate import Negate
from .normalize import Normalize
from .order_statistic import OrderStatistic
from .piecewise_linear import PiecewiseLinear
from .rank_filter import RankFilter
from .relu import ReLU
from .shift import Shift
from .sort_conv import SortConv
from .sort_neuron import SortNeuron
from .tanh import Tanh

OPERATIONS: tuple[type[Operation], ...] = (
    Abs,
    Affine,
    Bias,
    Flatten,
    GroupSort,
    Negate,
    Normalize,
    OrderStatistic,
    PiecewiseLinear,
    RankFilter,
    ReLU,
    Shift,
    SortConv,
    SortNeuron,
    Tanh,
)
"""Every operation that is certified, exported and verified. There are no plug-ins."""

for _operation in OPERATIONS:
    if _operation.__abstractmethods__:
        _missing = ", ".join(sorted(_operation.__abstractmethods__))
        raise TypeError(f"operation {_operation.__name__} does not say: {_missing}")

__all__ = [
    "OPERATIONS",
    "Abs",
    "Affine",
    "Bias",
    "Flatten",
    "GroupSort",
    "Negate",
    "Normalize",
    "Operation",
    "OrderStatistic",
    "PiecewiseLinear",
    "RankFilter",
    "ReLU",
    "Shape",
    "Shift",
    "SortConv",
    "SortNeuron",
    "SpecError",
    "Tanh",
    "Travel",
]
