import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sortnet import evaluation as certify
from sortnet.models import (
    CertifiedNet,
    ModelConfig,
    StemConfig,
    build_model,
    estimate_means,
    set_dropping,
    set_p,
)
from sortnet.nn import MeanShift, SortConv2d, SortLinear

CONFIGS = {
    "sortnet": {"family": "sortnet"},
    "mlp": {"family": "sortnet", "hidden": 6},
    "stem": {"family": "sortnet", "stem": StemConfig(3, 3, 2, 1)},
    "morphology": {"family": "sortnet", "morphology": (3, 5)},
    "linf-dist": {"family": "linf-dist", "keep": 1.0},
    "groupsort": {"family": "groupsort"},
    "maxmin": {"family": "maxmin"},
    "standard": {"family": "standard"},
    "abs": {"family": "standard", "activation": "abs"},
    "piecewise": {"family": "standard", "activation": "piecewise-linear"},
    "relu": {"family": "relu"},
}


def make(name: str, depth: int = 3, seed: int = 0) -> CertifiedNet:
    torch.manual_seed(seed)
    config = ModelConfig(
        input_shape=(1, 5, 4), classes=3, depth=depth, width=10, mean=0.4, std=0.5, **CONFIGS[name]
    )
    return build_model(config)


@pytest.mark.parametrize("name", CONFIGS)
@given(seed=st.integers(0, 20), eps=st.sampled_from([0.01, 0.1, 0.3]))
def test_certificates_hold_against_random_perturbations(name: str, seed: int, eps: float) -> None:
    model = make(name, 2 + seed % 2, seed)
    x = torch.rand(16, 1, 5, 4)
    estimate_means(model, [x])
    y = model(x).argmax(1)
    if name == "piecewise":  # its rounding is not known
        certified = certify.naive_interval_certified(model, x, eps)
    else:
        certified = certify.certificates(model, x, y, [eps])[eps]
        radius = certify.margin_radius(model, x)
        interval = certify.interval_certified(model, x, eps)
        assert (certified == ((radius.double() >= eps) | interval)).all()
    for _ in range(10):
        step = eps * torch.randint(-1, 2, x.shape)
        moved = model((x + step).clamp(0, 1)).argmax(1)
        assert (moved[certified] == y[certified]).all()
    low, high = model.bounds((x - eps).clamp(0, 1), (x + eps).clamp(0, 1))
    assert (low <= model(x) + 1e-5).all() and (model(x) <= high + 1e-5).all()


@pytest.mark.parametrize("name", CONFIGS)
def test_training_step_moves_every_parameter(name: str) -> None:
    model = make(name)
    model.train()
    set_p(model, 8.0)
    x, y = torch.rand(40, 1, 5, 4), torch.randint(3, (40,))
    torch.nn.functional.cross_entropy(model(x), y).backward()
    for label, parameter in model.named_parameters():
        assert parameter.grad is not None, label
        assert parameter.grad.isfinite().all(), label


def test_masks_are_shared_between_neighbouring_layers() -> None:
    model = make("sortnet")
    model.train()
    masks = model.draw_masks(70)
    assert [m.shape for m in masks.values() if m is not None] == [(3, 10), (3, 10)]
    x = torch.rand(70, 1, 5, 4)
    same = [model(x, masks) for _ in range(2)]
    assert torch.equal(*same)
    # Whether unread outputs are computed does not change the logits.
    plain = model.layers[:2](x)
    for position, layer in list(enumerate(model.layers))[2:]:
        if isinstance(layer, SortLinear):
            plain = layer(plain, masks[position])
        elif isinstance(layer, MeanShift):
            read = masks[position + 1]
            assert read is not None
            plain = plain * read.repeat_interleave(32, dim=0)[:70]
            plain = layer(plain, read, 32)
        else:
            plain = layer(plain)
    assert torch.allclose(plain, same[0], atol=1e-6)


def test_interval_certificate_of_a_head_beats_its_lipschitz_constant() -> None:
    model = make("mlp")
    x = torch.rand(30, 1, 5, 4)
    estimate_means(model, [x])
    assert certify.lipschitz_constant(model) > 2
    radius = certify.margin_radius(model, x)
    eps = float(radius.median())
    assert (certify.interval_certified(model, x, eps)[radius > eps]).all()


def test_certified_accuracy_counts_right_answers_only() -> None:
    model = make("sortnet")
    x = torch.rand(20, 1, 5, 4)
    y = model.eval()(x).argmax(1)
    accuracy = certify.certified_accuracy(model, x, y, [1e-6], batch=7)
    assert accuracy[1e-6] == 1
    assert certify.certified_accuracy(model, x, (y + 1) % 3, [1e-6]) == {1e-6: 0}
    for call in (
        lambda: certify.interval_certified(model, x, 0),
        lambda: certify.certified_accuracy(model, x, y, [-1]),
        lambda: certify.certified_accuracy(model, x[:0], y[:0], [0.1]),
        lambda: model(x[0]),
        lambda: set_p(model, 0.5),
    ):
        with pytest.raises(ValueError):
            call()


