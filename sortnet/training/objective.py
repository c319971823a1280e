"""Network and loss of one training step as one module, so that DDP and compilers see a whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sortnet.base.units import MAX_UNITS_OF_RADIUS, eps_to_float
from sortnet.evaluation.intervals import margin_bounds
from sortnet.evaluation.margins import margins
from sortnet.evaluation.naive import lipschitz_constant
from sortnet.models import CertifiedNet

from . import losses
from .recipe import Recipe

Masks = dict[int, Tensor | None]

Loss = Callable[[Tensor, Tensor, float], Tensor]
"""A user's own loss: (logits [N, K], labels int64 [N], eps) -> scalar. eps is the training radius
in the logits' units, as in `losses.clipped_hinge`: two logits within 2 eps may change places."""


class Objective(nn.Module):
    """Loss of a batch, and how much of it is right and certified.

    Args:
        net: the network that is trained.
        recipe: says which loss.
        loss: the user's own loss in place of the recipe's.

    Raises:
        ValueError: the recipe's objective does not fit the network.
    """

    def __init__(self, net: CertifiedNet, recipe: Recipe, loss: Loss | None = None) -> None:
        super().__init__()
        self.own_loss = loss
        expected = (
            "ibp"
            if net.config.family == "relu"
            else "margin"
            if net.config.hidden is None
            else "worst-case"
        )
        if recipe.objective != expected:
            raise ValueError(
                f"objective {recipe.objective!r} does not fit this network; it needs {expected!r}"
            )
        self.net = net
        self.kind = recipe.objective
        # The constant of all that comes before an MLP head; of the logits without one.
        body = net.layers[: len(net.layers) - len(net.head)]
        self.lipschitz = lipschitz_constant(body, net.config.input) if self.kind != "ibp" else 1.0
        self.eps_test = eps_to_float(recipe.eps_test[0], MAX_UNITS_OF_RADIUS)
        # Logits are 1-Lipschitz, so the cross entropy needs a scale of its own.
        unused = self.kind == "ibp" or loss is not None
        scale = None if unused else nn.Parameter(torch.ones(()))
        self.register_parameter("scale", scale)

    def _ball(self, x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """Ends of the ball of radius eps in the box, up to rounding."""
        spec = self.net.config.input
        if spec.images:
            return (x - eps).clamp(0, 1), (x + eps).clamp(0, 1)
        low, high, unit = (torch.tensor(n).to(x) for n in (spec.low, spec.high, spec.unit))
        return torch.maximum(x - eps * unit, low), torch.minimum(x + eps * unit, high)

    def forward(
        self,
        x: Tensor,
        y: Tensor,
        masks: Masks | None,
        eps: float,
        eps_progress: float,
        ce_weight: float,
    ) -> tuple[Tensor, Tensor]:
        """Loss and counts.

        Args:
            x: [N, C, H, W] in [0, 1]. y: int64 [N]. masks: of the network, see `draw_masks`.
            eps: training radius in pixels, and eps_progress, ce_weight: see `Settings`.

        Returns:
            Scalar loss, and float32 [2]: how many samples were classified right, and how many had
            the margin that certifies the first test radius (the worst case over the training radius
            for networks without a margin certificate; with an own loss those are counted right).
            Both under the training relaxation.
        """
        if self.own_loss is not None:
            logits = self.net(x, masks)
            loss = self.own_loss(logits, y, eps * self.lipschitz)
            margin = margins(logits, y)
            reach = self.eps_test * self.lipschitz if self.kind == "margin" else 0.0
            return loss, _counts(margin, margin - 2 * reach)
        if self.kind == "margin":
            logits = self.net(x, masks)
            loss = losses.clipped_hinge(logits, y, eps * self.lipschitz)
            loss = loss + ce_weight * F.cross_entropy(self.scale * logits, y)
            margin = margins(logits, y)
            return loss, _counts(margin, margin - 2 * self.eps_test * self.lipschitz)
        if self.kind == "worst-case":
            features = self.net.body(x, masks)
            logits = self.net.head(features)
            reach = eps * self.lipschitz
            worst = margin_bounds(self.net.head, features - reach, features + reach, y)
            loss = losses.worst_case_hinge(logits, worst, y)
            loss = loss + ce_weight * F.cross_entropy(self.scale * logits, y)
        else:
            logits = self.net(x)
            low, high = self._ball(x, eps)
            worst = margin_bounds(self.net.layers, low, high, y)
            loss = losses.interval_cross_entropy(logits, worst, y, eps_progress)
        smallest = worst.scatter(1, y[:, None], float("inf")).amin(1)
        return loss, _counts(margins(logits, y), smallest)


def _counts(margin: Tensor, worst: Tensor) -> Tensor:
    return torch.stack([(margin > 0).sum(), ((margin > 0) & (worst > 0)).sum()]).float()
