"""Training losses. Logits are 1-Lipschitz in the model's units, so is every `eps` here."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def runner_up(logits: Tensor, labels: Tensor) -> Tensor:
    """max over j != y of f_j. logits [N, K], labels int64 [N] -> [N]."""
    return logits.scatter(1, labels[:, None], float("-inf")).amax(1)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """f_y - max over j != y of f_j. logits [N, K], labels int64 [N] -> [N]."""
    return logits.gather(1, labels[:, None])[:, 0] - runner_up(logits, labels)


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


def worst_case_logits(lower: Tensor, upper: Tensor, labels: Tensor) -> Tensor:
    """The logits of the strongest case an interval allows: f_y low, the others high. All [N, K]."""
    return upper.scatter(1, labels[:, None], lower.gather(1, labels[:, None]))


def worst_case_hinge(logits: Tensor, worst: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Mean over the batch of max(0, threshold - worst margin) on correctly classified samples.

    The reference's loss for networks with an MLP head.

    Args:
        logits, worst: [N, K] at x and in the worst case over the ball around x.
        labels: int64 [N].
        threshold: margin asked for in the worst case, >= 0, in units of the logits.
    """
    correct = margins(logits, labels).detach() > 0
    return torch.where(correct, F.relu(threshold - margins(worst, labels)), 0).mean()
