"""Certificates of torch models that hold for the rounded program: radii, and whole balls.

The same analysis as that of an exported file (docs/certificates.md) bounds how far the computed
logits can be from the exact ones, for affine layers in float32 as torch computes them; what it
finds is taken off every margin. `sortnet.evaluation.naive` has the textbook formulas without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from sortnet.base.units import MAX_UNITS_OF_RADIUS, float32_up, parse_eps
from sortnet.certificate.analysis import (
    ROOM,
    TANH_ERROR,
    TORCH,
    Analysis,
    BoundError,
    analyse,
)
from sortnet.certificate.inputs import InputError, check_box, check_kind
from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import Affine, Shape, Tanh
from sortnet.models import network_of
from sortnet.nn.layer import LayerError

from .frozen import FrozenChain

Eps: TypeAlias = str | float | Fraction

GUARDED = 2**22
"""Inputs and weights up to which a `Certifier` runs the slow reference once, to compare."""


class Prediction(NamedTuple):
    """What a certified forward pass says: tensors of N samples on the device of the input.

    label: int64 [N]. radius: float32 [N] in input units; 0 means "not certified".
    logits: float32 [N, K].
    """

    label: Tensor
    radius: Tensor
    logits: Tensor


class Interval(NamedTuple):
    """What a regression says of N samples: float32 [N] each; see `Certifier.predict_interval`."""

    value: Tensor
    lower: Tensor
    upper: Tensor


class Certifier:
    """The certificates of a model as it is now; later changes of the model are not seen.

    What is certified: for every float32 x' in the box of the inputs with |x'_i - x_i| <= radius *
    unit_i for every feature i, in exact arithmetic (images: in [0, 1], unit 1), the model in
    evaluation mode, run by torch in float32 on any device, any number of threads, in any batch,
    gives the same label. Not covered: autocast, TF32 or bfloat16 products inside float32 ones.

    Args:
        model: a `CertifiedNet`, or an `nn.Sequential` of known layers. Its mode does not matter,
            and nothing of it is changed: several threads may certify one model.
        input: shape, box and unit of one input, or the shape (C, H, W) of images in [0, 1]; needed
            for an `nn.Sequential`, a `CertifiedNet` knows its own.

    Attributes:
        network: the operations over the real numbers that the certificates speak about.
        chain: the private copy that runs.
        analysis: Lipschitz constant, error bound and slacks derived from it.

    Raises:
        LayerError: a layer whose rounding is not known (by name), a subclass, a hooked module.
        ValueError: weights that are not float32 or not finite; a network whose values may
            overflow; a Tanh of this device that is less accurate than the analysis assumes.
    """

    def __init__(self, model: nn.Module, input: InputSpec | Shape | None = None) -> None:
        self.chain = FrozenChain(model)
        model = self.chain.model
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.is_floating_point() and tensor.dtype != torch.float32:
                raise ValueError(
                    f"certificates speak about float32 models, got {name} in {tensor.dtype}; "
                    "call model.float(), or use the naive certificates"
                )
        self.network: Network = network_of(model, input)
        try:
            self.analysis: Analysis = analyse(self.network, TORCH)
        except BoundError as error:
            raise ValueError(f"no certificate for this model: {error}") from None
        steps = zip(self.network.ops, self.analysis.steps, strict=True)
        self._widens = [step.widen * (1 + ROOM) for op, step in steps if isinstance(op, Affine)]
        if any(isinstance(op, Tanh) for op in self.network.ops):
            _check_tanh(next((p.device for p in model.parameters()), torch.device("cpu")))
        self._check_chain()

    @torch.no_grad()
    def _check_chain(self) -> None:
        """What runs must be what was analysed: both are compared at two points of the box.

        A guard against mistakes of our own and against layers whose insides were exchanged.
        """
        spec = self.network.input
        if math.prod(spec.shape) + sum(op.entries for op in self.network.ops) > GUARDED:
            return
        low, high = spec.low.astype(np.float64), spec.high.astype(np.float64)
        part = np.random.default_rng(0).random((2, *spec.shape))
        x = np.clip((low + part * (high - low)).astype(np.float32), spec.low, spec.high)
        device = next((p.device for p in self.chain.model.parameters()), torch.device("cpu"))
        runs = self.chain.logits(torch.from_numpy(x).to(device)).double().cpu().numpy()
        if not np.abs(runs - self.network.value(x)).max() <= self.analysis.error:
            raise LayerError(
                "the model computes something else than its layers say they compute: was a layer "
                "changed from inside?"
            )

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Labels, certified radii and logits.

        Args:
            x: float32 [N, ...] in the box, on the device of the model.

        Raises:
            InputError: another dtype, shape or range, or NaN. ValueError: a regression.
        """
        if self.network.regression:
            raise ValueError("the model is a regression: use predict_interval")
        self._check(x)
        logits = self.chain.logits(x)
        best = logits.topk(2, dim=1).values.double()
        # The difference of two float32 is exact enough in float64: the slack has room for it.
        sure = (best[:, 0] - best[:, 1] - self.analysis.margin_slack).clamp_min(0)
        radius = _float32_down(sure * self.analysis.margin_scale)
        return Prediction(logits.argmax(1), radius, logits)

    @torch.no_grad()
    def certify(self, x: Tensor, eps: Eps, prediction: Prediction | None = None) -> Tensor:
        """Whether the label of each input is proved constant over the ball of radius eps.

        The certified radius decides where it is large enough, interval bounds over the ball
        clipped to the box decide the rest.

        Args:
            x: as in `predict`.
            eps: radius in input units, > 0 (images: at most 1); "8/255" is exact; rounded up to
                float32.
            prediction: of the same x, if already known.

        Returns:
            bool [N].

        Raises:
            InputError: as `predict`, or a prediction of another length. ValueError: a bad eps.
        """
        ball = self._ball(eps)
        if prediction is None:
            prediction = self.predict(x)
        else:
            self._check(x)
        if len(prediction.label) != len(x):
            raise InputError(f"{len(prediction.label)} predictions for {len(x)} inputs")
        certified = prediction.radius >= ball
        rest = (~certified).nonzero()[:, 0]
        if len(rest):
            certified[rest] = self._interval(x[rest], prediction.label[rest], ball)
        return certified

    @torch.no_grad()
    def interval(self, x: Tensor, eps: Eps) -> Tensor:
        """`certify` by interval bounds alone: bool [N]."""
        ball = self._ball(eps)
        return self._interval(x, self.predict(x).label, ball)

    @torch.no_grad()
    def predict_interval(self, x: Tensor, eps: Eps) -> Interval:
        """Values of a regression, and bounds that no input of the ball can leave.

        Args:
            x: as in `predict`. eps: as in `certify`.

        Returns:
            value, lower, upper: float32 [N] each; the better of two bounds, by the Lipschitz
            constant and by interval arithmetic over the ball clipped to the box.

        Raises:
            InputError: as `predict`. ValueError: a bad eps; a classifier.
        """
        if not self.network.regression:
            raise ValueError("the model is a classifier: use predict and certify")
        ball = self._ball(eps)
        self._check(x)
        value = self.chain.logits(x)[:, 0]
        near = self.analysis.value_reach(ball)
        low, high = self.chain.bounds(*self._ends(x, ball), self._widens)
        apart = self.analysis.value_slack * (1 + ROOM)
        lower = torch.maximum(value.double() - near, low[:, 0].double() - apart)
        upper = torch.minimum(value.double() + near, high[:, 0].double() + apart)
        return Interval(value, _float32_down(lower), -_float32_down(-upper))

    def _ball(self, eps: Eps) -> float:
        most = 1 if self.network.input.images else MAX_UNITS_OF_RADIUS
        return float32_up(parse_eps(eps, most))

    def _ends(self, x: Tensor, ball: float) -> tuple[Tensor, Tensor]:
        """Float32 ends of the ball around x, clipped to the box, rounding included."""
        spec = self.network.input
        reach, least, most = (
            torch.from_numpy(np.array(ends)).to(x.device)
            for ends in (spec.reach(ball), spec.low, spec.high)
        )
        return torch.maximum(x - reach, least), torch.minimum(x + reach, most)

    def _interval(self, x: Tensor, label: Tensor, ball: float) -> Tensor:
        worst = self.chain.worst_margin(*self._ends(x, ball), label, self._widens)
        return worst > self.analysis.interval_slack * (1 + ROOM)

    def _check(self, x: Tensor) -> None:
        tensor = isinstance(x, Tensor)
        shape = tuple(x.shape) if tensor else np.shape(x)
        check_kind(x, x.dtype if tensor else None, shape, self.network.input_shape)
        spec = self.network.input
        low, high = (0.0, 1.0) if spec.images else (spec.low, spec.high)
        check_box(x.detach().cpu().numpy(), low, high)


