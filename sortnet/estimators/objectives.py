"""What a classifier is trained for and judged by: margins of 1-Lipschitz logits, or bounds."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sortnet.evaluation.intervals import margin_bounds
from sortnet.evaluation.margins import margins, runner_up
from sortnet.models import CertifiedNet
from sortnet.training.schedule import exponential_ramp, linear_ramp

from .fitting import RAMP

EPS_RAMP = (0.0, 0.3)  # part of a training on bounds over which the radius grows


class Objective(ABC):
    """A loss, and how far a sample is from losing its certificate.

    Attributes:
        scale: of the logits, for probabilities; trained along where it is not fixed.
    """

    def __init__(self, eps: float) -> None:
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(()))

    @abstractmethod
    def loss(
        self, net: CertifiedNet, x: Tensor, labels: Tensor, weights: Tensor, part: float
    ) -> Tensor:
        """Scalar; see `fitting.Loss`."""

    @abstractmethod
    def slack(self, net: CertifiedNet, x: Tensor, labels: Tensor) -> Tensor:
        """[N]; above 0 where a sample is right and certified at eps, rounding left aside."""

    @torch.no_grad()
    def certified(self, net: CertifiedNet, x: Tensor, labels: Tensor, weights: Tensor) -> float:
        """Weighted certified accuracy at eps."""
        hits = (self.slack(net, x, labels) > 0) * weights
        return float(hits.sum() / weights.sum())


class MarginObjective(Objective):
    """Clipped hinge on the margin, and some cross entropy: logits that are 1-Lipschitz."""

    def loss(
        self, net: CertifiedNet, x: Tensor, labels: Tensor, weights: Tensor, part: float
    ) -> Tensor:
        logits = net(x)
        hinge = (1 - margins(logits, labels) / (2 * self.eps)).clamp(0, 1)
        entropy = F.cross_entropy(self.scale * logits, labels, reduction="none")
        mixed = hinge + exponential_ramp(part, *RAMP, 0.2, 0.02) * entropy
        return (weights * mixed).sum() / weights.sum()

    def slack(self, net: CertifiedNet, x: Tensor, labels: Tensor) -> Tensor:
        return margins(net(x), labels) - 2 * self.eps


class BoundsObjective(Objective):
    """Cross entropy of the worst logits that interval bounds allow in the ball.

    Of an affine network the bounds are exact, so this is robust logistic regression; of a deeper
    one it is the worst-case part of IBP training (Gowal et al. 2018).

    Args:
        eps: radius in units.
        low, high, unit: float32 of the shape of a sample; balls are clipped to the box.
    """

    def __init__(self, eps: float, low: Tensor, high: Tensor, unit: Tensor) -> None:
        super().__init__(eps)
        self.low, self.high, self.unit = low, high, unit

    def _worst(self, net: CertifiedNet, x: Tensor, labels: Tensor, eps: float) -> Tensor:
        """Least differences of the logit of the label from each other one: [N, K]."""
        lower = torch.maximum(x - eps * self.unit, self.low)
        upper = torch.minimum(x + eps * self.unit, self.high)
        return margin_bounds(net.layers, lower, upper, labels)

    def loss(
        self, net: CertifiedNet, x: Tensor, labels: Tensor, weights: Tensor, part: float
    ) -> Tensor:
        worst = self._worst(net, x, labels, self.eps * linear_ramp(part, *EPS_RAMP))
        entropy = F.cross_entropy(-worst, labels, reduction="none")
        return (weights * entropy).sum() / weights.sum()

    def slack(self, net: CertifiedNet, x: Tensor, labels: Tensor) -> Tensor:
        return -runner_up(-self._worst(net, x, labels, self.eps), labels)
