"""The operators against their references, and PyTorch's own checks of them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.library import opcheck

from sortnet.backend import native, ops, reference

sizes = st.tuples(st.integers(0, 9), st.integers(0, 40), st.integers(1, 37))
exponents = st.one_of(st.sampled_from([1.0, 2.0, 8.0, math.inf]), st.floats(1, 1000))


def draw(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator) * scale


def close(actual: Tensor, expected: Tensor, tolerance: float, least_scale: float = 0.0) -> None:
    scale = float(expected.detach().abs().max()) if expected.numel() else 1.0
    scale = max(scale, least_scale)
    torch.testing.assert_close(
        actual.detach().double(), expected.detach().double(), rtol=tolerance, atol=tolerance * scale
    )


@given(sizes, exponents, st.booleans(), st.sampled_from([1, 3, 32]), st.integers(0, 99))
def test_lp_distance_and_gradients(
    size: tuple[int, int, int], p: float, masked: bool, group: int, seed: int
) -> None:
    batch, inputs, outputs = size
    x = draw(seed, batch, inputs).requires_grad_()
    w = draw(seed + 1, outputs, inputs).requires_grad_()
    rows = math.ceil(batch / group)
    in_mask = draw(seed + 2, rows, inputs) < 0.7 if masked else None
    out_mask = draw(seed + 3, rows, outputs) < 0.7 if masked else None
    y = ops.lp_distance(x, w, p, in_mask, out_mask, group)
    x64, w64 = x.detach().double().requires_grad_(), w.detach().double().requires_grad_()
    expected = reference.lp_distance(x64, w64, p, in_mask, out_mask, group)
    close(y, expected, 4e-6)
    dy = draw(seed + 4, batch, outputs)
    gradients = torch.autograd.grad(y, (x, w), dy)
    for actual, wanted in zip(
        gradients, torch.autograd.grad(expected, (x64, w64), dy.double()), strict=True
    ):
        close(actual, wanted, 1e-6 * max(20, min(p, 1000)))


@given(sizes, st.integers(0, 12), st.booleans(), st.integers(0, 99))
def test_sort_neuron_and_gradients(
    size: tuple[int, int, int], k: int, shared: bool, seed: int
) -> None:
    batch, inputs, outputs = size
    k = min(k, inputs)
    x = draw(seed, batch, inputs).requires_grad_()
    w = draw(seed + 1, outputs, inputs).requires_grad_()
    coef = (draw(seed + 2, k) if shared else draw(seed + 2, outputs, k)).requires_grad_()
    y = ops.sort_neuron(x, w, coef)
    doubles = [t.detach().double().requires_grad_() for t in (x, w, coef)]
    expected = reference.sort_neuron(*doubles)
    close(y, expected, 2e-6)
    assert torch.equal(y, reference.sort_neuron(x, w, coef)) or k == 0
    dy = draw(seed + 3, batch, outputs)
    for actual, wanted in zip(
        torch.autograd.grad(y, (x, w, coef), dy),
        torch.autograd.grad(expected, doubles, dy.double(), materialize_grads=True),
        strict=True,
    ):
        close(actual, wanted, 1e-5)


@given(sizes, exponents, st.integers(1, 12), st.integers(0, 99))
def test_bounds_enclose_reference(size: tuple[int, int, int], p: float, k: int, seed: int) -> None:
    batch, inputs, outputs = size
    lower = draw(seed, batch, inputs)
    upper = lower + draw(seed + 1, batch, inputs).abs()
    w = draw(seed + 2, outputs, inputs)
    coef = draw(seed + 3, min(k, inputs))
    wide = (lower.double(), upper.double(), w.double())
    for bounds, exact in (
        (ops.lp_distance_bounds(lower, upper, w, p), reference.lp_distance_bounds(*wide, p)),
        (
            ops.sort_neuron_bounds(lower, upper, w, coef),
            reference.sort_neuron_bounds(*wide, coef.double()),
        ),
    ):
        assert (bounds[0].double() <= exact[0]).all()
        assert (bounds[1].double() >= exact[1]).all()
        # The slack is relative to the terms (about 1 here), which may cancel in the sum.
        close(bounds[0], exact[0], 2e-5, least_scale=1.0)
        close(bounds[1], exact[1], 2e-5, least_scale=1.0)


@given(st.sampled_from([1.0, 1.5, 3.0, 8.0, 40.0]), st.integers(0, 9))
def test_gradcheck_of_the_float64_path(p: float, seed: int) -> None:
    x = draw(seed, 4, 5).double().requires_grad_()
    w = draw(seed + 1, 3, 5).double().requires_grad_()
    coef = draw(seed + 2, 3, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: reference.lp_distance(a, b, p), (x, w))
    assert torch.autograd.gradcheck(reference.sort_neuron, (x, w, coef))


def test_zero_distances_have_zero_gradient() -> None:
    x = torch.zeros(2, 5, requires_grad=True)
    for p in (1.0, 8.0, 17.3, math.inf):
        y = ops.lp_distance(x, torch.zeros(3, 5), p, None, None, 32)
        assert (y == 0).all()
        assert (torch.autograd.grad(y.sum(), x)[0] == 0).all()


def test_non_contiguous_input_and_thread_counts_give_the_same_bits() -> None:
    wide = draw(0, 2 * 267, 3 * 41)
    x, w = wide[::2, ::3], draw(1, 41, 29).T
    coef, y = draw(2, 10), ops.lp_distance(x, w, 17.3, None, None, 32)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(
                (
                    ops.lp_distance(x, w, 8.0, None, None, 32),
                    ops.sort_neuron(x, w, coef),
                    *ops.lp_distance_backward(x, w, 17.3, None, None, 32, y, x[:, :29], True, True),
                )
            )
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
    plain = ops.lp_distance(x.contiguous(), w.contiguous(), 8.0, None, None, 32)
    assert torch.equal(results[0][0], plain)


# opcheck itself reads .grad of tensors that are no leaves.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_opcheck() -> None:
    x, w = draw(0, 37, 19).requires_grad_(), draw(1, 23, 19).requires_grad_()
    coef = draw(2, 5).requires_grad_()
    in_mask, out_mask = draw(3, 2, 19) < 0, draw(4, 2, 23) < 0
    plain_x, plain_w = x.detach(), w.detach()
    opcheck(torch.ops.sortnet.lp_distance.default, (x, w, 8.0, in_mask, out_mask, 32))
    opcheck(torch.ops.sortnet.lp_distance.default, (x, w, math.inf, None, None, 32))
    opcheck(torch.ops.sortnet.sort_neuron.default, (x, w, coef))
    opcheck(ops.lp_distance_bounds, (plain_x, plain_x + 1, plain_w, 8.0))
    opcheck(ops.sort_neuron_bounds, (plain_x, plain_x + 1, plain_w, coef.detach()))


def test_torch_export_and_compile() -> None:
    class Neuron(torch.nn.Module):
        def forward(self, x: Tensor, w: Tensor) -> Tensor:
            return ops.sort_neuron(x, w, torch.tensor([0.5, 0.25])).sum(1)

    x, w = draw(0, 6, 7), draw(1, 5, 7)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(Neuron(), (x, w), dynamic_shapes=({0: batch}, None))
    assert "sortnet.sort_neuron" in program.graph_module.code
    longer = draw(2, 11, 7)
    assert torch.equal(program.module()(longer, w), Neuron()(longer, w))
    compiled = torch.compile(Neuron(), backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x, w), Neuron()(x, w))


def test_autocast_keeps_float32() -> None:
    x, w = draw(0, 6, 7), draw(1, 5, 7)
    plain = ops.lp_distance(x, w, 8.0, None, None, 32)
    with torch.autocast("cpu", torch.bfloat16):
        y = ops.lp_distance(x, w, 8.0, None, None, 32)
    assert y.dtype == torch.float32
    assert torch.equal(y, plain)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, w: ops.lp_distance(x, w[:, 1:], 2.0, None, None, 32), r"x \[B, I\] and w"),
        (lambda x, w: ops.lp_distance(x, w, 0.5, None, None, 32), r"p must be in \[1, inf\]"),
        (lambda x, w: ops.lp_distance(x, w, math.nan, None, None, 32), r"p must be in"),
        (lambda x, w: ops.lp_distance(x, w, 2.0, x > 0, None, 32), "in_mask must be bool"),
        (lambda x, w: ops.lp_distance(x, w, 2.0, None, None, 0), "group must be at least 1"),
        (lambda x, w: ops.lp_distance(x.half(), w, 2.0, None, None, 32), "float32"),
        (lambda x, w: ops.sort_neuron(x, w, torch.ones(8)), "K <= 7"),
        (lambda x, w: ops.sort_neuron(x, w, torch.ones(4, 2)), "coef must be"),
        (lambda x, w: ops.lp_distance_bounds(x, x[1:], w, 2.0), "one shape"),
    ],
)
def test_bad_arguments_are_named(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call(draw(0, 6, 7), draw(1, 5, 7))


def test_missing_library_is_a_clear_error() -> None:
    with pytest.raises(native.NativeError, match=r"libnothing.* not found"):
        native.library_path("nothing")
    with pytest.raises(native.NativeError, match="sn_pack: invalid argument"):
        native.call("sn_pack", None, 1, 1, 1, None)
