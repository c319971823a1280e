"""PGD on what an exported file computes: the upper bound beside its certificates. Needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from sortnet import nn as sn
from sortnet.certificate.network import (
    Activation,
    Affine,
    Array,
    Bias,
    Flatten,
    GroupSort,
    Negate,
    Network,
    Normalize,
    Op,
    Shift,
    SortConv,
    SortNeuron,
)
from sortnet.evaluation.attack import pgd
from sortnet.nn import functional as F

if TYPE_CHECKING:
    from sortnet.models.net import CertifiedNet

    from .certify import Attack
    from .runtime import FloatArray, IntArray


class _Sort(sn.SortLinear):
    """SortLinear with given weights and coefficients."""

    def __init__(self, op: SortNeuron) -> None:
        super().__init__(op.W.shape[1], len(op.W), 1 - op.rho, op.k)
        self.weight.data = torch.from_numpy(op.W.copy())
        self.rho, self.k = op.rho, op.k
        self.coefficients_buffer = torch.from_numpy(op.coefficients.copy())


class _Conv(nn.Module):
    def __init__(self, op: SortConv) -> None:
        super().__init__()
        self.neuron = _Sort(op.neuron)
        self.patches = torch.from_numpy(op.patches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = nn.functional.pad(x, (0, 1))[:, self.patches]
        return self.neuron(rows).transpose(1, 2).flatten(1)


class _Add(nn.Module):
    def __init__(self, values: Array) -> None:
        super().__init__()
        self.values = torch.from_numpy(values.copy())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.values


class _Abs(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.abs()


class _Sorted(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.group_sort(x, self.size)


class TorchNetwork(nn.Module):
    """A `Network` as a torch module with the gradients of its layers: [N, C, H, W] -> [N, K]."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_layer(op) for op in network.ops))
        self.eval().requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def _layer(op: Op) -> nn.Module:
    match op:
        case Normalize():
            return sn.Normalize(op.mean, op.std)
        case Flatten():
            return nn.Flatten()
        case SortNeuron():
            return _Sort(op)
        case SortConv():
            return _Conv(op)
        case Shift():
            return _Add(-op.values)
        case Bias():
            return _Add(op.values)
        case Negate():
            return sn.Negate()
        case Affine():
            linear = nn.Linear(op.W.shape[1], len(op.W))
            linear.weight.data = torch.from_numpy(op.W.copy())
            linear.bias.data = torch.from_numpy(op.b.copy())
            return linear
        case GroupSort():
            return _Sorted(op.size)
        case Activation():
            return {"relu": nn.ReLU, "abs": _Abs, "tanh": nn.Tanh}[op.kind]()
    raise AssertionError(op)


def pgd_attack(network: Network, steps: int) -> Attack:
    """An attack for `certify.certify_split`: PGD with ``steps`` steps on a torch twin."""
    # PGD asks no more of a CertifiedNet than its chain of layers.
    model = cast("CertifiedNet", TorchNetwork(network))

    def attack(x: FloatArray, y: IntArray, radius: float) -> FloatArray:
        return pgd(model, torch.from_numpy(x), torch.from_numpy(y), radius, steps).numpy()

    return attack
