"""Torch modules that compute the operations of a `Network`: what the attack and the theory run.

The way back from `Layer.operations`, for a network that was read from a file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sortnet.certificate import operations as spec
from sortnet.certificate.network import Network
from sortnet.certificate.rounding import Array

from . import functional as F
from .distance import geometric_series
from .linear import SortLinear
from .lipschitz import Abs
from .shift import Negate, Normalize


class _Sort(SortLinear):
    """SortLinear with the weights of an operation."""

    def __init__(self, op: spec.SortNeuron) -> None:
        super().__init__(op.W.shape[1], len(op.W), 1 - op.rho, op.k)
        self.weight.data = torch.from_numpy(op.W.copy())
        self.series = geometric_series(op.rho, op.k)


class _Conv(nn.Module):
    def __init__(self, op: spec.SortConv) -> None:
        super().__init__()
        self.neuron = _Sort(op.neuron)
        self.patches = torch.from_numpy(op.patches)

    def forward(self, x: Tensor) -> Tensor:
        return self.neuron(self._rows(x)).transpose(1, 2).flatten(1)

    def smoothed(self, x: Tensor, p: float) -> Tensor:
        """As `sortnet.nn.SortConv2d.smoothed`."""
        return self.neuron.smoothed(self._rows(x), p).transpose(1, 2).flatten(1)

    def _rows(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (0, 1))[:, self.patches]


class _Add(nn.Module):
    def __init__(self, values: Array) -> None:
        super().__init__()
        self.values = torch.from_numpy(values.copy())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.values


class _GroupSort(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return F.group_sort(x, self.size)


def _affine(op: spec.Affine) -> nn.Linear:
    linear = nn.Linear(op.W.shape[1], len(op.W))
    linear.weight.data = torch.from_numpy(op.W.copy())
    linear.bias.data = torch.from_numpy(op.b.copy())
    return linear


TWINS: dict[type[spec.Operation], Callable[[Any], nn.Module]] = {
    spec.Abs: lambda op: Abs(),
    spec.Affine: _affine,
    spec.Bias: lambda op: _Add(op.values),
    spec.Flatten: lambda op: nn.Flatten(),
    spec.GroupSort: lambda op: _GroupSort(op.size),
    spec.Negate: lambda op: Negate(),
    spec.Normalize: lambda op: Normalize(op.mean, op.std),
    spec.ReLU: lambda op: nn.ReLU(),
    spec.Shift: lambda op: _Add(-op.values),
    spec.SortConv: _Conv,
    spec.SortNeuron: _Sort,
    spec.Tanh: lambda op: nn.Tanh(),
}
"""The module of each operation."""

if TWINS.keys() != set(spec.OPERATIONS):
    _odd = TWINS.keys() ^ set(spec.OPERATIONS)
    raise TypeError(f"twins do not fit the operations: {sorted(op.__name__ for op in _odd)}")


class TorchNetwork(nn.Module):
    """A `Network` as a torch module with the gradients of its layers: [N, ...] -> [N, K]."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(TWINS[type(op)](op) for op in network.ops))
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
