"""Projected gradient descent in l-inf, as the upper bound beside every certificate.

Why not a library's: torchattacks pins `requests` to 2020, foolbox brings GitPython, the Adversarial
Robustness Toolbox a whole scikit stack, for a loop of twenty lines; and none knows that the exact
gradient of an order statistic is zero in nearly every pixel, which makes plain PGD look weak.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sortnet.base.units import MAX_UNITS_OF_RADIUS, float32_up, parse_eps
from sortnet.certificate.network import InputSpec
from sortnet.models.network import own_input
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


def inner_ball(x: Tensor, eps: float, input: InputSpec | None = None) -> tuple[Tensor, Tensor]:
    """Ends of a float32 box inside {x' in the box: |x' - x| <= eps unit, in exact arithmetic}.

    It is the largest but for a step or two of the float32 grid.

    Args:
        x: float32 [N, ...] in the box. eps: a float32 > 0.
        input: box and unit; None for images in [0, 1].
    """
    least, most, unit = (
        (torch.zeros_like(x[:1]), torch.ones_like(x[:1]), torch.ones_like(x[:1]))
        if input is None
        else (
            torch.from_numpy(np.array(n)).to(x.device) for n in (input.low, input.high, input.unit)
        )
    )
    reach = eps * unit.double()  # exact: a product of two float32 numbers
    lower, upper = (x.double() - reach).float(), (x.double() + reach).float()
    # Such sums can need more than 53 bits, and were rounded to 24: two steps inward cover both.
    inf = torch.full_like(x, torch.inf)
    lower = torch.maximum(lower.nextafter(inf).nextafter(inf), least)
    upper = torch.minimum(upper.nextafter(-inf).nextafter(-inf), most)
    return torch.minimum(lower, x), torch.maximum(upper, x)


def pgd(
    model: nn.Module | FrozenChain,
    x: Tensor,
    y: Tensor,
    eps: str | float,
    steps: int = 100,
    p: float = 8.0,
    seed: int = 0,
    input: InputSpec | None = None,
) -> Tensor:
    """Search the eps-ball, clipped to the box, for a misclassified point.

    Signed steps on the logit margin, from a random start, with a step that falls from eps / 2 to
    eps / 50; samples already fooled are left alone. Networks of order statistics are attacked
    through `smoothed_logits`, in the second half of the steps with an exponent of 8 p, near the
    exact gradient but still over many pixels.

    Args:
        model: a `CertifiedNet` or `nn.Sequential`, attacked as it is in evaluation mode and left as
            it was; or a `FrozenChain` of one, which saves a copy per call.
        x: float32 [N, ...] in the box. y: int64 [N].
        eps: radius, > 0, of images at most 1; rounded up to float32. steps: at least 1.
        input: box and unit; None for those of a `CertifiedNet`, else for images in [0, 1].

    Returns:
        A point per sample, [N, ...]: misclassified where the search succeeded; exactly inside the
        ball and in the box.

    Raises:
        ValueError: eps or steps out of range.
    """
    input = own_input(model) if input is None and not isinstance(model, FrozenChain) else input
    images = input is None or input.images
    ball = float32_up(parse_eps(eps, 1 if images else MAX_UNITS_OF_RADIUS))
    if steps < 1:
        raise ValueError(f"need steps >= 1, got {steps}")
    chain = model if isinstance(model, FrozenChain) else FrozenChain(model)
    return _search(chain, x, y, ball, steps, p, seed, input)


def _search(
    chain: FrozenChain,
    x: Tensor,
    y: Tensor,
    eps: float,
    steps: int,
    p: float,
    seed: int,
    input: InputSpec | None,
) -> Tensor:
    lower, upper = inner_ball(x, eps, input)
    unit = 1.0 if input is None else torch.from_numpy(np.array(input.unit)).to(x.device)
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
        moved = (point.detach() - size * unit * slope.sign()).clamp(lower[active], upper[active])
        active = active[stands]
        if not len(active):
            break
        result[active] = moved[stands]
    return result
