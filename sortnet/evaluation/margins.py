"""Differences of logits, which every certificate, loss and attack reads."""

from __future__ import annotations

from torch import Tensor


def runner_up(logits: Tensor, labels: Tensor) -> Tensor:
    """max over j != y of f_j. logits [N, K], labels int64 [N] -> [N]."""
    return logits.scatter(1, labels[:, None], float("-inf")).amax(1)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """f_y - max over j != y of f_j. logits [N, K], labels int64 [N] -> [N]."""
    return logits.gather(1, labels[:, None])[:, 0] - runner_up(logits, labels)


def best_margins(logits: Tensor) -> Tensor:
    """Largest minus second largest logit, [N, K] -> [N] with K >= 2."""
    best = logits.topk(2, dim=1).values
    return best[:, 0] - best[:, 1]
