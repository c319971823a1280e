"""A start at the data: the first distance neurons measure the distance to training samples."""

from __future__ import annotations

import numpy as np
import torch

from sortnet.data.split import Split
from sortnet.models import CertifiedNet
from sortnet.nn import SortLinear


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
    position = next((i for i, each in enumerate(net.layers) if isinstance(each, SortLinear)), None)
    if position is None or net.config.stem is not None:
        raise ValueError(
            "recipe.prototypes needs a network whose first distance layer is linear: family "
            f"'sortnet' or 'linf-dist' without a stem, got {net.config.family!r}"
            + (" with a stem" if net.config.stem is not None else "")
        )
    layer = net.layers[position]
    assert isinstance(layer, SortLinear)
    weight = layer.weight
    # At least two, so that a mean shift on the way has something to take a mean of.
    wanted = max(2, len(weight))
    draw = np.random.default_rng((seed, len(split)))
    rounds = [draw.permutation(len(split)) for _ in range(-(-wanted // len(split)))]
    chosen = np.concatenate(rounds)[:wanted]
    x = torch.from_numpy(split.floats(chosen)).to(weight)
    weight.add_(net.layers[:position](x)[: len(weight)])