def _float32_down(values: Tensor) -> Tensor:
    """float64 -> the largest float32 that is not above."""
    near = values.float()
    below = torch.nextafter(near, torch.full_like(near, -torch.inf))
    return torch.where(near.double() > values, below, near)


def _check_tanh(device: torch.device) -> None:
    """The one operation whose accuracy no host promises."""
    points = np.concatenate([np.linspace(-12, 12, 2**16), np.geomspace(1e-30, 1e30, 2**12)])
    x = points.astype(np.float32)
    y = torch.from_numpy(x).to(device).tanh().cpu().numpy()
    error = float(np.abs(y.astype(np.float64) - np.tanh(x.astype(np.float64))).max())
    if not error <= TANH_ERROR / 2:
        raise ValueError(f"Tanh is off by {error:.3g} on {device}, more than the bound allows")


def margin_radius(model: nn.Module, x: Tensor) -> Tensor:
    """Sound certified radius of every sample: float32 [N] >= 0, in input units (see `Certifier`).

    Analyses the model in every call: for many batches keep a `Certifier`.

    Raises:
        InputError, ValueError: as `Certifier` and its `predict`.
    """
    return Certifier(model, _shape(x)).predict(x).radius


def interval_certified(model: nn.Module, x: Tensor, eps: Eps) -> Tensor:
    """Whether interval bounds prove the label constant on the eps-ball in [0, 1]: bool [N].

    Raises:
        InputError, ValueError: as `Certifier` and its `certify`.
    """
    return Certifier(model, _shape(x)).interval(x, eps)