@pytest.mark.parametrize(
    "change",
    [
        {"classes": 1},
        {"keep": 0.0},
        {"family": "other"},
        {"family": "groupsort", "width": 11},
        {"family": "linf-dist", "keep": 0.5},
        {"family": "relu", "hidden": 3},
        {"input_shape": (1, 0, 3)},
        {"depth": 1, "stem": StemConfig(3, 3, 1)},
        {"morphology": (3,), "stem": StemConfig(3, 3, 1)},
        {"morphology": (3,), "family": "maxmin"},
        {"morphology": (4,)},
        {"morphology": (1,)},
        {"mean": 1.5, "morphology": (3,)},
        {"unknown": 1},
    ],
)
def test_config_refuses(change: dict[str, object]) -> None:
    good = {"family": "sortnet", "input_shape": (1, 5, 4), "classes": 3, "depth": 2, "width": 10}
    ModelConfig(**good)
    with pytest.raises(ValidationError):
        ModelConfig(**{**good, **change})


def test_stem_larger_than_the_image_is_refused() -> None:
    config = ModelConfig("sortnet", (1, 5, 4), 3, 2, 10, stem=StemConfig(3, 9, 1))
    with pytest.raises(ValueError, match="does not fit"):
        build_model(config)


@pytest.mark.parametrize("groups", [(16, 16), (1, 1), (7, 7), (16, 32)])
def test_masks_keep_the_group_of_the_layer_that_drew_them(groups: tuple[int, int]) -> None:
    """Against a chain that computes every output and counts the samples one by one."""
    model = make("sortnet")
    first, second, last = (layer for layer in model.layers if isinstance(layer, SortLinear))
    first.group, second.group, last.group = 32, *groups
    model.train()
    x = torch.rand(70, 1, 5, 4)
    masks = model.draw_masks(70)
    logits = model(x, masks)
    shifts = [layer for layer in model.layers if isinstance(layer, MeanShift)]
    values = first(model.layers[:2](x))
    for layer, shift in zip((second, last), shifts, strict=True):
        mask = next(m for p, m in masks.items() if model.layers[p] is layer)
        assert mask is not None and len(mask) == math.ceil(70 / layer.group)
        rows = mask.repeat_interleave(layer.group, 0)[:70]
        source = {second: first, last: second}[layer]
        read = rows if source.group == layer.group else torch.ones_like(rows)
        mean = (values * read).sum(0) / read.sum(0).clamp_min(1)
        assert torch.allclose(shift.running_mean, 0.1 * mean, atol=1e-6)
        values = layer(values - mean, mask)
    assert torch.allclose(-values, logits, atol=1e-5)
    for wrong in (0, -1, True, 2.5):
        first.group = last.group = wrong
        with pytest.raises(ValueError, match="group must be an integer of at least 1"):
            model(x)


@pytest.mark.parametrize("sizes", [[1, 9], [9, 1], [4, 1, 1, 4], [1, 1, 8]])
def test_a_single_sample_joins_its_neighbours_in_an_estimate(sizes: list[int]) -> None:
    model, other = make("sortnet"), make("sortnet")
    x = torch.rand(10, 1, 5, 4)
    estimate_means(model, x.split(sizes))
    first = next(layer for layer in model.layers if isinstance(layer, MeanShift))
    with torch.no_grad():
        assert torch.allclose(first.running_mean, model.layers[:3](x).mean(0), atol=1e-6)
    estimate_means(other, x.split([2, 8]))
    assert model(x).isfinite().all()
    with pytest.raises(ValueError, match="more than one value per unit"):
        estimate_means(other, [x[:1]])


def test_set_p_reaches_every_distance_layer() -> None:
    model = make("stem")
    set_p(model, 17.3)
    found = [m.p for m in model.modules() if hasattr(m, "p")]
    assert found == [17.3] * 3 and not math.isinf(found[0])


def test_dropping_sets_the_share_of_inputs_that_are_kept() -> None:
    model = make("stem")
    layers = [m for m in model.modules() if isinstance(m, SortLinear | SortConv2d)]
    set_dropping(model, 0)
    assert [layer.draw_mask(64) for layer in layers] == [None] * 3
    for share in (0.25, 1.0):
        set_dropping(model, share)
        for layer in layers:
            if layer.keep < 1:
                mask = layer.draw_mask(32 * 4000)
                assert mask is not None and mask.shape[0] == 4000
                assert mask.float().mean() == pytest.approx(1 - share * (1 - layer.keep), abs=0.02)
    for share in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            set_dropping(model, share)


def test_failed_estimate_leaves_all_means_and_names_the_layer() -> None:
    model = build_model(ModelConfig("sortnet", (1, 4, 4), 3, 3, 8))
    x = torch.rand(5, 1, 4, 4)
    estimate_means(model, [x])
    before = {k: v.clone() for k, v in model.state_dict().items()}

    def interrupted():
        yield x
        raise KeyboardInterrupt

    broken = x.clone()
    broken[0] = torch.nan
    with pytest.raises(FloatingPointError, match=r"layer layers\.3 \(MeanShift\): the means of 8"):
        estimate_means(model, [x, broken])
    with pytest.raises(KeyboardInterrupt):
        estimate_means(model, interrupted())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(model(x[:2]), model(x)[:2])  # running means, not those of the batch
