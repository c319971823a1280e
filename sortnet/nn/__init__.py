"""Layers that are 1-Lipschitz in l-inf, shaped like `torch.nn`; twins in `.functional`."""

from sortnet.nn import functional

from .distance import (
    LInfDistConv2d,
    LInfDistLinear,
    Morphology2d,
    OrderStatisticLinear,
    SortConv2d,
    SortLinear,
)
from .lipschitz import GroupSort, LipschitzLinear, MaxMin, PiecewiseLinear
from .shift import MeanShift, Negate, Normalize

__all__ = [
    "GroupSort",
    "LInfDistConv2d",
    "LInfDistLinear",
    "LipschitzLinear",
    "MaxMin",
    "MeanShift",
    "Morphology2d",
    "Negate",
    "Normalize",
    "OrderStatisticLinear",
    "PiecewiseLinear",
    "SortConv2d",
    "SortLinear",
    "functional",
]