def certificates(
    model: nn.Module, x: Tensor, y: Tensor, epsilons: Sequence[Eps]
) -> dict[Eps, Tensor]:
    """For each eps: bool [N], classified right and certified at eps (see `certified_accuracy`)."""
    certifier = Certifier(model, _shape(x))
    prediction = certifier.predict(x)
    _check_labels(x, y)
    _check_list(epsilons)
    right = prediction.label == y
    return {eps: right & certifier.certify(x, eps, prediction) for eps in epsilons}


def certified_accuracy(
    model: nn.Module, x: Tensor, y: Tensor, epsilons: Sequence[Eps], batch: int = 256
) -> dict[Eps, float]:
    """Fraction of samples that are classified right with a certificate, for each eps.

    A sample counts where its certified radius reaches eps or the interval certificate holds.

    Args:
        model: as in `Certifier`.
        x: float32 [N, C, H, W] in [0, 1], N >= 1.
        y: int64 [N].
        epsilons: radii in input units, in (0, 1]; "8/255" is exact.
        batch: samples at a time.

    Raises:
        InputError, ValueError: as `Certifier`; no samples, labels of another length.
    """
    if len(x) == 0:
        raise ValueError("certified accuracy of no samples is undefined")
    _check_labels(x, y)
    _check_list(epsilons)
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    certifier = Certifier(model, _shape(x))
    hits = dict.fromkeys(epsilons, 0)
    for begin in range(0, len(x), batch):
        part, label = x[begin : begin + batch], y[begin : begin + batch]
        prediction = certifier.predict(part)
        for eps in hits:
            certified = certifier.certify(part, eps, prediction)
            hits[eps] += int((certified & (prediction.label == label)).sum())
    return {eps: count / len(x) for eps, count in hits.items()}


def _check_labels(x: Tensor, y: Tensor) -> None:
    integers = isinstance(y, Tensor) and not (y.is_floating_point() or y.is_complex())
    if not integers or y.dtype == torch.bool or y.shape != x.shape[:1]:
        kind = f"{y.dtype} {list(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(f"expected integer labels [{len(x)}] as a tensor, got {kind}")


def _check_list(epsilons: object) -> None:
    if isinstance(epsilons, str):
        raise ValueError(f"expected a list of radii such as [{epsilons!r}], got one text")


def _shape(x: Tensor) -> tuple[int, ...] | None:
    """What an `nn.Sequential` is certified for: the shape of the samples at hand."""
    return tuple(x.shape[1:]) if isinstance(x, Tensor) else None
