"""Slow, obvious PyTorch versions of every kernel: what tests compare with; the float64 path.

Shapes as in the C ABI: x [B, I], w [O, I], masks bool [ceil(B / group), I or O], y [B, O].
They differentiate by autograd and hold the B x O x I differences in memory.
"""

import math

import torch
from torch import Tensor


def differences(x: Tensor, w: Tensor) -> Tensor:
    """|x - w| per sample and neuron, [B, O, I]."""
    return (x[:, None, :] - w[None, :, :]).abs()


def _per_sample(mask: Tensor, group: int, batch: int) -> Tensor:
    return mask.repeat_interleave(group, dim=0)[:batch]


def _norm(a: Tensor, p: float) -> Tensor:
    """l_p norm of a >= 0 over the last dimension; gradient 0 at 0, to the first maximum at inf."""
    if a.shape[-1] == 0:
        return a.sum(-1)
    largest = a.amax(-1, keepdim=True)
    if math.isinf(p):
        first = (a == largest).to(torch.int8).argmax(-1, keepdim=True)
        return torch.where(largest.isnan(), largest, a.gather(-1, first)).squeeze(-1)
    scale = torch.where(largest > 0, largest, torch.ones_like(largest)).detach()
    ratio = a / scale
    # d(r^p)/dr at r = 0 is 0 but 0^(p-1) of pow's backward is fine only for p > 1; mask zeros.
    power = torch.where(ratio > 0, ratio, torch.ones_like(ratio)) ** p
    total = torch.where(ratio > 0, power, torch.where(ratio.isnan(), ratio, 0 * ratio)).sum(-1)
    positive = total > 0
    root = torch.where(positive, total, torch.ones_like(total)) ** (1 / p) * scale.squeeze(-1)
    return torch.where(positive, root, torch.where(total.isnan(), total, 0 * total))


def lp_distance(
    x: Tensor,
    w: Tensor,
    p: float,
    in_mask: Tensor | None = None,
    out_mask: Tensor | None = None,
    group: int = 32,
) -> Tensor:
    """||x - w||_p over the kept inputs; dropped outputs are 0. See `sn_lp_forward`."""
    a = differences(x, w)
    if in_mask is not None:
        keep = _per_sample(in_mask, group, x.shape[0])[:, None, :]
        a = torch.where(keep, a, torch.zeros_like(a))
    y = _norm(a, p)
    if out_mask is not None:
        y = torch.where(_per_sample(out_mask, group, x.shape[0]), y, torch.zeros_like(y))
    return y


def sort_neuron(x: Tensor, w: Tensor, coef: Tensor) -> Tensor:
    """sum_k coef_k |x - w|_(k); coef [K] shared or [O, K]. See `sn_sort_forward`."""
    if coef.shape[-1] == 0:
        return (x @ w.T) * 0
    a, _ = differences(x, w).sort(dim=-1, descending=True, stable=True)
    y = torch.zeros_like(a[..., 0])
    for k in reversed(range(coef.shape[-1])):
        y = y + coef[..., k] * a[..., k]
    return y


def lp_distance_jvp(
    x: Tensor,
    w: Tensor,
    p: float,
    in_mask: Tensor | None,
    out_mask: Tensor | None,
    group: int,
    dx: Tensor | None,
    dw: Tensor | None,
) -> Tensor:
    """Forward-mode derivative of `lp_distance` along dx [B, I] and dw [O, I], None for 0: [B, O].

    sum_i (a_i / y)^(p - 1) sign(x_i - w_i) (dx_i - dw_i), and the first largest term for p = inf.
    """
    signed = x[:, None, :] - w[None, :, :]
    a = signed.abs()
    if in_mask is not None:
        a = torch.where(_per_sample(in_mask, group, x.shape[0])[:, None, :], a, 0)
    if a.shape[-1] == 0:
        return a.sum(-1)
    y = _norm(a, p)[..., None]
    if math.isinf(p):
        first = (a == a.amax(-1, keepdim=True)).to(torch.int8).argmax(-1, keepdim=True)
        slope = torch.zeros_like(a).scatter(-1, first, 1)
    else:
        slope = (a / torch.where(y > 0, y, 1)) ** (p - 1)
        slope = torch.where(a > 0, slope, torch.where(a.isnan(), a, 0))
    dy = (slope * signed.sign() * _moved(dx, dw)).sum(-1)
    if out_mask is not None:
        dy = torch.where(_per_sample(out_mask, group, x.shape[0]), dy, 0)
    return dy


def sort_neuron_jvp(
    x: Tensor,
    w: Tensor,
    coef: Tensor,
    dx: Tensor | None,
    dw: Tensor | None,
    dcoef: Tensor | None,
) -> Tensor:
    """Forward-mode derivative of `sort_neuron`: the selected terms' signs times their tangents.

    Args:
        x, w, coef: as in `sort_neuron`.
        dx, dw, dcoef: tangents of their shapes, None for 0.

    Returns:
        [B, O].
    """
    signed = x[:, None, :] - w[None, :, :]
    a, order = signed.abs().sort(dim=-1, descending=True, stable=True)
    a, order = a[..., : coef.shape[-1]], order[..., : coef.shape[-1]]
    dy = (0 * a).sum(-1)
    if dx is not None or dw is not None:
        tangents = (signed.sign() * _moved(dx, dw)).gather(-1, order)
        dy = dy + (coef * tangents).sum(-1)
    return dy if dcoef is None else dy + (dcoef * a).sum(-1)


def _moved(dx: Tensor | None, dw: Tensor | None) -> Tensor | float:
    """Tangent of x - w, [B, O, I]."""
    if dx is None:
        return 0.0 if dw is None else -dw[None, :, :]
    return dx[:, None, :] if dw is None else dx[:, None, :] - dw[None, :, :]


def interval_differences(lower: Tensor, upper: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest |x - w| for x in [lower, upper], each [B, O, I]."""
    below = lower[:, None, :] - w
    above = w - upper[:, None, :]
    return torch.maximum(below, above).clamp_min(0), torch.maximum(-below, -above).clamp_min(0)


def lp_distance_bounds(lower: Tensor, upper: Tensor, w: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """Bounds of the l_p distance, rounded to nearest. See `sn_lp_bounds` (which rounds outward)."""
    near, far = interval_differences(lower, upper, w)
    return _sound(lower, upper, _norm(near, p), _norm(far, p))


def sort_neuron_bounds(
    lower: Tensor, upper: Tensor, w: Tensor, coef: Tensor
) -> tuple[Tensor, Tensor]:
    """Bounds of the sort neuron, rounded to nearest (`sn_sort_bounds` rounds outward)."""
    near, far = interval_differences(lower, upper, w)
    near, far = near.sort(-1, descending=True)[0], far.sort(-1, descending=True)[0]
    near, far = near[..., : coef.shape[-1]], far[..., : coef.shape[-1]]
    positive, negative = coef.clamp_min(0), coef.clamp_max(0)
    low = (positive * near + negative * far).sum(-1)
    high = (positive * far + negative * near).sum(-1)
    return _sound(lower, upper, low, high)


def _sound(lower: Tensor, upper: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds that say nothing where an interval is empty or anything is not a number."""
    nothing = ~(lower <= upper).all(-1, keepdim=True) | low.isnan() | high.isnan()
    return low.masked_fill(nothing, -math.inf), high.masked_fill(nothing, math.inf)
