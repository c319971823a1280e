"""Layers that are 1-Lipschitz in l-inf, shaped like `torch.nn`; twins in `.functional`."""

from sortnet.nn import functional

from .conv import LInfDistConv1d, LInfDistConv2d, SortConv1d, SortConv2d
from .layer import Layer, LayerError
from .linear import LInfDistLinear, OrderStatisticLinear, SortLinear
from .lipschitz import Abs, GroupSort, LipschitzLinear, MaxMin, PiecewiseLinear
from .minima import MinimumMap, WindowMinima2d
from .morphology import Morphology1d, Morphology2d
from .rank import RankFilter1d, RankFilter2d
from .shift import MeanShift, Negate, Normalize

__all__ = [
    "Abs",
    "GroupSort",
    "LInfDistConv1d",
    "LInfDistConv2d",
    "LInfDistLinear",
    "Layer",
    "LayerError",
    "LipschitzLinear",
    "MaxMin",
    "MeanShift",
    "MinimumMap",
    "Morphology1d",
    "Morphology2d",
    "Negate",
    "Normalize",
    "OrderStatisticLinear",
    "PiecewiseLinear",
    "RankFilter1d",
    "RankFilter2d",
    "SortConv1d",
    "SortConv2d",
    "SortLinear",
    "WindowMinima2d",
    "functional",
]
