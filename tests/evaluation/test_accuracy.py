import dataclasses

import numpy as np
import pytest
import tiny
import torch
from torch import nn

from sortnet.data import Split
from sortnet.evaluation import Certifier
from sortnet.evaluation.accuracy import (
    CertificateViolationError,
    evaluate,
    reestimate_means,
)
from sortnet.evaluation.attack import pgd, smoothed_logits
from sortnet.evaluation.frozen import FrozenChain
from sortnet.models import build_model
from sortnet.training import (
    PRESETS,
    ROWS,
    comparison_row,
    get_preset,
    model_config,
    preset_from_dict,
)


def network(family: str = "sortnet"):
    torch.manual_seed(0)
    model = build_model(tiny.config(tiny.preset(family)).model)
    reestimate_means(model, tiny.dataset().train)
    return model


@pytest.mark.parametrize("family", ["sortnet", "sortnet-mlp", "sortnet-conv", "ibp-relu"])
def test_order_holds_on_untrained_networks(family):
    data = tiny.dataset(test=60)
    result = evaluate(network(family), data.test, ["1/1000", "0.3"], attack_steps=8, batch_size=25)
    for eps in ("1/1000", "0.3"):
        assert result.certified[eps] <= result.pgd[eps] <= result.clean
    assert result.certified["0.3"] <= result.certified["1/1000"]
    if family != "sortnet-conv":  # its logits at the start hardly depend on the image
        assert result.pgd["0.3"] < result.clean
    assert result.samples == result.pgd_samples == 60


def test_part_of_the_samples_can_be_attacked_or_none():
    data = tiny.dataset()
    some = evaluate(network(), data.test, ["0.1"], attack_steps=2, attack_samples=7)
    none = evaluate(network(), data.test, ["0.1"], attack_steps=0)
    assert some.pgd_samples == 7 and none.pgd == {} and none.certified == some.certified


def test_a_broken_certificate_is_told_after_the_figures(monkeypatch):
    """Nothing is lost where a certificate lies: the figures come first, then the samples' names."""
    monkeypatch.setattr(
        Certifier, "certify", lambda self, x, eps, prediction: torch.ones(len(x), dtype=torch.bool)
    )
    result = evaluate(network(), tiny.dataset().test, ["0.4"], attack_steps=10)
    assert result.broken["0.4"] and result.certified["0.4"] <= result.pgd["0.4"] <= result.clean
    first = result.broken["0.4"][0]
    with pytest.raises(CertificateViolationError, match=rf"fooled .*: samples {first}"):
        result.check()
    assert result.summary()["broken"] == result.broken


