"""The textbook certificates, without any account of rounding: for comparison, and for own layers.

They are theorems about the network over the real numbers, evaluated in floating point. At ties and
beside decision boundaries rounding can make them false (docs/certificates.md counts such breaks);
`sortnet.evaluation.certifier` takes the rounding off, and an exported file does too.

A layer of your own may take part by declaring `lipschitz` and `bounds`; what it declares is
believed, and `NaiveCertifier.declared` lists whom.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sortnet.base.units import MAX_UNITS_OF_RADIUS, float32_up, parse_eps
from sortnet.certificate.inputs import InputError, check_box
from sortnet.certificate.network import InputSpec
from sortnet.models import chain_of
from sortnet.models.network import own_input
from sortnet.nn import Normalize
from sortnet.nn.known import check_ranges, declared_by, layer_lipschitz

from .certifier import Eps, Prediction
from .frozen import FrozenChain
from .margins import best_margins


def lipschitz_constant(model: nn.Module, input: InputSpec | None = None) -> float:
    """Upper bound of every output's Lipschitz constant in l-inf, per unit of the features.

    The product of the layers' constants, rounded up; a per-feature `Normalize` that comes first is
    taken feature by feature.

    Args:
        model: a chain; layers of the user's own are believed.
        input: box and unit; None for those of a `CertifiedNet`, else for images in [0, 1].

    Raises:
        LayerError: a layer whose constant is not known, by name.
    """
    layers = chain_of(model, declared=True)
    spec = own_input(model) or input
    product = 1.0
    if spec is not None and not spec.images:
        moves = spec.unit.astype(np.float64)
        if type(layers[0]) is Normalize:
            moves = moves / np.asarray(layers[0].std, np.float64)
            layers = layers[1:]
        product = float(moves.max()) * (1 + 2.0**-40)
    for layer in layers:
        factor = layer_lipschitz(layer)
        if factor != 1.0:
            product = product * factor * (1 + 2.0**-40)  # covers the float64 roundings
    return product


class NaiveCertifier:
    """Margin radius and interval certificate without any account of rounding.

    Args:
        model: a `CertifiedNet` or an `nn.Sequential` of layers with `lipschitz` and `bounds`. Its
            mode does not matter, and nothing of it is changed.
        input: box and unit; None for those of a `CertifiedNet`, else for images in [0, 1].

    Attributes:
        chain: the private copy that runs.
        lipschitz: upper bound of every logit's Lipschitz constant.
        declared: class names of own layers whose `lipschitz` and `bounds` are believed.
        claim: the certificate's footing in words, for reports: "naive, as declared by Clamp".

    Raises:
        LayerError: a layer that is not known and declares neither, by name.
    """

    def __init__(self, model: nn.Module, input: InputSpec | None = None) -> None:
        self.chain = FrozenChain(model, declared=True)
        self.input = own_input(model) or input
        self.lipschitz = lipschitz_constant(self.chain.model, self.input)
        spec = self.input or InputSpec((1, 1, 1))  # the box of images, whatever their shape
        check_ranges(self.chain.layers, spec.low, spec.high)
        names = {declared_by(layer) for layer in self.chain.layers}
        self.declared = sorted(name for name in names if name is not None)
        by = f", as declared by {', '.join(self.declared)}" if self.declared else ""
        self.claim = f"naive{by}"

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Labels, margin / (2 L) (paper, section 1) and logits of float inputs [N, ...] in the box.

        Raises:
            InputError: a value outside the box, or NaN.
        """
        _check(x, self.input)
        logits = self.chain.logits(x)
        return Prediction(logits.argmax(1), best_margins(logits) / (2 * self.lipschitz), logits)

    @torch.no_grad()
    def certify(self, x: Tensor, eps: Eps, prediction: Prediction | None = None) -> Tensor:
        """Whether the radius exceeds eps, or interval bounds say so: bool [N].

        Args:
            x: as in `predict`. eps: > 0, of images at most 1. prediction: of the same x, if known.
        """
        ball = self._ball(eps)
        prediction = self.predict(x) if prediction is None else prediction
        certified = prediction.radius > ball
        rest = (~certified).nonzero()[:, 0]
        if len(rest):
            certified[rest] = self._interval(x[rest], prediction.label[rest], ball)
        return certified

    @torch.no_grad()
    def interval(self, x: Tensor, eps: Eps) -> Tensor:
        """`certify` by interval bounds alone: bool [N]."""
        return self._interval(x, self.predict(x).label, self._ball(eps))

    def _ball(self, eps: Eps) -> float:
        images = self.input is None or self.input.images
        return float32_up(parse_eps(eps, 1 if images else MAX_UNITS_OF_RADIUS))

    def _interval(self, x: Tensor, label: Tensor, ball: float) -> Tensor:
        low, high = ends(x, ball, self.input)
        return self.chain.worst_margin(low, high, label) > 0


def naive_margin_radius(model: nn.Module, x: Tensor) -> Tensor:
    """margin / (2 L) of every sample, without any account of rounding: [N] (`NaiveCertifier`)."""
    return NaiveCertifier(model).predict(x).radius


def naive_interval_certified(model: nn.Module, x: Tensor, eps: Eps) -> Tensor:
    """Whether interval bounds say that the label is constant on the ball: bool [N]."""
    return NaiveCertifier(model).interval(x, eps)


def ends(x: Tensor, ball: float, input: InputSpec | None) -> tuple[Tensor, Tensor]:
    """Ends of the ball around x, clipped to the box, to the nearest float32."""
    if input is None or input.images:
        return (x - ball).clamp_min(0), (x + ball).clamp_max(1)
    least, most, unit = (
        torch.from_numpy(np.array(n)).to(x) for n in (input.low, input.high, input.unit)
    )
    return torch.maximum(x - ball * unit, least), torch.minimum(x + ball * unit, most)


def _check(x: Tensor, input: InputSpec | None) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 2:
        kind = f"{x.dtype} {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"expected a float tensor [N, ...] in the box, got {kind}")
    low, high = (0.0, 1.0) if input is None or input.images else (input.low, input.high)
    check_box(x.detach().cpu().numpy(), low, high)
