"""Certificates of torch models: margin radius and interval certificate, in input units.

They are theorems about the network over the real numbers, evaluated in float32. For a certificate
that holds for the rounded program at the place of deployment, export the model
(`sortnet.export`): there the rounding error is bounded and taken off.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sortnet.models.net import Abs, CertifiedNet, layer_bounds
from sortnet.nn import (
    GroupSort,
    LipschitzLinear,
    MeanShift,
    Negate,
    Normalize,
    OrderStatisticLinear,
    PiecewiseLinear,
    SortConv2d,
    SortLinear,
)

_ONE_LIPSCHITZ = (
    Abs,
    GroupSort,
    LipschitzLinear,
    MeanShift,
    Negate,
    OrderStatisticLinear,
    PiecewiseLinear,
    SortConv2d,
    SortLinear,
    nn.Flatten,
    nn.ReLU,
    nn.Tanh,
)


def lipschitz_constant(model: CertifiedNet) -> float:
    """Upper bound of every logit's Lipschitz constant in l-inf, per unit of the input in [0, 1].

    The product of the layers' constants, rounded up.

    Raises:
        TypeError: a layer of an unknown kind.
    """
    product = 1.0
    for layer in model.layers:
        if isinstance(layer, Normalize):
            factor = 1 / layer.std
        elif isinstance(layer, nn.Linear):
            factor = float(layer.weight.detach().double().abs().sum(1).max())
        elif isinstance(layer, _ONE_LIPSCHITZ):
            factor = 1.0
        else:
            raise TypeError(f"no Lipschitz constant is known for {type(layer).__name__}")
        if factor != 1.0:
            product = product * factor * (1 + 2.0**-40)  # covers the float64 roundings
    return product


def margins(logits: Tensor) -> Tensor:
    """Largest minus second largest logit, [N, K] -> [N] with K >= 2."""
    best = logits.topk(2, dim=1).values
    return best[:, 0] - best[:, 1]


@torch.no_grad()
def margin_radius(model: CertifiedNet, x: Tensor) -> Tensor:
    """Radius within which the prediction cannot change: margin / (2 L) (paper, section 1).

    Args:
        model: used in evaluation mode (left as it was).
        x: [N, C, H, W] in [0, 1].

    Returns:
        [N] >= 0, in input units.
    """
    with _evaluating(model):
        return margins(model(x)) / (2 * lipschitz_constant(model))


@torch.no_grad()
def interval_certified(model: CertifiedNet, x: Tensor, eps: float) -> Tensor:
    """Whether interval bounds prove the prediction constant on the eps-ball clipped to [0, 1].

    Args:
        model: used in evaluation mode (left as it was).
        x: [N, C, H, W] in [0, 1].
        eps: radius in input units, > 0.

    Returns:
        bool [N].

    Raises:
        ValueError: eps is not positive.
    """
    if not eps > 0:
        raise ValueError(f"eps must be positive, got {eps}")
    with _evaluating(model):
        label = model(x).argmax(1)
        return worst_margins(model.layers, (x - eps).clamp(0, 1), (x + eps).clamp(0, 1), label) > 0


def margin_bounds(
    layers: Iterable[nn.Module], lower: Tensor, upper: Tensor, label: Tensor
) -> Tensor:
    """Lower bounds of logit[label] - logit[j] for inputs of a chain in [lower, upper].

    A final affine layer is bounded on differences of its rows, which is tighter than on logits.
    Differentiable through affine layers and elementwise functions.

    Args:
        layers: a chain that ends in logits; sort layers are used as in evaluation.
        lower, upper: bounds of its input, [N, ...].
        label: int64 [N].

    Returns:
        [N, K]; 0 where j is the label.
    """
    *body, last = layers
    affine = _affine(last)
    for layer in body:
        lower, upper = layer_bounds(layer, lower, upper)
    if affine is None:
        lower, upper = layer_bounds(last, lower, upper)
        worst = lower.gather(1, label[:, None]) - upper
        return worst.scatter(1, label[:, None], 0)
    weight, bias = affine
    difference = weight[label][:, None, :] - weight[None]
    worst = torch.einsum("nkh,nh->nk", difference.clamp_min(0), lower) + torch.einsum(
        "nkh,nh->nk", difference.clamp_max(0), upper
    )
    return worst if bias is None else worst + bias[label][:, None] - bias


def worst_margins(
    layers: Iterable[nn.Module], lower: Tensor, upper: Tensor, label: Tensor
) -> Tensor:
    """Lower bound of logit[label] - max of the others; see `margin_bounds`. [N]."""
    bounds = margin_bounds(layers, lower, upper, label)
    return bounds.scatter(1, label[:, None], math.inf).amin(1)


def _affine(layer: nn.Module) -> tuple[Tensor, Tensor | None] | None:
    """Weight and bias of an affine layer, or None."""
    if isinstance(layer, LipschitzLinear):
        return layer.projected_weight(), layer.bias
    return (layer.weight, layer.bias) if isinstance(layer, nn.Linear) else None


def certified_accuracy(
    model: CertifiedNet, x: Tensor, y: Tensor, epsilons: Sequence[float], batch: int = 256
) -> dict[float, float]:
    """Fraction of samples that are classified right with a certificate, for each eps.

    A sample counts where its margin radius reaches eps or the interval certificate holds.

    Args:
        model: any chain.
        x: [N, C, H, W] in [0, 1], N >= 1.
        y: int64 [N].
        epsilons: radii in input units, > 0.
        batch: samples at a time.
    """
    if len(x) == 0:
        raise ValueError("certified accuracy of no samples is undefined")
    hits = dict.fromkeys(epsilons, 0)
    for begin in range(0, len(x), batch):
        part, label = x[begin : begin + batch], y[begin : begin + batch]
        for eps, certified in certificates(model, part, label, epsilons).items():
            hits[eps] += int(certified.sum())
    return {eps: count / len(x) for eps, count in hits.items()}


@torch.no_grad()
def certificates(
    model: CertifiedNet, x: Tensor, y: Tensor, epsilons: Sequence[float]
) -> dict[float, Tensor]:
    """For each eps: bool [N], classified right and certified at eps; see `certified_accuracy`."""
    with _evaluating(model):
        logits = model(x)
        right = logits.argmax(1) == y
        radius = margins(logits) / (2 * lipschitz_constant(model))
        result = {}
        for eps in epsilons:
            if not eps > 0:
                raise ValueError(f"eps must be positive, got {eps}")
            certified = right & (radius >= eps)
            rest = (right & ~certified).nonzero().squeeze(1)
            if len(rest):
                low, high = (x[rest] - eps).clamp(0, 1), (x[rest] + eps).clamp(0, 1)
                certified[rest] = worst_margins(model.layers, low, high, y[rest]) > 0
            result[eps] = certified
        return result


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and float32 throughout inside a with block, as before afterwards."""
    was_training = model.training
    model.eval()
    try:
        parameter = next(model.parameters(), None)
        with _float32("cpu" if parameter is None else parameter.device.type):
            yield
    finally:
        model.train(was_training)


@contextmanager
def _float32(device: str) -> Iterator[None]:
    """No autocast, no TF32 and no bfloat16 inside float32 products, whatever the settings say."""
    backends: Any = torch.backends  # its typing differs between versions
    products: tuple[object, ...] = (backends.cudnn,)
    name, exact = "allow_tf32", False
    old = not hasattr(backends.cuda.matmul, "fp32_precision")  # before torch 2.9
    if not old:
        name, exact = "fp32_precision", "ieee"  # type: ignore[assignment]
        products = (backends.cuda.matmul, backends.cudnn.conv)
        products += (backends.mkldnn.matmul, backends.mkldnn.conv)
    before = [getattr(product, name) for product in products]
    precision = torch.get_float32_matmul_precision() if old else ""
    try:
        for product in products:
            setattr(product, name, exact)
        if old:
            torch.set_float32_matmul_precision("highest")
        with torch.autocast(device, enabled=False):
            yield
    finally:
        for product, value in zip(products, before, strict=True):
            setattr(product, name, value)
        if old:
            torch.set_float32_matmul_precision(precision)
