"""PyTorch, ONNX Runtime with and without the library, and onnx.reference compute the same."""

from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import F32, evaluate, images, networks, start

from sortnet.base.units import eps_to_float
from sortnet.certificate.analysis import analyse, ball_reach
from sortnet.certificate.network import Network
from sortnet.export import ExportError, export_model, network_from_torch
from sortnet.export.graph import build_interval_model, build_model
from sortnet.models.net import ModelConfig, StemConfig
from sortnet.models.net import build_model as torch_model

FEW = settings(max_examples=25, deadline=None)


def reference(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    with warnings.catch_warnings():
        # The reference multiplies by zero-padded matrices that may hold infinities.
        warnings.simplefilter("ignore", RuntimeWarning)
        return onnx.reference.ReferenceEvaluator(model).run(None, feed)


def everywhere(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> list[list[np.ndarray]]:
    data = model.SerializeToString()
    results = [
        start(data, library, optimize).run(None, feed)
        for library in (True, False)
        for optimize in (True, False)
    ]
    if len(feed["input"]) == 0:
        return results  # onnx.reference cannot flatten an empty batch
    return [*results, reference(model, feed)]


@FEW
@given(networks(), st.booleans(), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_every_host_agrees(network: Network, margin: bool, count: int, seed: int) -> None:
    x = images(np.random.default_rng(seed), network, count)
    analysis = analyse(network)
    model = build_model(network, None if margin else Fraction(1, 50), analysis=analysis)
    onnx.checker.check_model(model, full_check=True)
    exact = evaluate(network, x)
    hosts = everywhere(model, {"input": x})
    for logits, label, radius in hosts:
        assert logits.shape == (count, network.classes) and logits.dtype == F32
        assert label.dtype == np.int64 and radius.dtype == F32
        assert (np.abs(logits - exact) <= analysis.error).all()
        assert (label == logits.argmax(1)).all() and (radius >= 0).all()
        if margin:
            top = np.sort(logits, axis=1)
            sound = (top[:, -1] - top[:, -2] - 4 * analysis.error) / (2 * analysis.lipschitz)
            assert (radius <= np.maximum(sound, 0)).all()
            # The margin's own rounding and the scale's 2^-20 are all that is lost.
            lost = 2**-20 + 1e-5 * np.abs(sound) + analysis.margin_slack / analysis.lipschitz
            assert (radius >= sound - lost).all()
        else:
            assert np.isin(radius, [0, F32(eps_to_float("1/50"))]).all()


@FEW
@given(networks(), st.floats(1e-4, 0.2), st.integers(0, 2**32 - 1))
def test_interval_model_agrees_and_holds(network: Network, eps: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = images(rng, network, 4)
    label = evaluate(network, x).argmax(1)
    eps = float(F32(eps))
    model = build_interval_model(network, analyse(network))
    feed = {"input": x, "label": label, "reach": np.asarray(ball_reach(eps), F32)}
    hosts = [certified for (certified,) in everywhere(model, feed)]
    for certified in hosts:
        for _ in range(20):
            near = np.clip(x + rng.choice([-eps, eps, 0], size=x.shape), 0, 1)
            assert (evaluate(network, near).argmax(1) == label)[certified].all()


@FEW
@given(networks(), st.sampled_from([np.nan, np.inf, -np.inf, -1e-6, 1 + 1e-6, -0.5, 2.0]))
def test_the_graph_gives_no_radius_outside_the_box(network: Network, pixel: float) -> None:
    rng = np.random.default_rng(0)
    x = images(rng, network, 3)
    x[1].reshape(-1)[rng.integers(x[1].size)] = pixel
    for eps in (None, Fraction(1, 10**6)):
        data = build_model(network, eps).SerializeToString()
        for library in (True, False):
            radius = start(data, library).run(["radius"], {"input": x})[0]
            assert radius[1] == 0


CONFIGS = [
    ModelConfig("sortnet", (1, 5, 5), 3, 3, 20, mean=0.1, std=0.3),
    ModelConfig("sortnet", (1, 5, 5), 3, 2, 20, hidden=7),
    ModelConfig("sortnet", (3, 6, 5), 4, 3, 16, stem=StemConfig(5, 3, 2, 1)),
    ModelConfig("linf-dist", (1, 5, 5), 3, 2, 20, keep=1.0),
    ModelConfig("sortnet", (2, 5, 4), 3, 3, 16, mean=0.4, std=0.3, morphology=(3, 5)),
    ModelConfig("maxmin", (1, 4, 4), 3, 3, 12),
    ModelConfig("groupsort", (1, 4, 4), 3, 3, 15),
    ModelConfig("standard", (1, 4, 4), 3, 2, 12, activation="abs"),
    ModelConfig("relu", (1, 4, 4), 3, 2, 12),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.family}-{c.hidden}-{bool(c.stem)}")
def test_torch_models_export(config: ModelConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torch_model(config).eval()
    for module in model.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.normal_()
    path = tmp_path / "model.onnx"
    eps = "1/50" if config.hidden else None
    analysis = export_model(model, path, eps, preset="none")
    x = torch.rand(9, *config.input_shape)
    with torch.no_grad():
        expected = model(x).numpy()
    for library in (True, False):
        logits, label, _ = start(path, library).run(None, {"input": x.numpy()})
        # Both are within E of the exact logits; torch sums affine layers in float32.
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=2e-6 + 2 * analysis.error)
        assert (label == expected.argmax(1)).all()


def test_what_cannot_be_exported_is_named(tmp_path: Path) -> None:
    model = torch_model(CONFIGS[1])
    with pytest.raises(ExportError, match="MLP head"):
        export_model(model, tmp_path / "model.onnx")
    learned = ModelConfig("standard", (1, 4, 4), 3, 2, 12, activation="piecewise-linear")
    with pytest.raises(ExportError, match="PiecewiseLinear"):
        network_from_torch(torch_model(learned))
    torch.nn.init.constant_(model.layers[2].weight, float("nan"))
    with pytest.raises(ValueError, match="NaN"):
        export_model(model, tmp_path / "model.onnx", "1/50")
    assert not list(tmp_path.iterdir())
