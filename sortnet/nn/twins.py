"""Torch modules that compute the operations of a `Network`: what the attack and the theory run.

The way back from `Layer.operations`, for a network that was read from a file. A twin stands beside
its layer; here they are listed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from sortnet.certificate import operations as spec
from sortnet.certificate.network import Network

from .conv import ConvTwin
from .linear import OrderStatisticTwin, SortTwin
from .lipschitz import Abs, GroupSortTwin, PiecewiseLinearTwin, affine_twin
from .rank import RankFilterTwin
from .shift import AddTwin, Negate, NormalizeTwin

TWINS: dict[type[spec.Operation], Callable[[Any], nn.Module]] = {
    spec.Abs: lambda op: Abs(),
    spec.Affine: affine_twin,
    spec.Bias: lambda op: AddTwin(op.values),
    spec.Flatten: lambda op: nn.Flatten(),
    spec.GroupSort: lambda op: GroupSortTwin(op.size),
    spec.Negate: lambda op: Negate(),
    spec.Normalize: NormalizeTwin,
    spec.OrderStatistic: OrderStatisticTwin,
    spec.PiecewiseLinear: PiecewiseLinearTwin,
    spec.RankFilter: RankFilterTwin,
    spec.ReLU: lambda op: nn.ReLU(),
    spec.Shift: lambda op: AddTwin(-op.values),
    spec.SortConv: ConvTwin,
    spec.SortNeuron: SortTwin,
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
        y: Tensor = self.layers(x)
        return y
