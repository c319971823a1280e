"""The textbook certificates, without any account of rounding: for comparison, and for own layers.

They are theorems about the network over the real numbers, evaluated in floating point. At ties and
beside decision boundaries rounding can make them false (docs/certificates.md counts such breaks);
`sortnet.evaluation.certifier` takes the rounding off, and an exported file does too.

A layer of your own may take part by declaring `lipschitz` and `bounds`; what it declares is
believed, and `NaiveCertifier.declared` lists whom.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sortnet.base.units import float32_up, parse_eps
from sortnet.certificate.inputs import InputError, check_box
from sortnet.models import chain_of
from sortnet.nn.known import declared_by, layer_lipschitz

from .certifier import Eps, Prediction
from .frozen import FrozenChain
from .margins import best_margins


def lipschitz_constant(model: nn.Module) -> float:
    """Upper bound of every logit's Lipschitz constant in l-inf, per unit of the input in [0, 1].

    The product of the layers' constants, rounded up.

    Raises:
        LayerError: a layer whose constant is not known, by name.
    """
    product = 1.0
    for layer in chain_of(model, declared=True):
        factor = layer_lipschitz(layer)
        if factor != 1.0:
            product = product * factor * (1 + 2.0**-40)  # covers the float64 roundings
    return product


class NaiveCertifier:
    """Margin radius and interval certificate without any account of rounding.

    Args:
        model: a `CertifiedNet` or an `nn.Sequential` of layers with `lipschitz` and `bounds`. Its
            mode does not matter, and nothing of it is changed.

    Attributes:
        chain: the private copy that runs.
        lipschitz: upper bound of every logit's Lipschitz constant.
        declared: class names of own layers whose `lipschitz` and `bounds` are believed.
        claim: the certificate's footing in words, for reports: "naive, as declared by Clamp".

    Raises:
        LayerError: a layer that is not known and declares neither, by name.
    """

    def __init__(self, model: nn.Module) -> None:
        self.chain = FrozenChain(model, declared=True)
        self.lipschitz = lipschitz_constant(self.chain.model)
        names = {declared_by(layer) for layer in self.chain.layers}
        self.declared = sorted(name for name in names if name is not None)
        by = f", as declared by {', '.join(self.declared)}" if self.declared else ""
        self.claim = f"naive{by}"

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Labels, margin / (2 L) (paper, section 1) and logits of float inputs [N, ...] in [0, 1].

        Raises:
            InputError: a value outside [0, 1], or NaN.
        """
        _check(x)
        logits = self.chain.logits(x)
        return Prediction(logits.argmax(1), best_margins(logits) / (2 * self.lipschitz), logits)

    @torch.no_grad()
    def certify(self, x: Tensor, eps: Eps, prediction: Prediction | None = None) -> Tensor:
        """Whether the radius exceeds eps, or interval bounds say so: bool [N].

        Args:
            x: as in `predict`. eps: in (0, 1]. prediction: of the same x, if already known.
        """
        ball = float32_up(parse_eps(eps))
        prediction = self.predict(x) if prediction is None else prediction
        certified = prediction.radius > ball
        rest = (~certified).nonzero()[:, 0]
        if len(rest):
            certified[rest] = self._interval(x[rest], prediction.label[rest], ball)
        return certified

    @torch.no_grad()
    def interval(self, x: Tensor, eps: Eps) -> Tensor:
        """`certify` by interval bounds alone: bool [N]."""
        return self._interval(x, self.predict(x).label, float32_up(parse_eps(eps)))

    def _interval(self, x: Tensor, label: Tensor, ball: float) -> Tensor:
        low, high = (x - ball).clamp_min(0), (x + ball).clamp_max(1)
        return self.chain.worst_margin(low, high, label) > 0


def naive_margin_radius(model: nn.Module, x: Tensor) -> Tensor:
    """margin / (2 L) of every sample, without any account of rounding: [N] (`NaiveCertifier`)."""
    return NaiveCertifier(model).predict(x).radius


def naive_interval_certified(model: nn.Module, x: Tensor, eps: Eps) -> Tensor:
    """Whether interval bounds say that the label is constant on the ball: bool [N]."""
    return NaiveCertifier(model).interval(x, eps)


def _check(x: Tensor) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 2:
        kind = f"{x.dtype} {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"expected a float tensor [N, ...] in [0, 1], got {kind}")
    check_box(x.detach().cpu().numpy())
