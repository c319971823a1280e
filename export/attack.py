"""PGD on what an exported file computes: the upper bound beside its certificates. Needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sortnet.certificate.network import Network
from sortnet.evaluation.attack import pgd
from sortnet.evaluation.frozen import FrozenChain

if TYPE_CHECKING:
    from .report import Attack
    from .session import FloatArray, IntArray


def pgd_attack(network: Network, steps: int) -> Attack:
    """An attack for `report.certify_split`: PGD with ``steps`` steps on a torch twin."""
    chain = FrozenChain.of_network(network)

    def attack(x: FloatArray, y: IntArray, radius: float) -> FloatArray:
        samples, labels = torch.from_numpy(x), torch.from_numpy(y)
        return pgd(chain, samples, labels, radius, steps, input=network.input).numpy()

    return attack
