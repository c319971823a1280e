"""The kernels as PyTorch operators: float32, through the C ABIs, with fake and autograd rules.

`torch.ops.sortnet.*` and the functions of this module are the same thing. They accept
`torch.compile`, `torch.export` and `torch.library.opcheck`; derivatives of derivatives are not
defined. `sortnet.nn.functional` is the public face: it checks less common input and takes float64.
"""

import torch
from torch import Tensor

from sortnet.backend import cuda, native

_DEVICES = ("cpu", "cuda")
# (sample, output, input) triples below which one thread is faster: about 20 microseconds of work.
_WORTH_THREADS = 1 << 18


def _check(x: Tensor, w: Tensor, *others: Tensor) -> None:
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[1]:
        raise ValueError(f"expected x [B, I] and w [O, I], got {list(x.shape)} and {list(w.shape)}")
    for tensor in (x, w, *others):
        if tensor.dtype != torch.float32:
            raise ValueError(f"expected float32 tensors, got {tensor.dtype}")
        if tensor.device != x.device:
            raise ValueError(f"expected tensors on one device, got {x.device} and {tensor.device}")


def _check_p(p: float) -> None:
    if not p >= 1:
        raise ValueError(f"p must be in [1, inf], got {p}")


def _check_masks(
    x: Tensor, w: Tensor, in_mask: Tensor | None, out_mask: Tensor | None, group: int
) -> None:
    if group < 1:
        raise ValueError(f"group must be at least 1 sample, got {group}")
    rows = (x.shape[0] + group - 1) // group
    for name, mask, columns in (
        ("in_mask", in_mask, w.shape[1]),
        ("out_mask", out_mask, w.shape[0]),
    ):
        if mask is not None and (mask.dtype != torch.bool or mask.shape != (rows, columns)):
            raise ValueError(
                f"{name} must be bool [{rows}, {columns}] (one row per {group} samples), "
                f"got {mask.dtype} {list(mask.shape)}"
            )
        if mask is not None and mask.device != x.device:
            raise ValueError(f"{name} must be on {x.device}, got {mask.device}")


def _check_coef(w: Tensor, coef: Tensor) -> None:
    shapes_fit = coef.ndim == 1 or (coef.ndim == 2 and coef.shape[0] == w.shape[0])
    if not shapes_fit or coef.shape[-1] > w.shape[1]:
        raise ValueError(
            f"coef must be [K] or [{w.shape[0]}, K] with K <= {w.shape[1]}, got {list(coef.shape)}"
        )


def _check_interval(lower: Tensor, upper: Tensor) -> None:
    if lower.shape != upper.shape:
        raise ValueError(
            f"lower and upper must have one shape, got {list(lower.shape)} and {list(upper.shape)}"
        )


def _rows(tensor: Tensor) -> Tensor:
    """The tensor itself where the kernels can read it, else a contiguous copy."""
    if tensor.stride(1) == 1 and tensor.stride(0) >= tensor.shape[1]:
        return tensor
    return tensor.contiguous()


def _layer(x: Tensor, w: Tensor) -> native.Layer:
    return native.Layer(w.data_ptr(), w.stride(0), None, x.shape[0], x.shape[1], w.shape[0])


def _masks(in_mask: Tensor | None, out_mask: Tensor | None, group: int) -> native.Masks | None:
    if in_mask is None and out_mask is None:
        return None
    return native.Masks(
        None if in_mask is None else in_mask.data_ptr(),
        None if out_mask is None else out_mask.data_ptr(),
        group,
    )


def _coefficients(coef: Tensor) -> native.Coefficients:
    return native.Coefficients(
        coef.data_ptr(), coef.shape[1] if coef.ndim == 2 else 0, coef.shape[-1]
    )


def _executor(x: Tensor, w: Tensor) -> native.Executor | None:
    """The thread pool, or None (this thread) where waking it would cost more than the work."""
    if x.shape[0] * w.numel() < _WORTH_THREADS:
        return None
    return native.executor(torch.get_num_threads())


def _call(name: str, x: Tensor, w: Tensor, *arguments: object) -> None:
    """Run a kernel on the device of x and w, or queue it on the current stream of a GPU."""
    if x.device.type == "cuda":
        with torch.cuda.device(x.device):
            cuda.call(name, *arguments, torch.cuda.current_stream().cuda_stream)
    else:
        native.call(f"sn_{name}", *arguments, _executor(x, w))


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


@torch.library.custom_op("sortnet::lp_distance", mutates_args=(), device_types=_DEVICES)
def lp_distance(
    x: Tensor, w: Tensor, p: float, in_mask: Tensor | None, out_mask: Tensor | None, group: int
) -> Tensor:
    """y[b, o] = ||x[b] - w[o]||_p over the kept inputs (`sn_lp_forward`).

    Args:
        x: [B, I] float32.
        w: [O, I] float32.
        p: in [1, inf].
        in_mask, out_mask: bool [ceil(B / group), I] and [ceil(B / group), O]; false drops.
        group: samples that share a row of the masks.

    Returns:
        [B, O] float32; 0 where the output is dropped.
    """
    _check(x, w)
    _check_p(p)
    _check_masks(x, w, in_mask, out_mask, group)
    x, w = _rows(x), _rows(w)
    in_mask, out_mask = _contiguous(in_mask), _contiguous(out_mask)
    y = x.new_empty(x.shape[0], w.shape[0])
    _call(
        "lp_forward",
        x,
        w,
        _layer(x, w),
        _masks(in_mask, out_mask, group),
        p,
        x.data_ptr(),
        x.stride(0),
        y.data_ptr(),
        w.shape[0],
    )
    return y


