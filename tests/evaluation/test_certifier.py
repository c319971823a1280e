"""Sound certificates of torch models: what used to be false, and attacks on what is claimed now."""

import threading
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sortnet import nn as snn
from sortnet.certificate.inputs import InputError
from sortnet.evaluation import (
    Certifier,
    NaiveCertifier,
    certificates,
    certified_accuracy,
    interval_certified,
    margin_radius,
    naive_interval_certified,
    naive_margin_radius,
)
from sortnet.evaluation.attack import inner_ball, pgd
from sortnet.models import ModelConfig, build_model, estimate_means
from sortnet.nn.layer import LayerError

KINDS = {
    "sortnet": {"family": "sortnet"},
    "mlp": {"family": "sortnet", "hidden": 6},
    "morphology": {"family": "sortnet", "morphology": (3,)},
    "linf-dist": {"family": "linf-dist", "keep": 1.0},
    "maxmin": {"family": "maxmin"},
    "standard": {"family": "standard"},
    "abs": {"family": "standard", "activation": "abs"},
    "relu": {"family": "relu"},
}


def make(kind: str, seed: int = 0, side: int = 4):
    torch.manual_seed(seed)
    config = ModelConfig(
        input_shape=(1, side, side), classes=3, depth=2, width=8, mean=0.4, std=0.5, **KINDS[kind]
    )
    model = build_model(config)
    estimate_means(model, [torch.rand(32, 1, side, side)])
    return model


def zeros(x: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(x), dtype=torch.int64)


def two_point_net() -> nn.Sequential:
    """Logits -|x - 1| and -|x - 0|: the boundary lies at x = 0.5, exactly."""
    layer = snn.LInfDistLinear(1, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0], [0.0]]))
    return nn.Sequential(nn.Flatten(), layer, snn.Negate())


def inside(x: torch.Tensor, other: torch.Tensor, radius: float) -> bool:
    """In exact arithmetic: is every entry of `other` within `radius` of x?"""
    pairs = zip(x.flatten().tolist(), other.flatten().tolist(), strict=True)
    return all(abs(Fraction(a) - Fraction(b)) <= Fraction(radius) for a, b in pairs)


@pytest.mark.parametrize("x", [0.25, 0.125, 0.4, 0.75])
def test_a_tie_at_the_end_of_the_ball_is_not_certified(x: float) -> None:
    model = two_point_net()
    point = torch.full((1, 1, 1, 1), x)
    to_tie = abs(0.5 - float(point))
    assert not certificates(model, point, model(point).argmax(1), [to_tie])[to_tie]
    assert not interval_certified(model, point, to_tie)
    if x != 0.4:  # there rounding alone breaks the naive radius
        assert not NaiveCertifier(model).certify(point, to_tie)
    radius = float(margin_radius(model, point))
    assert 0.9 * to_tie < radius < to_tie
    tie = torch.full((1, 1, 1, 1), 0.5)
    assert margin_radius(model, tie) == 0 and not interval_certified(model, tie, 1e-6)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6)
@given(seed=st.integers(0, 30), eps=st.sampled_from(["1/255", "0.05", "0.2"]))
def test_no_point_of_a_certified_ball_has_another_label(kind: str, seed: int, eps: str) -> None:
    model = make(kind, seed).train()
    x = torch.rand(12, 1, 4, 4)
    certifier = Certifier(model)
    prediction = certifier.predict(x)
    certified = certifier.certify(x, eps, prediction)
    model.eval()
    point = pgd(model, x, prediction.label, eps, steps=12)
    assert all(inside(a, b, certifier_eps(eps)) for a, b in zip(x, point, strict=True))
    assert (model(point).argmax(1)[certified] == prediction.label[certified]).all()
    for sample, radius in zip(x, prediction.radius.tolist(), strict=True):
        if radius > 0:
            ball = pgd(model, sample[None], certifier.predict(sample[None]).label, radius, steps=6)
            assert model(ball).argmax(1) == model(sample[None]).argmax(1)


def certifier_eps(eps: str) -> float:
    from sortnet.base.units import eps_to_float

    return eps_to_float(eps)


