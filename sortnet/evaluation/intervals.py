"""Interval bounds of logit differences through a chain of layers, differentiable for training."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sortnet.models import layer_bounds
from sortnet.nn import LipschitzLinear


def margin_bounds(
    layers: Iterable[nn.Module], lower: Tensor, upper: Tensor, label: Tensor
) -> Tensor:
    """Lower bounds of logit[label] - logit[j] for inputs of a chain in [lower, upper].

    A final affine layer is bounded on differences of its rows, which is tighter than on logits.
    Differentiable through affine layers and elementwise functions; affine layers round to nearest.

    Args:
        layers: a chain that ends in logits; sort layers are used as in evaluation.
        lower, upper: bounds of its input, [N, ...].
        label: int64 [N].

    Returns:
        [N, K]; 0 where j is the label.
    """
    *body, last = layers
    affine = affine_parameters(last)
    for layer in body:
        lower, upper = layer_bounds(layer, lower, upper)
    if affine is None:
        lower, upper = layer_bounds(last, lower, upper)
        worst = lower.gather(1, label[:, None]) - upper
        return worst.scatter(1, label[:, None], 0)
    return affine_margins(*affine, lower, upper, label)


def affine_margins(
    weight: Tensor, bias: Tensor | None, lower: Tensor, upper: Tensor, label: Tensor
) -> Tensor:
    """`margin_bounds` of one affine layer, on differences of its rows: [N, K].

    Args:
        weight: [K, H]. bias: [K] or None. lower, upper: bounds of its input, [N, H].
        label: int64 [N].
    """
    difference = weight[label][:, None, :] - weight[None]
    worst = torch.einsum("nkh,nh->nk", difference.clamp_min(0), lower) + torch.einsum(
        "nkh,nh->nk", difference.clamp_max(0), upper
    )
    return worst if bias is None else worst + bias[label][:, None] - bias


def affine_parameters(layer: nn.Module) -> tuple[Tensor, Tensor | None] | None:
    """Weight [O, I] and bias [O] of an affine layer, or None."""
    if isinstance(layer, LipschitzLinear):
        return layer.projected_weight(), layer.bias
    return (layer.weight, layer.bias) if isinstance(layer, nn.Linear) else None
