"""Training losses. Logits are 1-Lipschitz in the model's units, so is every `eps` here."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sortnet.evaluation.margins import margins


def clipped_hinge(logits: Tensor, labels: Tensor, eps: float) -> Tensor:
    """Mean of clip((2 eps - margin) / (2 eps), 0, 1): the reference's loss for plain networks.

    It is 0 where the sample is certified at `eps` and 1 where it is misclassified; its mean is an
    upper bound of the certified error at `eps`. The clip stops hopeless samples from pulling.

    Args:
        logits: [N, K], each 1-Lipschitz in the l-inf norm of the model's input.
        labels: int64 [N].
        eps: training radius in the model's units, > 0.

    Returns:
        Scalar.
    """
    return ((2 * eps - margins(logits, labels)) / (2 * eps)).clamp(0, 1).mean()


def worst_case_hinge(logits: Tensor, worst: Tensor, labels: Tensor) -> Tensor:
    """Mean over the batch of max(0, 1 - worst margin) on correctly classified samples.

    The reference's loss for networks with an MLP head, whose logits have a scale of their own.

    Args:
        logits: [N, K] at x. worst: [N, K], lower bounds of f_y - f_j over the ball, 0 at j = y.
        labels: int64 [N].
    """
    correct = margins(logits, labels).detach() > 0
    smallest = worst.scatter(1, labels[:, None], float("inf")).amin(1)
    return torch.where(correct, F.relu(1 - smallest), 0).mean()


def interval_cross_entropy(
    logits: Tensor, worst: Tensor, labels: Tensor, progress: float
) -> Tensor:
    """(1 - k) CE(f) + k CE(worst case), k = progress / 2: IBP training (Gowal et al. 2018).

    Args:
        logits, worst, labels: as in `worst_case_hinge`.
        progress: of the ramp of eps, in [0, 1].
    """
    share = progress / 2
    return (1 - share) * F.cross_entropy(logits, labels) + share * F.cross_entropy(-worst, labels)