@pytest.mark.parametrize("kind", ["sortnet", "linf-dist", "maxmin", "relu"])
def test_rounding_breaks_naive_radii_and_no_sound_one(kind: str) -> None:
    """Points beside the boundary, found by bisection along a line between two labels."""
    broken = sound_broken = tried = 0
    for seed in range(12):
        model = make(kind, seed).eval()
        certifier, naive = Certifier(model), NaiveCertifier(model)
        ends = torch.rand(64, 1, 4, 4)
        label = model(ends).argmax(1)
        first, second = ends[label == label[0]], ends[label != label[0]]
        count = min(len(first), len(second))
        if not count:
            continue
        low, high = first[:count].clone(), second[:count].clone()
        near = model(low).argmax(1)
        for _ in range(40):
            middle = (low + high) / 2
            same = (model(middle).argmax(1) == near)[:, None, None, None]
            low, high = torch.where(same, middle, low), torch.where(same, high, middle)
        distance = (low.double() - high.double()).abs().flatten(1).amax(1)
        other = model(high).argmax(1) != model(low).argmax(1)
        tried += int(other.sum())
        broken += int((other & (naive.predict(low).radius.double() >= distance)).sum())
        sound_broken += int((other & (certifier.predict(low).radius.double() >= distance)).sum())
    assert tried > 50 and sound_broken == 0
    if kind in ("sortnet", "maxmin"):
        assert broken > 0  # otherwise this search would show nothing


def test_radii_are_those_of_the_naive_formula_less_a_little() -> None:
    for kind in KINDS:
        model, x = make(kind), torch.rand(40, 1, 4, 4)
        sound, naive = margin_radius(model, x), naive_margin_radius(model, x)
        assert (sound < naive).logical_or(naive == 0).all()
        assert (naive - sound < 1e-4).all(), kind
        eps = 0.01
        assert (interval_certified(model, x, eps) <= naive_interval_certified(model, x, eps)).all()


@pytest.mark.parametrize(
    "value, words",
    [
        (4.98, "sample 1 has a value outside"),
        (-1e-7, "outside"),
        (float("nan"), "NaN"),
        (float("inf"), "outside"),
        (200.0, "divide by 255"),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        margin_radius,
        lambda model, x: interval_certified(model, x, 0.1),
        lambda model, x: certificates(model, x, zeros(x), [0.1]),
        lambda model, x: certified_accuracy(model, x, zeros(x), [0.1]),
        naive_margin_radius,
        lambda model, x: naive_interval_certified(model, x, 0.1),
    ],
)
def test_inputs_outside_the_box_are_refused(call, value: float, words: str) -> None:
    x = torch.rand(3, 1, 4, 4)
    x[1, 0, 2, 1] = value
    with pytest.raises(InputError, match=words):
        call(make("sortnet"), x)


@pytest.mark.parametrize(
    "x",
    [
        torch.rand(3, 1, 4, 4, dtype=torch.float64),
        torch.randint(0, 2, (3, 1, 4, 4)),
        torch.rand(3, 4, 4),
        torch.rand(3, 1, 4, 5),
        np.zeros((3, 1, 4, 4), np.float32),
        [[0.0]],
    ],
)
def test_other_dtypes_and_shapes_are_refused(x: object) -> None:
    with pytest.raises((InputError, TypeError, ValueError), match=r"expected|takes inputs"):
        margin_radius(make("sortnet"), x)  # type: ignore[arg-type]


@pytest.mark.parametrize("eps", [8, 0, -0.1, 1.5, float("nan"), "x/255", True])
def test_radii_that_are_none_are_refused(eps: object) -> None:
    model, x, y = make("sortnet"), torch.rand(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64)
    for call in (
        lambda: certified_accuracy(model, x, y, [eps]),
        lambda: certificates(model, x, y, [eps]),
        lambda: interval_certified(model, x, eps),
    ):
        with pytest.raises(ValueError, match="radius"):
            call()


def test_fractions_of_255_are_exact() -> None:
    model, x, y = make("sortnet"), torch.rand(9, 1, 4, 4), torch.zeros(9, dtype=torch.int64)
    both = certified_accuracy(model, x, y, ["8/255", Fraction(8, 255)])
    assert both["8/255"] == both[Fraction(8, 255)]


@pytest.mark.parametrize("training", [True, False])
def test_threads_read_a_model_and_never_change_it(training: bool) -> None:
    model = make("sortnet")
    model.train(training)
    model.layers[2].train(not training)  # one frozen by its owner
    modes = [module.training for module in model.modules()]
    grads = [parameter.requires_grad for parameter in model.parameters()]
    x = torch.rand(20, 1, 4, 4)
    expected = margin_radius(model, x)
    wrong: list[int] = []

    def work() -> None:
        for _ in range(12):
            if not torch.equal(margin_radius(model, x), expected):
                wrong.append(1)
            interval_certified(model, x, 0.01)
            pgd(model, x, torch.zeros(20, dtype=torch.int64), 0.1, steps=2)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == grads


