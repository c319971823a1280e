"""Derivatives forwards, backwards and batched, against finite differences and each other."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.autograd.gradcheck import gradcheck
from torch.func import functional_call, jacfwd, jacrev, jvp, vmap

from sortnet import nn as snn
from sortnet.backend import ops, reference
from sortnet.models import ModelConfig, build_model
from sortnet.nn import functional as F

# torch itself scripts its decompositions for forward mode.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")

exponents = st.sampled_from([1.0, 1.7, 2.0, 8.0, 40.0, math.inf])
sizes = st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 5))


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def neuron(p: float | None, masked: bool, inputs: int, outputs: int, batch: int, seed: int):  # type: ignore[no-untyped-def]
    """A function of (x, w) or (x, w, coef), its kernel twin, and its arguments in float64."""
    x, w = draw(seed, batch, inputs), draw(seed + 1, outputs, inputs)
    if p is None:
        shape = (outputs, min(3, inputs)) if masked else (min(3, inputs),)
        return reference.sort_neuron, ops.sort_neuron, (x, w, draw(seed + 2, *shape))
    rows = math.ceil(batch / 2)
    in_mask = draw(seed + 3, rows, inputs) < 0.5 if masked else None
    out_mask = draw(seed + 4, rows, outputs) < 0.5 if masked else None

    def slow(x: Tensor, w: Tensor) -> Tensor:
        return reference.lp_distance(x, w, p, in_mask, out_mask, 2)

    def fast(x: Tensor, w: Tensor) -> Tensor:
        return ops.lp_distance(x, w, p, in_mask, out_mask, 2)

    return slow, fast, (x, w)


@settings(max_examples=40)
@given(sizes, st.one_of(st.none(), exponents), st.booleans(), st.integers(0, 50))
def test_the_reference_forwards_against_finite_differences(size, p, masked, seed):
    batch, inputs, outputs = size
    slow, _, arguments = neuron(p, masked, inputs, outputs, batch, seed)
    assert gradcheck(
        slow,
        tuple(value.requires_grad_() for value in arguments),
        check_forward_ad=True,
        check_backward_ad=False,
        atol=1e-4,
    )


@settings(max_examples=40)
@given(sizes, st.one_of(st.none(), exponents), st.booleans(), st.integers(0, 50))
def test_kernels_forwards_agree_with_the_reference(size, p, masked, seed):
    batch, inputs, outputs = size
    slow, fast, arguments = neuron(p, masked, inputs, outputs, batch, seed)
    every = tuple(draw(seed + 9 + i, *value.shape) for i, value in enumerate(arguments))
    single = tuple(value.float() for value in arguments)
    tolerance = 1e-6 * max(20, 1 if p is None else min(p, 1000))
    tolerance *= max(1.0, *(float(tangent.abs().max()) for tangent in every))

    def check(found: Tensor, tangents: tuple[Tensor, ...]) -> None:
        expected = jvp(slow, arguments, tangents)[1]
        torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)

    value, tangent = jvp(fast, single, tuple(t.float() for t in every))
    assert torch.equal(value, fast(*single))
    check(tangent, every)
    for moved in (*range(len(single)), None):  # one argument with a tangent, or all
        duals = list(single)
        with forward_ad.dual_level():
            for i, direction in enumerate(every):
                if moved in (i, None):
                    duals[i] = forward_ad.make_dual(single[i], direction.float())
            found = forward_ad.unpack_dual(fast(*duals)).tangent.clone()
        check(found, tuple(t * (moved in (i, None)) for i, t in enumerate(every)))


@pytest.mark.parametrize("p", [None, 1.0, 8.0, math.inf])
def test_jacobians_agree_in_both_modes(p):
    _, fast, arguments = neuron(p, True, 5, 4, 3, 0)
    single = tuple(value.float() for value in arguments)
    for position in range(len(single)):
        ahead, back = jacfwd(fast, position)(*single), jacrev(fast, position)(*single)
        torch.testing.assert_close(ahead, back, rtol=1e-5, atol=1e-6)
        assert ahead.abs().max() > 0
    plain = torch.autograd.functional.jacobian(lambda x: fast(x, *single[1:]), single[0])
    torch.testing.assert_close(plain, jacrev(fast)(*single), rtol=1e-6, atol=1e-7)


def test_batches_of_neurons_are_batches_of_calls():
    w, coef = draw(0, 3, 4, 5).float(), draw(1, 3, 2).float()
    x = draw(2, 6, 5).float()
    found = vmap(ops.sort_neuron, (None, 0, 0))(x, w, coef)
    for one, weights, series in zip(found, w, coef, strict=True):
        assert torch.equal(one, ops.sort_neuron(x, weights, series))
    swapped = vmap(lambda v: ops.lp_distance(v, w[0], 8.0, None, None, 1), 1)(x[:, None])
    assert torch.equal(swapped[0], ops.lp_distance(x, w[0], 8.0, None, None, 1))
    found = vmap(lambda v: ops.sort_neuron_bounds(v, v + 1, w[0], coef[0]))(x[:, None])
    for one, bound in zip(found, F.sort_linear_bounds(x, x + 1, w[0], coef[0]), strict=True):
        assert torch.equal(one[:, 0], bound)


def test_ties_and_zeros_take_the_term_that_backward_takes():
    x = torch.tensor([[1.0, -1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    w = torch.zeros(2, 4)
    for run in (
        lambda x: ops.lp_distance(x, w, math.inf, None, None, 1),
        lambda x: ops.lp_distance(x, w, 8.0, None, None, 1),
        lambda x: ops.sort_neuron(x, w, torch.tensor([0.5, 0.25])),
    ):
        torch.testing.assert_close(jacfwd(run)(x), jacrev(run)(x), rtol=1e-6, atol=1e-7)


def test_an_operator_under_a_transform_of_torch_func_says_what_to_call():
    x, w = draw(0, 2, 3).float(), draw(1, 4, 3).float()
    with pytest.raises(NotImplementedError, match=r"call sortnet\.backend\.ops\.sort_neuron"):
        jvp(lambda x: torch.ops.sortnet.sort_neuron(x, w, torch.ones(1)), (x,), (x,))
    with pytest.raises(NotImplementedError, match=r"call sortnet\.backend\.ops\.lp_distance"):
        jacrev(lambda x: torch.ops.sortnet.lp_distance(x, w, 2.0, None, None, 1))(x)


LAYERS: dict[str, Callable[[], tuple[nn.Module, tuple[int, ...]]]] = {
    "sort": lambda: (snn.SortLinear(6, 4, 0.6, 3, bias=True), (3, 6)),
    "linf": lambda: (snn.LInfDistLinear(6, 4), (3, 6)),
    "order": lambda: (snn.OrderStatisticLinear(6, 4, bias=True), (3, 6)),
    "conv 1d": lambda: (snn.SortConv1d(2, 3, 3, 2, 1, 0.6, 3), (2, 2, 7)),
    "conv 2d": lambda: (snn.SortConv2d(2, 3, 2, 1, 1, 0.6, 3), (2, 2, 4, 3)),
    "linf conv": lambda: (snn.LInfDistConv2d(1, 2, 2), (2, 1, 4, 3)),
    "morphology 1d": lambda: (snn.Morphology1d(2, [3, 5], -4, 4), (2, 2, 7)),
    "morphology 2d": lambda: (snn.Morphology2d(1, [3], -4, 4), (2, 1, 5, 4)),
    "lipschitz": lambda: (snn.LipschitzLinear(6, 4), (3, 6)),
    "group sort": lambda: (snn.GroupSort(3), (3, 6)),
    "max min": lambda: (snn.MaxMin(), (3, 6)),
    "piecewise": lambda: (snn.PiecewiseLinear(6), (3, 6)),
    "abs": lambda: (snn.Abs(), (3, 6)),
    "shift": lambda: (snn.MeanShift(6), (3, 6)),
    "normalize": lambda: (snn.Normalize(0.3, 0.4), (3, 6)),
    "negate": lambda: (snn.Negate(), (3, 6)),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_forwards_against_finite_differences(name, training):
    torch.manual_seed(0)
    layer, shape = LAYERS[name]()
    layer.double().train(training)
    if isinstance(layer, snn.SortLinear | snn.SortConv1d | snn.SortConv2d):
        layer.dropping, layer.p = 0.0, 8.0  # finite differences need one function
    if isinstance(layer, snn.OrderStatisticLinear):
        layer.order_weight.data.normal_()  # and no kink, as where rows reach 1
    if isinstance(layer, snn.PiecewiseLinear):
        layer.slope.data.mul_(0.7)  # or where slopes do
    x = draw(3, *shape).clamp(-3.9, 3.9)
    names = [key for key, _ in layer.named_parameters()]

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        return functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

    arguments = (x, *(value.detach().clone() for value in layer.parameters()))
    assert gradcheck(
        run,
        tuple(value.requires_grad_() for value in arguments),
        check_forward_ad=True,
        fast_mode=True,
        atol=1e-4,
    )


@pytest.mark.parametrize("family", ["sortnet", "linf-dist", "groupsort", "relu"])
def test_a_net_in_float32_has_the_jacobian_of_its_float64_twin(family):
    torch.manual_seed(0)
    model = build_model(ModelConfig(family, (1, 4, 3), 3, 3, 10, keep=1.0)).eval()
    x = torch.rand(2, 1, 4, 3)
    ahead, back = jacfwd(model)(x), jacrev(model)(x)
    torch.testing.assert_close(ahead, back, rtol=1e-4, atol=1e-5)
    wide = jacfwd(model.double())(x.double())
    torch.testing.assert_close(ahead.double(), wide, rtol=1e-4, atol=1e-5)
    assert wide.abs().max() > 0
