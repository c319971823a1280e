"""Network and loss of one training step as one module, so that DDP and compilers see a whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sortnet.base.units import eps_to_float
from sortnet.evaluation.certify import lipschitz_constant, margin_bounds
from sortnet.models.net import CertifiedNet
from sortnet.training import losses

from .presets import Recipe

Masks = dict[int, Tensor | None]


@dataclass(frozen=True)
class Settings:
    """What the schedules say about a step.

    Attributes:
        lr: learning rate. p: exponent of the distances. ce_weight: of the cross entropy.
        dropping: share of the dropping of inputs that takes place, in [0, 1].
        eps: training radius in pixels. eps_progress: of its ramp, in [0, 1].
    """

    lr: float
    p: float
    dropping: float
    ce_weight: float
    eps: float
    eps_progress: float


class Objective(nn.Module):
    """Loss of a batch, and how much of it is right and certified.

    Args:
        net: the network that is trained.
        recipe: says which loss.

    Raises:
        ValueError: the recipe's objective does not fit the network.
    """

    def __init__(self, net: CertifiedNet, recipe: Recipe) -> None:
        super().__init__()
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
        body = nn.Module()
        body.layers = net.layers[: len(net.layers) - len(net.head)]
        self.lipschitz = lipschitz_constant(body) if self.kind != "ibp" else 1.0  # type: ignore[arg-type]
        self.eps_test = eps_to_float(recipe.eps_test[0])
        # Logits are 1-Lipschitz, so the cross entropy needs a scale of its own.
        scale = None if self.kind == "ibp" else nn.Parameter(torch.ones(()))
        self.register_parameter("scale", scale)

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
            for networks without a margin certificate). Both under the training relaxation.
        """
        if self.kind == "margin":
            logits = self.net(x, masks)
            loss = losses.clipped_hinge(logits, y, eps * self.lipschitz)
            loss = loss + ce_weight * F.cross_entropy(self.scale * logits, y)
            margin = losses.margins(logits, y)
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
            low, high = (x - eps).clamp(0, 1), (x + eps).clamp(0, 1)
            worst = margin_bounds(self.net.layers, low, high, y)
            loss = losses.interval_cross_entropy(logits, worst, y, eps_progress)
        smallest = worst.scatter(1, y[:, None], float("inf")).amin(1)
        return loss, _counts(losses.margins(logits, y), smallest)


def _counts(margin: Tensor, worst: Tensor) -> Tensor:
    return torch.stack([(margin > 0).sum(), ((margin > 0) & (worst > 0)).sum()]).float()
