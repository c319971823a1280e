"""Functional twins of the layers: float32 on kernels, float64 on `sortnet.backend.reference`.

All neurons read absolute differences a_i = |x_i - w_i|; a_(k) is the k-th largest of them.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sortnet.backend import ops, reference


def _flat(x: Tensor, weight: Tensor) -> Tensor:
    if weight.ndim != 2:
        raise ValueError(f"weight must be [out_features, in_features], got {list(weight.shape)}")
    if x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"expected input [..., {weight.shape[1]}] for this weight, got {list(x.shape)}"
        )
    return x.reshape(-1, x.shape[-1])


def _native(*tensors: Tensor) -> bool:
    """Whether the kernels compute this: all but float64 (float16 and the like raise there)."""
    return any(tensor.dtype != torch.float64 for tensor in tensors)


def lp_distance(
    x: Tensor,
    weight: Tensor,
    p: float = math.inf,
    in_mask: Tensor | None = None,
    out_mask: Tensor | None = None,
    group: int = 32,
) -> Tensor:
    """||x - w_o||_p for every neuron o: the l_p-distance neuron (p = inf: l-inf-distance net).

    Args:
        x: [..., I], float32 or float64; leading dimensions are flattened to B samples.
        weight: [O, I].
        p: in [1, inf].
        in_mask: bool [ceil(B / group), I], inputs kept by each group of samples; None keeps all.
        out_mask: bool [ceil(B / group), O], outputs computed; the others are 0.
        group: samples per mask row, at least 1.

    Returns:
        [..., O].

    Raises:
        ValueError: shapes, dtypes or p do not fit.
    """
    if not p >= 1:
        raise ValueError(f"p must be in [1, inf], got {p}")
    flat = _flat(x, weight)
    native = _native(x, weight)
    if not native:
        ops.check_lp(flat, weight, p, in_mask, out_mask, group, torch.float64)
    run = ops.lp_distance if native else reference.lp_distance
    return run(flat, weight, p, in_mask, out_mask, group).reshape(*x.shape[:-1], len(weight))


def sort_linear(
    x: Tensor, weight: Tensor, coefficients: Tensor, bias: Tensor | None = None
) -> Tensor:
    """sum_k c_k |x - w_o|_(k) (+ bias_o): the SortNet neuron (paper, SortNet).

    1-Lipschitz in l-inf where sum_k |c_k| <= 1.

    Args:
        x: [..., I], float32 or float64.
        weight: [O, I].
        coefficients: [K] shared by all neurons, or [O, K]; K <= I; any sign.
        bias: [O] or None.

    Returns:
        [..., O].

    Raises:
        ValueError: shapes or dtypes do not fit.
    """
    flat = _flat(x, weight)
    if coefficients.shape[-1] > weight.shape[1]:
        raise ValueError(
            f"{coefficients.shape[-1]} coefficients for {weight.shape[1]} inputs: "
            "there are only as many order statistics as inputs"
        )
    native = _native(x, weight, coefficients)
    if not native:
        ops.check_sort(flat, weight, coefficients, dtype=torch.float64)
    run = ops.sort_neuron if native else reference.sort_neuron
    y = run(flat, weight, coefficients).reshape(*x.shape[:-1], len(weight))
    return y if bias is None else y + bias


def lp_distance_bounds(
    lower: Tensor, upper: Tensor, weight: Tensor, p: float = math.inf
) -> tuple[Tensor, Tensor]:
    """Interval bounds of `lp_distance` for x in [lower, upper]; float32 bounds are rounded outward.

    Args:
        lower, upper: [..., I] with lower <= upper.
        weight: [O, I].
        p: in [1, inf].

    Returns:
        Lower and upper bounds, each [..., O]; -inf and inf where lower > upper or anything is NaN.

    Raises:
        ValueError: shapes, dtypes or p do not fit.
    """
    below, above = _flat(lower, weight), _flat(upper, weight)
    native = _native(lower, upper, weight)
    if not native:
        ops.check_lp_bounds(below, above, weight, p, torch.float64)
    run = ops.lp_distance_bounds if native else reference.lp_distance_bounds
    low, high = run(below, above, weight, p)
    shape = (*lower.shape[:-1], len(weight))
    return low.reshape(shape), high.reshape(shape)


def sort_linear_bounds(
    lower: Tensor,
    upper: Tensor,
    weight: Tensor,
    coefficients: Tensor,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Interval bounds of `sort_linear` for x in [lower, upper].

    In float32 the order-statistic part is rounded outward; adding a bias rounds to nearest.

    Args:
        lower, upper: [..., I] with lower <= upper.
        weight: [O, I].
        coefficients: [K] or [O, K].
        bias: [O] or None.

    Returns:
        Lower and upper bounds, each [..., O]; -inf and inf where lower > upper or anything is NaN.

    Raises:
        ValueError: shapes or dtypes do not fit.
    """
    below, above = _flat(lower, weight), _flat(upper, weight)
    native = _native(lower, upper, weight, coefficients)
    if not native:
        ops.check_sort_bounds(below, above, weight, coefficients, torch.float64)
    run = ops.sort_neuron_bounds if native else reference.sort_neuron_bounds
    low, high = run(below, above, weight, coefficients)
    shape = (*lower.shape[:-1], len(weight))
    low, high = low.reshape(shape), high.reshape(shape)
    return (low, high) if bias is None else (low + bias, high + bias)