@lp_distance.register_fake
def _(
    x: Tensor, w: Tensor, p: float, in_mask: Tensor | None, out_mask: Tensor | None, group: int
) -> Tensor:
    _check(x, w)
    _check_p(p)
    return x.new_empty(x.shape[0], w.shape[0])


@torch.library.custom_op(
    "sortnet::lp_distance_backward", mutates_args=(), device_types=("cpu", "cuda")
)
def lp_distance_backward(
    x: Tensor,
    w: Tensor,
    p: float,
    in_mask: Tensor | None,
    out_mask: Tensor | None,
    group: int,
    y: Tensor,
    dy: Tensor,
    need_x: bool,
    need_w: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of `lp_distance` for dy [B, O] (`sn_lp_backward`): dx [B, I] and dw [O, I].

    The one that is not needed comes back empty.
    """
    _check(x, w, y, dy)
    _check_p(p)
    _check_masks(x, w, in_mask, out_mask, group)
    x, w, y, dy = _rows(x), _rows(w), _rows(y), _rows(dy)
    in_mask, out_mask = _contiguous(in_mask), _contiguous(out_mask)
    dx = x.new_empty(x.shape if need_x else 0)
    dw = w.new_empty(w.shape if need_w else 0)
    _call(
        "lp_backward",
        x,
        w,
        _layer(x, w),
        _masks(in_mask, out_mask, group),
        p,
        x.data_ptr(),
        x.stride(0),
        y.data_ptr(),
        y.stride(0),
        dy.data_ptr(),
        dy.stride(0),
        dx.data_ptr() if need_x else None,
        x.shape[1],
        dw.data_ptr() if need_w else None,
        w.shape[1],
    )
    return dx, dw


@lp_distance_backward.register_fake
def _(
    x: Tensor,
    w: Tensor,
    p: float,
    in_mask: Tensor | None,
    out_mask: Tensor | None,
    group: int,
    y: Tensor,
    dy: Tensor,
    need_x: bool,
    need_w: bool,
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape if need_x else 0), w.new_empty(w.shape if need_w else 0)


def _lp_setup(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    x, w, ctx.p, in_mask, out_mask, ctx.group = inputs
    ctx.save_for_backward(x, w, in_mask, out_mask, output)


def _lp_backward(ctx, dy: Tensor):  # type: ignore[no-untyped-def]
    x, w, in_mask, out_mask, y = ctx.saved_tensors
    need_x, need_w = ctx.needs_input_grad[:2]
    dx, dw = lp_distance_backward(x, w, ctx.p, in_mask, out_mask, ctx.group, y, dy, need_x, need_w)
    return dx if need_x else None, dw if need_w else None, None, None, None, None


lp_distance.register_autograd(_lp_backward, setup_context=_lp_setup)


@torch.library.custom_op("sortnet::sort_neuron", mutates_args=(), device_types=_DEVICES)
def sort_neuron(x: Tensor, w: Tensor, coef: Tensor) -> Tensor:
    """y[b, o] = sum_k coef_k |x[b] - w[o]|_(k) (`sn_sort_forward`).

    Args:
        x: [B, I] float32.
        w: [O, I] float32.
        coef: [K] shared or [O, K] per neuron, K <= I, float32, any sign.

    Returns:
        [B, O] float32.
    """
    _check(x, w, coef)
    _check_coef(w, coef)
    x, w, coef = _rows(x), _rows(w), coef.contiguous()
    y = x.new_empty(x.shape[0], w.shape[0])
    _call(
        "sort_forward",
        x,
        w,
        _layer(x, w),
        _coefficients(coef),
        x.data_ptr(),
        x.stride(0),
        y.data_ptr(),
        w.shape[0],
    )
    return y


@sort_neuron.register_fake
def _(x: Tensor, w: Tensor, coef: Tensor) -> Tensor:
    _check(x, w, coef)
    _check_coef(w, coef)
    return x.new_empty(x.shape[0], w.shape[0])


@torch.library.custom_op(
    "sortnet::sort_neuron_backward", mutates_args=(), device_types=("cpu", "cuda")
)
def sort_neuron_backward(
    x: Tensor, w: Tensor, coef: Tensor, dy: Tensor, need_x: bool, need_w: bool, need_coef: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `sort_neuron` (`sn_sort_backward`): dx [B, I], dw [O, I], dcoef [O, K].

    Those that are not needed come back empty. dcoef is per neuron, also for a shared row.
    """
    _check(x, w, coef, dy)
    _check_coef(w, coef)
    x, w, coef, dy = _rows(x), _rows(w), coef.contiguous(), _rows(dy)
    dx = x.new_empty(x.shape if need_x else 0)
    dw = w.new_empty(w.shape if need_w else 0)
    dcoef = w.new_empty((w.shape[0], coef.shape[-1]) if need_coef else 0)
    _call(
        "sort_backward",
        x,
        w,
        _layer(x, w),
        _coefficients(coef),
        x.data_ptr(),
        x.stride(0),
        dy.data_ptr(),
        dy.stride(0),
        dx.data_ptr() if need_x else None,
        x.shape[1],
        dw.data_ptr() if need_w else None,
        w.shape[1],
        dcoef.data_ptr() if need_coef else None,
    )
    return dx, dw, dcoef


@sort_neuron_backward.register_fake
def _(
    x: Tensor, w: Tensor, coef: Tensor, dy: Tensor, need_x: bool, need_w: bool, need_coef: bool
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        x.new_empty(x.shape if need_x else 0),
        w.new_empty(w.shape if need_w else 0),
        w.new_empty((w.shape[0], coef.shape[-1]) if need_coef else 0),
    )


def _sort_setup(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _sort_backward(ctx, dy: Tensor):  # type: ignore[no-untyped-def]
    x, w, coef = ctx.saved_tensors
    need = ctx.needs_input_grad
    dx, dw, dcoef = sort_neuron_backward(x, w, coef, dy, *need)
    if need[2] and coef.ndim == 1:
        dcoef = dcoef.sum(0)
    return dx if need[0] else None, dw if need[1] else None, dcoef if need[2] else None


sort_neuron.register_autograd(_sort_backward, setup_context=_sort_setup)


@torch.library.custom_op(
    "sortnet::lp_distance_bounds", mutates_args=(), device_types=("cpu", "cuda")
)
def lp_distance_bounds(lower: Tensor, upper: Tensor, w: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """Bounds of ||x - w||_p for all real x in [lower, upper], rounded outward (`sn_lp_bounds`).

    Args:
        lower, upper: [B, I] float32.
        w: [O, I] float32.
        p: in [1, inf].

    Returns:
        Two [B, O] float32 tensors; -inf and +inf where lower > upper or anything is NaN.
    """
    _check(lower, w, upper)
    _check_interval(lower, upper)
    _check_p(p)
    lower, upper, w = lower.contiguous(), upper.contiguous(), _rows(w)
    y_lower = lower.new_empty(lower.shape[0], w.shape[0])
    y_upper = torch.empty_like(y_lower)
    _call(
        "lp_bounds",
        lower,
        w,
        _layer(lower, w),
        p,
        lower.data_ptr(),
        upper.data_ptr(),
        lower.shape[1],
        y_lower.data_ptr(),
        y_upper.data_ptr(),
        w.shape[0],
    )
    return y_lower, y_upper


@lp_distance_bounds.register_fake
def _(lower: Tensor, upper: Tensor, w: Tensor, p: float) -> tuple[Tensor, Tensor]:
    _check(lower, w, upper)
    _check_interval(lower, upper)
    _check_p(p)
    shape = (lower.shape[0], w.shape[0])
    return lower.new_empty(shape), lower.new_empty(shape)


@torch.library.custom_op(
    "sortnet::sort_neuron_bounds", mutates_args=(), device_types=("cpu", "cuda")
)
def sort_neuron_bounds(
    lower: Tensor, upper: Tensor, w: Tensor, coef: Tensor
) -> tuple[Tensor, Tensor]:
    """Bounds of the sort neuron for real x in [lower, upper], outward (`sn_sort_bounds`).

    Args:
        lower, upper: [B, I] float32.
        w: [O, I] float32.
        coef: [K] or [O, K] float32, any sign.

    Returns:
        Two [B, O] float32 tensors; -inf and +inf where lower > upper or anything is NaN.
    """
    _check(lower, w, upper, coef)
    _check_interval(lower, upper)
    _check_coef(w, coef)
    lower, upper, w, coef = lower.contiguous(), upper.contiguous(), _rows(w), coef.contiguous()
    y_lower = lower.new_empty(lower.shape[0], w.shape[0])
    y_upper = torch.empty_like(y_lower)
    _call(
        "sort_bounds",
        lower,
        w,
        _layer(lower, w),
        _coefficients(coef),
        lower.data_ptr(),
        upper.data_ptr(),
        lower.shape[1],
        y_lower.data_ptr(),
        y_upper.data_ptr(),
        w.shape[0],
    )
    return y_lower, y_upper


@sort_neuron_bounds.register_fake
def _(lower: Tensor, upper: Tensor, w: Tensor, coef: Tensor) -> tuple[Tensor, Tensor]:
    _check(lower, w, upper, coef)
    _check_interval(lower, upper)
    _check_coef(w, coef)
    shape = (lower.shape[0], w.shape[0])
    return lower.new_empty(shape), lower.new_empty(shape)


# Automatic mixed precision must never reach a certificate: these operators always run in float32.
for _device in _DEVICES:
    for _op in (lp_distance, sort_neuron, lp_distance_bounds, sort_neuron_bounds):
        _op.register_autocast(_device, torch.float32)
