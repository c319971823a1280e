"""The stages build, check and speed: each kernel by itself."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sortnet.backend import cuda, ops

from .floors import instruction_floor
from .setup import Record, Setup
from .timing import measure_ceilings, median_ms

INF = math.inf
POWERS = (INF, 8.0, 12.0, 17.3, 64.0, 100.0, 300.0)


def build(setup: Setup, record: Record) -> None:
    """Compile the programs that the other stages need."""
    if not setup.dry:
        torch.zeros(1, device="cuda")  # makes the context
    for p, count in ((INF, 10), *((p, 0) for p in POWERS[1:])):
        started = time.monotonic()
        if not setup.dry:
            cuda.call("prepare", p, count)
        record.add(f"compile p = {p:g}, K = {count}", seconds=time.monotonic() - started)


def check(setup: Setup, record: Record) -> None:
    """Compare with float64 on odd shapes."""
    shapes = ((67, 301, 130), (64, 512, 257), (300, 784, 64))
    for shape in ((5, 12, 3),) if setup.dry else shapes:
        for p in POWERS:
            record.attempt(f"l_{p:g} {list(shape)}", partial(check_norm, setup, record, shape, p))
        record.attempt(f"sort 10 {list(shape)}", partial(check_sort, setup, record, shape))


def _compare(record: Record, name: str, found: Tensor, exact: Tensor, allowed: Tensor) -> None:
    excess = ((found.double() - exact).abs() / (allowed + 1e-30)).max().item()
    ok = excess <= 1  # false for NaN too
    record.add(
        name,
        of_allowed_error=excess,
        **({} if ok else {"failure": "the error is larger than stated"}),
    )


def _operands(setup: Setup, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, w, dy and |x - w|."""
    batch, inputs, outputs = shape
    generator = torch.Generator().manual_seed(0)
    x, w, dy = (
        torch.randn(size, generator=generator).to(setup.device)
        for size in ((batch, inputs), (outputs, inputs), (batch, outputs))
    )
    return x, w, dy, (x[:, None] - w).abs()


def check_norm(setup: Setup, record: Record, shape: tuple[int, int, int], p: float) -> None:
    """Forward and backward of one norm."""
    x, w, dy, a = _operands(setup, shape)
    y = ops.lp_distance(x, w, p, None, None, 1)
    if math.isinf(p):
        exact = a.amax(2).double()
        _compare(record, f"l_inf forward {list(shape)}", y, exact, torch.zeros_like(exact))
        return
    exact = torch.linalg.vector_norm(a.double(), ord=p, dim=2)
    _compare(record, f"l_{p:g} forward {list(shape)}", y, exact, 4e-6 * exact)
    dx, dw = ops.lp_distance_backward(x, w, p, None, None, 1, y, dy, True, True)
    g = (a.double() / y.double()[:, :, None]) ** (p - 1)
    g *= (x[:, None] - w).sign() * dy.double()[:, :, None]
    slack = (p * 4e-7 + 1e-5) * g.abs() + 2.0**-40 * dy.double().abs()[:, :, None]
    _compare(record, f"l_{p:g} dx {list(shape)}", dx, g.sum(1), slack.sum(1) + 1e-9)
    _compare(record, f"l_{p:g} dw {list(shape)}", dw, -g.sum(0), slack.sum(0) + 1e-9)


def check_sort(setup: Setup, record: Record, shape: tuple[int, int, int]) -> None:
    """The bits of the sorted sum."""
    x, w, _, a = _operands(setup, shape)
    coef = torch.full((10,), 0.1, device=setup.device)
    top = a.topk(10, dim=2).values
    y = top[..., 9] * coef[9]
    for k in reversed(range(9)):
        y = y + top[..., k] * coef[k]
    found = ops.sort_neuron(x, w, coef)
    _compare(record, f"sort 10 forward {list(shape)}", found, y.double(), torch.zeros_like(y))


def speed(setup: Setup, record: Record) -> None:
    """Ceilings, then every kernel with its two floors, then the ceilings again."""
    rates = measure_ceilings(setup)
    record.add("ceilings, before", **rates)
    batch, inputs, outputs = setup.batch, setup.inputs, setup.outputs
    x = torch.randn(batch, inputs, device=setup.device)
    w = torch.randn(outputs, inputs, device=setup.device)
    dy = torch.randn(batch, outputs, device=setup.device)
    operands = batch * inputs + outputs * inputs + batch * outputs
    groups = -(-batch // 32)
    keep_in = torch.rand(groups, inputs, device=setup.device) < 0.75
    keep_out = torch.rand(groups, outputs, device=setup.device) < 0.75

    def add(
        name: str, kernel: str, p: float, passes: int, share: float, body: Callable[[], object]
    ) -> None:
        ((p20, p50, p80),) = median_ms(setup, body)
        floor = instruction_floor(kernel, p, share * batch * inputs * outputs, rates)
        moved = 1e3 * passes * operands * 4 / rates["bytes"]
        target = {"l_inf forward": 0.6}.get(name)
        record.add(
            name,
            p20=p20,
            p50=p50,
            p80=p80,
            instruction_floor=floor,
            byte_floor=moved,
            of_floor=max(floor, moved) / p50,
            **({} if target is None else {"of_floor_wanted": target}),
        )

    def norm(p: float, masked: bool) -> None:
        masks = (keep_in, keep_out, 32) if masked else (None, None, 1)
        share, text = (0.75**2, ", 3/4 kept") if masked else (1.0, "")
        y = ops.lp_distance(x, w, p, *masks)
        forward = partial(ops.lp_distance, x, w, p, *masks)
        add(f"l_{p:g} forward{text}", "forward", p, 1, share, forward)
        backward = partial(ops.lp_distance_backward, x, w, p, *masks, y, dy, True, True)
        add(f"l_{p:g} backward{text}", "backward", p, 2, share, backward)

    for p in POWERS:
        record.attempt(f"l_{p:g}", partial(norm, p, False))
    for p in (INF, 8.0, 17.3, 300.0):
        record.attempt(f"l_{p:g}, 3/4 kept", partial(norm, p, True))
    coef = torch.full((10,), 0.1, device=setup.device)
    lower, upper = x - 0.1, x + 0.1
    for name, passes, body in (
        ("sort 10 forward", 1, partial(ops.sort_neuron, x, w, coef)),
        (
            "sort 10 backward",
            2,
            partial(ops.sort_neuron_backward, x, w, coef, dy, True, True, False),
        ),
        ("sort 10 bounds", 1, partial(ops.sort_neuron_bounds, lower, upper, w, coef)),
        ("l_inf bounds", 1, partial(ops.lp_distance_bounds, lower, upper, w, INF)),
    ):
        record.attempt(name, partial(add, name, "sort", INF, passes, 1.0, body))
    record.add("ceilings, after", **measure_ceilings(setup))
