"""Projected gradient descent in l-inf, as the upper bound beside every certificate.

Why not a library's: torchattacks pins `requests` to 2020, foolbox brings GitPython, the Adversarial
Robustness Toolbox a whole scikit stack, for a loop of twenty lines; and none knows that the exact
gradient of an order statistic is zero in nearly every pixel, which makes plain PGD look weak.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sortnet.base.units import float32_up, parse_eps
from sortnet.nn.known import layer_smoothed

from .frozen import FrozenChain
from .margins import margins


def smoothed_logits(chain: FrozenChain, x: Tensor, p: float) -> Tensor:
    """Logits whose gradient is that of l_p distances instead of order statistics.

    Args:
        chain: a model as it is in evaluation.
        x: [N, ...].
        p: finite exponent of the smooth backward pass; the smaller, the more features move.

    Returns:
        [N, K]; the values are those of the layers in evaluation mode.
    """
    for layer in chain.layers:
        x = layer_smoothed(layer, x, p)
    return x


def inner_ball(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Ends of the largest float32 box inside {x' in [0, 1]: |x' - x| <= eps in exact arithmetic}.

    Args:
        x: float32 in [0, 1], any shape. eps: > 0.
    """
    low, high = (x.double() - eps).clamp_min(0), (x.double() + eps).clamp_max(1)
    lower, upper = low.float(), high.float()
    # Sums of two float32 numbers can need more than 53 bits: a step inward covers that rounding.
    lower = torch.where(lower.double() <= low, lower.nextafter(torch.ones_like(x)), lower)
    upper = torch.where(upper.double() >= high, upper.nextafter(torch.zeros_like(x)), upper)
    ends = torch.where(low == 0, 0.0, lower), torch.where(high == 1, 1.0, upper)
    return torch.minimum(ends[0], x), torch.maximum(ends[1], x)


def pgd(
    model: nn.Module | FrozenChain,
    x: Tensor,
    y: Tensor,
    eps: str | float,
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
        model: a `CertifiedNet` or `nn.Sequential`, attacked as it is in evaluation mode and left as
            it was; or a `FrozenChain` of one, which saves a copy per call.
        x: float32 [N, C, H, W] in [0, 1]. y: int64 [N].
        eps: radius in pixels, in (0, 1]; rounded up to float32. steps: at least 1.

    Returns:
        A point per sample, [N, C, H, W]: misclassified where the search succeeded; exactly inside
        the ball and in [0, 1].

    Raises:
        ValueError: eps or steps out of range.
    """
    ball = float32_up(parse_eps(eps))
    if steps < 1:
        raise ValueError(f"need steps >= 1, got {steps}")
    chain = model if isinstance(model, FrozenChain) else FrozenChain(model)
    return _search(chain, x, y, ball, steps, p, seed)


def _search(
    chain: FrozenChain, x: Tensor, y: Tensor, eps: float, steps: int, p: float, seed: int
) -> Tensor:
    lower, upper = inner_ball(x, eps)
    with torch.no_grad():
        active = (chain.logits(x).argmax(1) == y).nonzero()[:, 0]
    generator = torch.Generator(device=x.device).manual_seed(seed)
    noise = torch.rand(x.shape, generator=generator, device=x.device)
    result = x.clone()
    result[active] = (lower + noise * (upper - lower)).clamp(lower, upper)[active]
    smooth = any(hasattr(layer, "smoothed") for layer in chain.layers)
    for step in range(steps):
        point = result[active].requires_grad_()
        with torch.enable_grad():
            exponent = p if step < (steps + 1) // 2 else 8 * p
            logits = smoothed_logits(chain, point, exponent) if smooth else chain.logits(point)
            (slope,) = torch.autograd.grad(margins(logits, y[active]).sum(), point)
        stands = logits.detach().argmax(1) == y[active]
        size = eps * 0.5 * 0.04 ** (step / max(steps - 1, 1))
        moved = (point.detach() - size * slope.sign()).clamp(lower[active], upper[active])
        active = active[stands]
        if not len(active):
            break
        result[active] = moved[stands]
    return result
