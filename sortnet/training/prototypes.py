"""A start at the data: the first distance neurons measure the distance to training samples."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sortnet.data.split import Split
from sortnet.models import CertifiedNet
from sortnet.nn import SortLinear


def first_distance(net: CertifiedNet) -> tuple[nn.Sequential, SortLinear] | None:
    """The layers before the first distance layer, and that one; None where it is not linear."""
    for position, layer in enumerate(net.layers):
        if isinstance(layer, SortLinear) and net.config.stem is None:
            return net.layers[:position], layer
    return None


@torch.no_grad()
def start_at_samples(net: CertifiedNet, split: Split, seed: int) -> None:
    """Add to each neuron of the first distance layer a training sample, as that layer sees it.

    What the neuron had at random stays as noise around its sample (`ModelConfig.first_std`). A
    random direction is nearly equally far from every sample; a sample is near its own kind.

    Args:
        net: freshly built, in training mode.
        split: the training split. Samples are drawn without repeating one as long as there are
            enough.
        seed: fixes which.

    Raises:
        ValueError: the network has no linear distance layer to start.
    """
    found = first_distance(net)
    if found is None:
        raise ValueError(
            "recipe.prototypes needs a network whose first distance layer is linear: family "
            f"'sortnet' or 'linf-dist' without a stem, got {net.config.family!r}"
            + (" with a stem" if net.config.stem is not None else "")
        )
    before, first = found
    # At least two, so that a mean shift on the way has something to take a mean of.
    wanted = max(2, len(first.weight))
    draw = np.random.default_rng((seed, len(split)))
    rounds = [draw.permutation(len(split)) for _ in range(-(-wanted // len(split)))]
    chosen = np.concatenate(rounds)[:wanted]
    x = torch.from_numpy(split.floats(chosen)).to(first.weight)
    first.weight.add_(before(x)[: len(first.weight)])
