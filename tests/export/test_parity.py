"""PyTorch, ONNX Runtime with and without the library, and onnx.reference compute the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import F32, any_networks, images, start
from torch.optim.swa_utils import AveragedModel

from sortnet.base.units import eps_to_float
from sortnet.certificate.analysis import analyse
from sortnet.certificate.network import Network
from sortnet.export import CertifiedSession, ExportError, export_model, network_from_torch
from sortnet.export.report import into_ball
from sortnet.export.verifier import verify_model
from sortnet.export.writer import build_interval_model, build_model
from sortnet.models import ModelConfig, StemConfig
from sortnet.models import build_model as torch_model

RUNTIME = tuple(map(int, onnxruntime.__version__.split(".")[:2]))
FEW = settings(max_examples=25, deadline=None)


def reference(
    model: onnx.ModelProto, feed: dict[str, np.ndarray], names: list[str]
) -> list[np.ndarray]:
    with warnings.catch_warnings():
        # The reference multiplies by zero-padded matrices that may hold infinities.
        warnings.simplefilter("ignore", RuntimeWarning)
        return onnx.reference.ReferenceEvaluator(model).run(names, feed)


def everywhere(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> list[list[np.ndarray]]:
    data = model.SerializeToString()
    names = [info.name for info in model.graph.output if info.name != "unit"]
    results = [
        start(data, library, optimize).run(names, feed)
        for library in (True, False)
        for optimize in (True, False)
        # Older runtimes divide by zero (the process dies) in a function with an empty batch.
        if library or len(feed["input"]) or RUNTIME >= (1, 32)
    ]
    if len(feed["input"]) == 0:
        return results  # onnx.reference cannot flatten an empty batch
    return [*results, reference(model, feed, names)]


@FEW
@given(any_networks(), st.booleans(), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_every_host_agrees(network: Network, margin: bool, count: int, seed: int) -> None:
    x = images(np.random.default_rng(seed), network, count)
    analysis = analyse(network)
    model = build_model(network, None if margin else Fraction(1, 50), analysis=analysis)
    onnx.checker.check_model(model, full_check=True)
    proof = verify_model(model)
    assert proof.proved and not proof.notes, (proof.reasons, proof.notes)
    exact = network.value(x)
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
@given(any_networks(), st.floats(1e-4, 0.2), st.integers(0, 2**32 - 1))
def test_interval_model_agrees_and_holds(network: Network, eps: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = images(rng, network, 4)
    label = network.value(x).argmax(1)
    eps = float(F32(eps))
    spec, unit = network.input, network.input.unit
    model = build_interval_model(network, analyse(network))
    feed = {"input": x, "label": label, "reach": network.input.reach(eps)}
    hosts = [certified for (certified,) in everywhere(model, feed)]
    for certified in hosts:
        for _ in range(20):
            near = into_ball(x + rng.choice([-eps, eps, 0], size=x.shape) * unit, x, eps, spec)
            assert (network.value(near).argmax(1) == label)[certified].all()


@FEW
@given(any_networks(), st.sampled_from([np.nan, np.inf, -np.inf, "below", "above"]))
def test_the_graph_gives_no_radius_outside_the_box(network: Network, value: float | str) -> None:
    rng = np.random.default_rng(0)
    x = images(rng, network, 3)
    place = rng.integers(x[1].size)
    if isinstance(value, str):  # by one float
        end, to = {"below": (network.input.low, -np.inf), "above": (network.input.high, np.inf)}[
            value
        ]
        value = np.nextafter(end.reshape(-1)[place], F32(to))
    x[1].reshape(-1)[place] = value
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
    ModelConfig("standard", (1, 4, 4), 3, 2, 12, activation="piecewise-linear"),
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
        logits, label = start(path, library).run(["logits", "label"], {"input": x.numpy()})
        # Both are within E of the exact logits; torch sums affine layers in float32.
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=2e-6 + 2 * analysis.error)
        assert (label == expected.argmax(1)).all()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: net.layers,
        lambda net: torch.nn.Sequential(net.layers[:2], torch.nn.Sequential(*net.layers[2:])),
        torch.nn.DataParallel,
        AveragedModel,
        lambda net: torch.nn.Sequential(net),
    ],
    ids=["Sequential", "nested", "DataParallel", "AveragedModel", "around a net"],
)
def test_wrapped_models_export_like_what_they_wrap(
    wrap: Callable[[torch.nn.Module], torch.nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = torch_model(CONFIGS[0])
    export_model(model, tmp_path / "plain.onnx")
    wrapped = wrap(model)
    export_model(wrapped, tmp_path / "wrapped.onnx", input_shape=(1, 5, 5))
    plain, other = ((tmp_path / f"{name}.onnx").read_bytes() for name in ("plain", "wrapped"))
    assert plain == other
    if isinstance(wrapped, torch.nn.Sequential):
        with pytest.raises(ValueError, match="shape of one sample is needed"):
            export_model(wrapped, tmp_path / "none.onnx")


def test_names_travel_with_the_file_and_are_never_needed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torch_model(CONFIGS[6])
    classes, pixels = ["cat", "dog", "Ästhet"], [f"p{i}" for i in range(16)]
    path = tmp_path / "model.onnx"
    export_model(model, path, class_names=classes, feature_names=pixels)
    session = CertifiedSession(path)
    assert session.class_names == tuple(classes) and session.feature_names == tuple(pixels)
    for names in ({"class_names": classes[:2]}, {"feature_names": classes}):
        with pytest.raises(ExportError, match="do not fit"):
            export_model(model, tmp_path / "other.onnx", **names)  # type: ignore[arg-type]
    for lie in ("no json", "[1, 2, 3]", '["a"]', "3"):
        changed = onnx.load(path)
        next(p for p in changed.metadata_props if "class_names" in p.key).value = lie
        onnx.save(changed, tmp_path / "lie.onnx")
        assert CertifiedSession(tmp_path / "lie.onnx").class_names is None


def test_what_cannot_be_exported_is_named(tmp_path: Path) -> None:
    model = torch_model(CONFIGS[1])
    with pytest.raises(ExportError, match="MLP head"):
        export_model(model, tmp_path / "model.onnx")
    model.layers.append(torch.nn.GELU())
    with pytest.raises(ExportError, match="GELU at layers"):
        network_from_torch(model)
    del model.layers[-1]
    torch.nn.init.constant_(model.layers[2].weight, float("nan"))
    with pytest.raises(ValueError, match="NaN"):
        export_model(model, tmp_path / "model.onnx", "1/50")
    assert not list(tmp_path.iterdir())
