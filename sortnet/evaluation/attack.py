"""Projected gradient descent in l-inf, as the upper bound beside every certificate.

Why not a library's: torchattacks pins `requests` to 2020, foolbox brings GitPython, the Adversarial
Robustness Toolbox a whole scikit stack, for a loop of twenty lines; and none knows that the exact
gradient of an order statistic is zero in nearly every pixel, which makes plain PGD look weak.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sortnet.models.net import CertifiedNet
from sortnet.nn import SortConv2d, SortLinear
from sortnet.nn import functional as F
from sortnet.training.losses import margins


class _SmoothBackward(torch.autograd.Function):
    """Value of the first argument, gradient of the second."""

    @staticmethod
    def forward(ctx, exact: Tensor, smooth: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return exact.clone()

    @staticmethod
    def backward(ctx, dy: Tensor):  # type: ignore[no-untyped-def]
        return None, dy


def smoothed_logits(model: CertifiedNet, x: Tensor, p: float) -> Tensor:
    """Evaluation logits whose gradient is that of l_p distances instead of order statistics.

    Args:
        model: a `CertifiedNet` in evaluation mode.
        x: [N, C, H, W].
        p: finite exponent of the smooth backward pass; the smaller, the more pixels move.

    Returns:
        [N, K]; the values are those of `model(x)`.
    """
    for layer in model.layers:
        if not isinstance(layer, SortLinear | SortConv2d):
            x = layer(x)
            continue
        with torch.no_grad():
            exact = layer(x)
        if isinstance(layer, SortLinear):
            smooth = F.lp_distance(x, layer.weight, p)
        else:
            patches, grid = F.unfold_patches(x, layer.kernel_size, layer.stride, layer.padding)
            smooth = F.fold_outputs(F.lp_distance(patches, layer.weight, p), grid)
        x = _SmoothBackward.apply(exact, smooth)
    return x


def pgd(
    model: CertifiedNet,
    x: Tensor,
    y: Tensor,
    eps: float,
    steps: int = 100,
    p: float = 8.0,
    seed: int = 0,
) -> Tensor:
    """Search the eps-ball, clipped to [0, 1], for a misclassified point.

    Signed steps on the logit margin, from a random start, with a step that falls from eps / 2 to
    eps / 50; samples already fooled are left alone. Networks of order statistics are attacked
    through `smoothed_logits`, in the second half of the steps with an exponent of 8 p, near the
    exact gradient but still over many pixels.

    Args:
        model: a `CertifiedNet`; used in evaluation mode and left as it was.
        x: [N, C, H, W] in [0, 1]. y: int64 [N].
        eps: radius in pixels, > 0. steps: at least 1.

    Returns:
        A point per sample, [N, C, H, W]: misclassified where the search succeeded; in the ball (up
        to one rounding in float32) and in [0, 1].

    Raises:
        ValueError: eps or steps out of range.
    """
    if not eps > 0 or steps < 1:
        raise ValueError(f"need eps > 0 and steps >= 1, got {eps} and {steps}")
    was_training = model.training
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        return _search(model, x, y, eps, steps, p, seed)
    finally:
        model.train(was_training)
        for parameter, flag in zip(model.parameters(), wanted, strict=True):
            parameter.requires_grad_(flag)


def _search(
    model: CertifiedNet, x: Tensor, y: Tensor, eps: float, steps: int, p: float, seed: int
) -> Tensor:
    lower, upper = (x - eps).clamp(0, 1), (x + eps).clamp(0, 1)
    with torch.no_grad():
        active = (model(x).argmax(1) == y).nonzero()[:, 0]
    generator = torch.Generator(device=x.device).manual_seed(seed)
    noise = torch.rand(x.shape, generator=generator, device=x.device)
    result = x.clone()
    result[active] = (lower + noise * (upper - lower)).clamp(lower, upper)[active]
    smooth = any(isinstance(layer, SortLinear | SortConv2d) for layer in model.layers)
    for step in range(steps):
        point = result[active].requires_grad_()
        with torch.enable_grad():
            exponent = p if step < (steps + 1) // 2 else 8 * p
            logits = smoothed_logits(model, point, exponent) if smooth else model(point)
            (slope,) = torch.autograd.grad(margins(logits, y[active]).sum(), point)
        stands = logits.detach().argmax(1) == y[active]
        size = eps * 0.5 * 0.04 ** (step / max(steps - 1, 1))
        moved = (point.detach() - size * slope.sign()).clamp(lower[active], upper[active])
        active = active[stands]
        if not len(active):
            break
        result[active] = moved[stands]
    return result