class Clamp(torch.nn.Module):
    """A layer of a user's own: 1-Lipschitz, and monotone."""

    lipschitz = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(-3, 3)

    def bounds(self, lower: torch.Tensor, upper: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self(lower), self(upper)


def test_sound_certificates_where_rounding_is_known_and_naive_ones_else():
    own = network()
    own.layers.insert(len(own.layers), Clamp())
    sound = evaluate(network(), tiny.dataset().test, ["0.05"], attack_steps=2)
    naive = evaluate(own, tiny.dataset().test, ["0.05"], attack_steps=2)
    assert (sound.kind, naive.kind) == ("sound", "naive, as declared by Clamp")
    assert sound.summary()["certificates"] == "sound" and not sound.broken
    dataclasses.replace(naive, broken={"0.05": [1]}).check()  # rounding, not a bug


def test_empty_split_and_bad_eps_are_refused():
    data = tiny.dataset()
    with pytest.raises(ValueError, match="empty"):
        evaluate(network(), data.test.take(np.arange(0)), ["0.1"])
    with pytest.raises(ValueError, match="radius"):
        evaluate(network(), data.test, ["0"])


def test_images_and_labels_of_another_network_are_refused():
    test = tiny.dataset().test
    for label in (-1, 3):
        labels = test.labels.copy()
        labels[7] = label
        wrong = dataclasses.replace(test, labels=labels)
        with pytest.raises(ValueError, match=rf"0\.\.2; 1 are not, e\.g\. {label} of sample 7"):
            evaluate(network(), wrong, ["0.1"])
    wide = dataclasses.replace(test, inputs=test.inputs.repeat(2, 3))
    with pytest.raises(ValueError, match=r"takes images \[1, 6, 6\], the data has \[1, 6, 12\]"):
        evaluate(network(), wide, ["0.1"])


def test_one_radius_under_two_names():
    result = evaluate(network(), tiny.dataset().test, ["0.1", "1/10"], attack_steps=2)
    assert result.certified["0.1"] == result.certified["1/10"]
    assert result.pgd["0.1"] == result.pgd["1/10"]


def test_pgd_stays_in_the_ball_and_the_box_and_leaves_the_model_alone():
    model = network().train()
    data = tiny.dataset()
    x, y = torch.from_numpy(data.test.floats()), torch.from_numpy(data.test.labels)
    point = pgd(model, x, y, 0.2, steps=12)
    assert (point - x).abs().max() <= 0.2 + 1e-6 and point.min() >= 0 and point.max() <= 1
    assert model.training and all(p.requires_grad for p in model.parameters())
    wrong = model.eval()(x).argmax(1) != y
    assert torch.equal(point[wrong], x[wrong])
    for eps, steps, words in ((0.0, 5, "radius"), (0.1, 0, "steps")):
        with pytest.raises(ValueError, match=words):
            pgd(model, x, y, eps, steps)


@pytest.mark.parametrize("eps", [0.02, 0.1, 0.3])
def test_pgd_is_exact_on_an_affine_classifier_of_two_classes(eps):
    """There the worst case over the clipped ball is a corner, known in closed form."""
    preset = tiny.preset("standard-relu").override(["model.depth=1"])
    torch.manual_seed(1)
    data = tiny.dataset(test=200, classes=2)
    model = build_model(model_config(preset, data)).eval()
    x = torch.from_numpy(data.test.floats())
    y = model(x).argmax(1)
    slope = torch.autograd.functional.jacobian(lambda v: model(v).sum(0), x[:1])[:, 0].flatten(1)
    low, high = (x - eps).clamp(0, 1).flatten(1), (x + eps).clamp(0, 1).flatten(1)
    d = slope[y] - slope[1 - y]
    at_corner = model(torch.where(d > 0, low, high).reshape(x.shape))
    worst = at_corner.gather(1, y[:, None])[:, 0] - at_corner.gather(1, 1 - y[:, None])[:, 0]
    fooled = model(pgd(model, x, y, eps, steps=20)).argmax(1) != y
    clear = worst.abs() > 1e-3
    assert torch.equal(fooled[clear], (worst < 0)[clear])
    assert clear.float().mean() > 0.9 and (eps < 0.3 or (worst < 0).any())


@pytest.mark.parametrize("family", ["sortnet", "sortnet-conv", "linf-dist"])
def test_smoothed_gradient_reaches_more_pixels_with_the_same_values(family):
    model = network(family).eval()
    x = torch.from_numpy(tiny.dataset().test.floats()).requires_grad_()
    exact, smooth = model(x), smoothed_logits(FrozenChain(model), x, 8.0)
    assert torch.equal(exact, smooth)
    dense = torch.autograd.grad(smooth[:, 0].sum(), x)[0]
    sparse = torch.autograd.grad(exact[:, 0].sum(), x)[0]
    assert (dense != 0).sum() > (sparse != 0).sum() > 0


def test_all_presets_of_the_paper_are_there_and_valid():
    assert {
        "mnist-0.1",
        "mnist-0.3",
        "cifar10-2/255",
        "cifar10-2/255-mlp",
        "cifar10-8/255",
        "cifar10-8/255-mlp",
        "tinyimagenet-mlp",
        "tinyimagenet-2x",
        "imagenet64-mlp",
        "imagenet64-2x",
        "digits",
        "fashion-mnist-0.1",
        "fashion-mnist-0.1-fast",
    } <= set(PRESETS)
    data = tiny.dataset()
    shapes = {"cifar10": (3, 32, 32), "tinyimagenet": (3, 64, 64), "imagenet64": (3, 64, 64)}
    for preset in PRESETS.values():
        small = preset.override(["model.width=30", "model.mean=0.5", "model.std=0.3"])
        shape = list(shapes.get(preset.data, (1, 28, 28)))
        config = model_config(small.override([f"model.input_shape={shape}"]), data)
        assert build_model(config) is not None
    reference = get_preset("cifar10-8/255").recipe
    assert (reference.eps_train, reference.epochs, reference.p_ramp) == (
        "24/255",
        3000,
        (200, 2950),
    )
    assert reference.eps_train_float >= 24 / 255


@pytest.mark.parametrize("row", ROWS)
def test_comparison_rows_build_on_the_same_harness(row):
    base = get_preset("digits").override(["recipe.keep_ramp=[5, 9]"])
    preset = comparison_row(base, row).override(["model.width=20", "model.depth=2"])
    assert preset.recipe.keep_ramp == ((5, 9) if row == "sortnet" else (0, 0))
    config = model_config(preset, tiny.dataset())
    from sortnet.training.objective import Objective

    Objective(build_model(config), preset.recipe)
    assert preset.recipe.eps_test == get_preset("digits").recipe.eps_test


def test_wrong_presets_are_refused_in_one_line():
    for settings, message in (
        (["recipe.lr=0"], "lr"),
        (["recipe.p_ramp=[5, 2]"], "p_ramp"),
        (["recipe.keep_ramp=[5, 2]"], "keep_ramp"),
        (["recipe.eps_train=-1"], "radius"),
        (["recipe.ema=1"], "ema"),
        (["recipe.ce_weight=[0, 1]"], "ce_weight"),
        (["recipe.p_first=0.5"], "p_first"),
        (["recipe.objective=other"], "objective"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            get_preset("digits").override(settings)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="unknown row"):
        comparison_row(get_preset("digits"), "alexnet")
    with pytest.raises(ValueError, match="invalid preset"):
        preset_from_dict({"name": "x"})


def test_models_that_build_model_did_not_make_are_refused_in_words() -> None:
    split = Split(np.zeros((2, 1, 2, 2), np.uint8), np.zeros(2, np.int64))
    with pytest.raises(TypeError, match=r"expected a network of build_model or load_run, got Seq"):
        evaluate(nn.Sequential(nn.Flatten()), split, ["0.1"])  # type: ignore[arg-type]