def unfold_patches(
    x: Tensor, kernel_size: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
) -> tuple[Tensor, tuple[int, ...]]:
    """Zero-padded patches of signals or images, and how many there are along each dimension.

    Args:
        x: [N, C, T] for one entry in each tuple, [N, C, H, W] for two.
        kernel_size, stride, padding: per dimension.

    Returns:
        Patches [N, P, C k] or [N, P, C kh kw], channel first; their grid, P entries in all.

    Raises:
        ValueError: not a batch of signals or images, or the kernel does not fit in.
    """
    what = "signals [N, C, T]" if len(kernel_size) == 1 else "images [N, C, H, W]"
    if x.ndim != len(kernel_size) + 2:
        raise ValueError(f"expected {what}, got {list(x.shape)}")
    grid = patch_grid(tuple(x.shape[2:]), kernel_size, stride, padding)
    if min(grid) < 1:
        raise ValueError(
            f"kernel {kernel_size} does not fit into {what.split()[0]} {list(x.shape[2:])} "
            f"padded by {padding}"
        )
    if len(kernel_size) == 1:
        patches = F.unfold(x[:, :, None], (1, *kernel_size), (1, 1), (0, *padding), (1, *stride))
    else:
        patches = F.unfold(x, kernel_size, padding=padding, stride=stride)
    return patches.transpose(1, 2), grid


def patch_grid(
    size: tuple[int, ...],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
) -> tuple[int, ...]:
    """Patches along each dimension of signals or images of a size; below 1 where none fits."""
    return tuple(
        (length + 2 * pad - kernel) // step + 1
        for length, kernel, step, pad in zip(size, kernel_size, stride, padding, strict=True)
    )


def fold_outputs(y: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Neuron outputs per patch back to signals or images: [N, P, O] -> [N, O, *grid]."""
    return y.transpose(1, 2).reshape(y.shape[0], y.shape[2], *grid)


def running_max(x: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """Largest entries of all windows inside x, over its last dimensions.

    By maxima of slices, of which a window of length k takes about log2 k: on CPUs several times
    faster than max pooling.

    Args:
        x: [..., L_1, ..., L_d].
        lengths: k_i of the windows along the last d dimensions, in [1, L_i].

    Returns:
        [..., L_1 - k_1 + 1, ..., L_d - k_d + 1].

    Raises:
        ValueError: a window does not fit in.
    """
    if len(lengths) > x.ndim or any(
        not 1 <= k <= size
        for k, size in zip(lengths, x.shape[x.ndim - len(lengths) :], strict=False)
    ):
        raise ValueError(f"windows {lengths} do not fit into {list(x.shape)}")
    for axis, length in enumerate(lengths, x.ndim - len(lengths)):
        seen = 1  # the maxima of so many entries each
        while seen < length:
            step = min(seen, length - seen)
            rest = x.shape[axis] - step
            x = torch.maximum(x.narrow(axis, 0, rest), x.narrow(axis, step, rest))
            seen += step
    return x


def group_sort(x: Tensor, group: int) -> Tensor:
    """Sort every `group` neighbouring units in descending order (GroupSort; MaxMin for 2).

    Args:
        x: [..., F] with F divisible by group.
        group: at least 1.

    Raises:
        ValueError: group does not divide the number of units.
    """
    if group < 1 or x.ndim < 1 or x.shape[-1] % group:
        units = x.shape[-1] if x.ndim else 0
        raise ValueError(f"a group size of {group} does not divide {units} units")
    if group == 2:
        first, second = x[..., 0::2], x[..., 1::2]
        pairs = torch.stack((torch.maximum(first, second), torch.minimum(first, second)), -1)
        return pairs.flatten(-2)
    groups = x.reshape(*x.shape[:-1], x.shape[-1] // group, group)
    return groups.sort(dim=-1, descending=True)[0].flatten(-2)


def max_min(x: Tensor) -> Tensor:
    """`group_sort` with groups of 2: (max, min) of every pair of units."""
    return group_sort(x, 2)


def project_rows(weight: Tensor) -> Tensor:
    """Scale rows so that the exact sum of the absolute values of each result row is at most 1.

    Rows well inside are returned as they are; the others land within 2^-19 of 1. Differentiable.
    The slack of 2^-20 covers the roundings of the scaled entries (2^-24 each, relative).

    Args:
        weight: [..., I], float32 or float64.

    Raises:
        ValueError: another dtype.
    """
    if weight.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"expected float32 or float64 weights, got {weight.dtype}: rounded to half precision "
            "a row could exceed 1; call .float()"
        )
    limit = 1 - 2.0**-20
    sums = weight.abs().sum(-1, keepdim=True, dtype=torch.float64)
    # In float64, where the factor of a huge row cannot underflow.
    return (weight * (limit / sums.clamp_min(limit))).to(weight.dtype)


def linear_bounds(
    lower: Tensor, upper: Tensor, weight: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Interval bounds of F.linear for x in [lower, upper], rounded to nearest."""
    positive, negative = weight.clamp_min(0), weight.clamp_max(0)
    return (
        F.linear(lower, positive, bias) + F.linear(upper, negative),
        F.linear(upper, positive, bias) + F.linear(lower, negative),
    )
