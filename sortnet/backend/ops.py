"""The kernels as PyTorch operators: float32, through the C ABIs, with fake and autograd rules.

`torch.ops.sortnet.*` are what the functions of this module call: they accept `torch.compile`,
`torch.export`, `torch.library.opcheck`, and derivatives in both modes; derivatives of derivatives
are not defined. The functions also accept the transforms of `torch.func`, which an operator cannot.
`sortnet.nn.functional` is the public face: it checks less common input and takes float64.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

from sortnet.backend import cuda, native, reference

_DEVICES = ("cpu", "cuda")
_LIBRARY: Any = cast(Any, torch.library.Library)("sortnet", "FRAGMENT")
# (sample, output, input) triples below which one thread is faster: about 20 microseconds of work.
_WORTH_THREADS = 1 << 18


def _check(dtype: torch.dtype, x: Tensor, w: Tensor, *others: Tensor) -> None:
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[1]:
        raise ValueError(f"expected x [B, I] and w [O, I], got {list(x.shape)} and {list(w.shape)}")
    tensors = (x, w, *others)
    for tensor in tensors:
        if tensor.dtype != dtype:
            found = " and ".join(sorted({str(tensor.dtype) for tensor in tensors}))
            raise ValueError(
                f"expected float32 tensors (or float64, all of one dtype), got {found}: "
                "call .float()"
            )
        if tensor.device != x.device:
            raise ValueError(f"expected tensors on one device, got {x.device} and {tensor.device}")


def _check_p(p: float) -> None:
    if not p >= 1:
        raise ValueError(f"p must be in [1, inf], got {p}")


def check_lp(
    x: Tensor,
    w: Tensor,
    p: float,
    in_mask: Tensor | None,
    out_mask: Tensor | None,
    group: int,
    dtype: torch.dtype = torch.float32,
) -> None:
    """What `lp_distance` asks of its arguments; `dtype` float64 for the reference.

    Raises:
        ValueError: shapes, dtypes, devices, p, masks or group do not fit.
    """
    _check(dtype, x, w)
    _check_p(p)
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


def check_sort(
    x: Tensor, w: Tensor, coef: Tensor, *others: Tensor, dtype: torch.dtype = torch.float32
) -> None:
    """What `sort_neuron` asks of its arguments; `dtype` float64 for the reference.

    Raises:
        ValueError: shapes, dtypes or devices do not fit.
    """
    _check(dtype, x, w, coef, *others)
    shapes_fit = coef.ndim == 1 or (coef.ndim == 2 and coef.shape[0] == w.shape[0])
    if not shapes_fit or coef.shape[-1] > w.shape[1]:
        raise ValueError(
            f"coef must be [K] or [{w.shape[0]}, K] with K <= {w.shape[1]}, got {list(coef.shape)}"
        )


def check_lp_bounds(
    lower: Tensor, upper: Tensor, w: Tensor, p: float, dtype: torch.dtype = torch.float32
) -> None:
    """What `lp_distance_bounds` asks of its arguments; as `check_lp`."""
    _check(dtype, lower, w, upper)
    _check_interval(lower, upper)
    _check_p(p)


def check_sort_bounds(
    lower: Tensor, upper: Tensor, w: Tensor, coef: Tensor, dtype: torch.dtype = torch.float32
) -> None:
    """What `sort_neuron_bounds` asks of its arguments; as `check_sort`."""
    check_sort(lower, w, coef, upper, dtype=dtype)
    _check_interval(lower, upper)


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


def _transforming() -> bool:
    """Whether a transform of torch.func is at work (never in a graph that is being compiled)."""
    return not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()


def _differentiable(
    name: str,
    kernel: Callable[..., Tensor],
    fake: Callable[..., Tensor],
    rules: type[torch.autograd.Function],
) -> Any:
    """Define `torch.ops.sortnet.<name>` with derivatives in both modes.

    Not by `torch.library.custom_op`, whose forward-mode derivative is 0 without a word.

    Args:
        name: of the operator.
        kernel: what it computes, float32.
        fake: the same for tensors without values.
        rules: its derivatives; `rules.forward` calls `_below_autograd`.
    """
    schema = torch.library.infer_schema(kernel, mutates_args=())
    _LIBRARY.define(name + schema, tags=(torch.Tag.pt2_compliant_tag,))
    operator = getattr(torch.ops.sortnet, name).default

    def differentiated(*arguments: Any) -> Tensor:
        if _transforming():
            raise NotImplementedError(
                f"under a transform of torch.func call sortnet.backend.ops.{name}, "
                f"not torch.ops.sortnet.{name}"
            )
        if forward_ad._current_level < 0 and not (
            torch.is_grad_enabled()
            and any(isinstance(value, Tensor) and value.requires_grad for value in arguments)
        ):
            return _below_autograd(operator, arguments)
        return cast(Tensor, rules.apply(*arguments))

    def in_float32(*arguments: Any) -> Tensor:
        """Automatic mixed precision must never reach a certificate: always run in float32."""
        device = next(value.device.type for value in arguments if isinstance(value, Tensor))
        with torch.autocast(device, enabled=False):
            cast_to = [
                value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
                for value in arguments
            ]
            return cast(Tensor, operator(*cast_to))

    for key in ("CPU", "CUDA"):
        _LIBRARY.impl(name, kernel, key)
        _LIBRARY.impl(name, in_float32, f"Autocast{key}")
    _LIBRARY.impl(name, differentiated, "Autograd")
    torch.library.register_fake(f"sortnet::{name}", fake, lib=_LIBRARY)
    return operator


def _below_autograd(operator: Any, arguments: Sequence[Any]) -> Tensor:
    with torch._C._AutoDispatchBelowAutograd():
        return cast(Tensor, operator(*arguments))


def _each(function: Callable[..., Any], info: Any, dims: Sequence[int | None], *arguments: Any):  # type: ignore[no-untyped-def]
    """Batching rule of torch.func.vmap: one call for each entry of the batch."""
    results = [
        function(
            *(
                value if dim is None else value.select(dim, entry)
                for value, dim in zip(arguments, dims, strict=True)
            )
        )
        for entry in range(info.batch_size)
    ]
    if isinstance(results[0], Tensor):
        return torch.stack(results), 0
    return tuple(map(torch.stack, zip(*results, strict=True))), (0,) * len(results[0])


def _lp_kernel(
    x: Tensor, w: Tensor, p: float, in_mask: Tensor | None, out_mask: Tensor | None, group: int
) -> Tensor:
    check_lp(x, w, p, in_mask, out_mask, group)
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


def _lp_fake(
    x: Tensor, w: Tensor, p: float, in_mask: Tensor | None, out_mask: Tensor | None, group: int
) -> Tensor:
    _check(torch.float32, x, w)  # the shapes of masks are compared when there are values
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
    _check(torch.float32, x, w, y, dy)
    check_lp(x, w, p, in_mask, out_mask, group)
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


class _LpDistance(torch.autograd.Function):
    """Derivatives of `lp_distance`: the kernel's backwards, the reference's slopes forwards."""

    @staticmethod
    def forward(*arguments: Any) -> Tensor:
        return _below_autograd(_lp_operator, arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, w, ctx.p, in_mask, out_mask, ctx.group = inputs
        ctx.save_for_backward(x, w, in_mask, out_mask, output)
        ctx.save_for_forward(x, w, in_mask, out_mask)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w, in_mask, out_mask, y = ctx.saved_tensors
        need_x, need_w = ctx.needs_input_grad[:2]
        dx, dw = lp_distance_backward(
            x, w, ctx.p, in_mask, out_mask, ctx.group, y, dy, need_x, need_w
        )
        return dx if need_x else None, dw if need_w else None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, dw: Tensor | None, *_: Any) -> Tensor:
        x, w, in_mask, out_mask = ctx.saved_tensors
        return reference.lp_distance_jvp(x, w, ctx.p, in_mask, out_mask, ctx.group, dx, dw)

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], *arguments: Any) -> Any:
        return _each(lp_distance, info, dims, *arguments)


_lp_operator = _differentiable("lp_distance", _lp_kernel, _lp_fake, _LpDistance)


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
    run = _LpDistance.apply if _transforming() else torch.ops.sortnet.lp_distance
    return cast(Tensor, run(x, w, p, in_mask, out_mask, group))


def _sort_kernel(x: Tensor, w: Tensor, coef: Tensor) -> Tensor:
    check_sort(x, w, coef)
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


def _sort_fake(x: Tensor, w: Tensor, coef: Tensor) -> Tensor:
    check_sort(x, w, coef)
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
    check_sort(x, w, coef, dy)
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


class _SortNeuron(torch.autograd.Function):
    """Derivatives of `sort_neuron`: the kernel's backwards, the selected terms' forwards."""

    @staticmethod
    def forward(*arguments: Any) -> Tensor:
        return _below_autograd(_sort_operator, arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w, coef = ctx.saved_tensors
        need = ctx.needs_input_grad
        dx, dw, dcoef = sort_neuron_backward(x, w, coef, dy, *need)
        if need[2] and coef.ndim == 1:
            dcoef = dcoef.sum(0)
        return dx if need[0] else None, dw if need[1] else None, dcoef if need[2] else None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, dw: Tensor | None, dcoef: Tensor | None) -> Tensor:
        x, w, coef = ctx.saved_tensors
        return reference.sort_neuron_jvp(x, w, coef, dx, dw, dcoef)

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], *arguments: Any) -> Any:
        return _each(sort_neuron, info, dims, *arguments)


_sort_operator = _differentiable("sort_neuron", _sort_kernel, _sort_fake, _SortNeuron)


def sort_neuron(x: Tensor, w: Tensor, coef: Tensor) -> Tensor:
    """y[b, o] = sum_k coef_k |x[b] - w[o]|_(k) (`sn_sort_forward`).

    Args:
        x: [B, I] float32.
        w: [O, I] float32.
        coef: [K] shared or [O, K] per neuron, K <= I, float32, any sign.

    Returns:
        [B, O] float32.
    """
    run = _SortNeuron.apply if _transforming() else torch.ops.sortnet.sort_neuron
    return cast(Tensor, run(x, w, coef))


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
    check_lp_bounds(lower, upper, w, p)
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
    check_lp_bounds(lower, upper, w, p)
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
    check_sort_bounds(lower, upper, w, coef)
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
    check_sort_bounds(lower, upper, w, coef)
    shape = (lower.shape[0], w.shape[0])
    return lower.new_empty(shape), lower.new_empty(shape)


for _op in (lp_distance_backward, sort_neuron_backward, lp_distance_bounds, sort_neuron_bounds):
    # As many calls as the batch of vmap has entries; torch's own fallback does the same and warns.
    _op.register_vmap(partial(_each, _op))
for _device in _DEVICES:  # mixed precision must never reach a certificate
    for _op in (lp_distance_bounds, sort_neuron_bounds):
        _op.register_autocast(_device, torch.float32)