def test_certificates_speak_about_the_model_as_it_was() -> None:
    model, x = make("sortnet"), torch.rand(5, 1, 4, 4)
    certifier = Certifier(model)
    before = certifier.predict(x)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    assert all(torch.equal(a, b) for a, b in zip(certifier.predict(x), before, strict=True))
    assert not torch.equal(margin_radius(model, x), before.radius)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_have_naive_certificates_only(dtype: torch.dtype) -> None:
    model = make("sortnet").to(dtype)
    with pytest.raises(ValueError, match=r"float32 models, got .* model.float\(\)"):
        margin_radius(model, torch.rand(2, 1, 4, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_cast_there_and_back_leaves_true_certificates(dtype: torch.dtype) -> None:
    model = make("sortnet").to(dtype).float()
    certifier, x = Certifier(model), torch.rand(16, 1, 4, 4)
    assert certifier.analysis.lipschitz <= 2.0 * (1 + 1e-9)  # 1 / std
    prediction = certifier.predict(x)
    for sample, radius, label in zip(x, prediction.radius.tolist(), prediction.label, strict=True):
        if radius:
            point = pgd(model, sample[None], label[None], radius, steps=10)
            assert model.eval()(point).argmax(1) == label


def test_settings_of_torch_do_not_reach_certificates() -> None:
    model, x = make("mlp"), torch.rand(8, 1, 4, 4)
    before = Certifier(model).predict(x)
    precision = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", torch.bfloat16):
            inside = Certifier(model).predict(x)
    finally:
        torch.set_float32_matmul_precision(precision)
    assert all(torch.equal(a, b) for a, b in zip(before, inside, strict=True))


@given(
    x=st.floats(0, 1, width=32),
    eps=st.one_of(st.floats(2**-30, 1, width=32), st.sampled_from([0.25, 0.5, 1.0])),
)
def test_attacks_stay_inside_the_ball_in_exact_arithmetic(x: float, eps: float) -> None:
    point = torch.tensor([x])
    low, high = (float(end) for end in inner_ball(point, eps))
    assert 0 <= low <= x <= high <= 1
    for end in (low, high):
        assert abs(Fraction(end) - Fraction(x)) <= Fraction(eps)
    # No more than two steps of the grid are given away.
    assert low <= max(0.0, x - eps) + 2**-22 and high >= min(1.0, x + eps) - 2**-22


@pytest.mark.parametrize("kind", ["piecewise-linear", "signed order statistics", "rank filter"])
def test_every_layer_of_ours_has_a_sound_radius(kind: str) -> None:
    torch.manual_seed(0)
    layers = {
        "piecewise-linear": [nn.Flatten(), snn.LipschitzLinear(16, 4), snn.PiecewiseLinear(4)],
        "signed order statistics": [nn.Flatten(), snn.OrderStatisticLinear(16, 4, bias=True)],
        "rank filter": [snn.RankFilter2d(2, 2), nn.Flatten(), snn.SortLinear(9, 4)],
    }[kind]
    x = torch.rand(50, 1, 4, 4)
    sound, naive = (f(nn.Sequential(*layers), x) for f in (margin_radius, naive_margin_radius))
    assert (sound <= naive).all() and (sound > 0).any()


class TimesTen(snn.SortLinear):
    def forward(self, x, in_mask=None, out_mask=None):  # type: ignore[no-untyped-def]
        return 10 * super().forward(x, in_mask, out_mask)


class Steep(nn.ReLU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, -3 * x)


class Falling(nn.ReLU):
    """1-Lipschitz, but not monotone: interval bounds of ReLU are wrong for it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -x.abs()


def strangers() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    hooked = snn.SortLinear(16, 3)
    hooked.register_forward_hook(lambda module, args, output: 10 * output)
    before = snn.SortLinear(16, 3)
    before.register_forward_pre_hook(lambda module, args: (10 * args[0],))
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(16, 3))
    patched = snn.SortLinear(16, 3)
    patched.forward = lambda x: 10 * x[:, :3]  # type: ignore[method-assign]
    return {
        "TimesTen": TimesTen(16, 3),
        "Steep": Steep(),
        "Falling": Falling(),
        "hook": hooked,
        "pre-hook": before,
        "parametri": normed,
        "forward": patched,
    }


@pytest.mark.parametrize("name", strangers())
@pytest.mark.parametrize("call", [margin_radius, naive_margin_radius])
def test_strangers_are_refused_by_name(name: str, call) -> None:
    chain = nn.Sequential(nn.Flatten(), strangers()[name])
    with pytest.raises(LayerError, match=f"(?i){name}"):
        call(chain, torch.rand(2, 1, 4, 4))


def test_a_sequential_is_certified_like_a_net() -> None:
    model, x = make("sortnet"), torch.rand(6, 1, 4, 4)
    chain = nn.Sequential(*model.layers)
    assert torch.equal(margin_radius(chain, x), margin_radius(model, x))
    nested = nn.Sequential(nn.Sequential(*model.layers[:2]), nn.Sequential(*model.layers[2:]))
    assert torch.equal(margin_radius(nested, x), margin_radius(model, x))
