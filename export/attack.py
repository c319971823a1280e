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
    """An attack for `report.certify_split`: PGD with ``steps`` steps on a torch twin.

    Raises:
        ValueError: the network takes no images, whose pixels are all that the attack moves.
    """
    if not network.input.images:
        raise ValueError("PGD moves pixels in [0, 1]; this file has a box and a unit per feature")
    chain = FrozenChain.of_network(network)

    def attack(x: FloatArray, y: IntArray, radius: float) -> FloatArray:
        return pgd(chain, torch.from_numpy(x), torch.from_numpy(y), radius, steps).numpy()

    return attack
