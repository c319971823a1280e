"""Only what computes what its class says is certified, bounded, exported or put under a theorem."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.parametrize import register_parametrization
from torch.optim.swa_utils import AveragedModel

from sortnet import nn as snn
from sortnet.export import ExportError, export_model
from sortnet.models import CertifiedNet, ModelConfig, build_model, chain_of, declared, network_of
from sortnet.nn import LayerError
from sortnet.nn.known import LAYERS, TORCH, declared_by, layer_bounds, layer_lipschitz
from sortnet.theory.objects.convert import exact_network


class TenTimes(snn.SortLinear):
    def forward(self, x: Tensor, *masks: Tensor | None) -> Tensor:
        return 10 * super().forward(x, *masks)


class Falling(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        return -3 * super().forward(x)


class Bent(nn.ReLU):
    """1-Lipschitz, but not monotone."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


class Scaled(snn.Negate):
    """Declares its operations, as only the toolkit's own layers may."""

    def forward(self, x: Tensor) -> Tensor:
        return -2 * x


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class Doubled(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        snn.Normalize(0.5, 0.5),
        nn.Flatten(),
        snn.SortLinear(6, 4),
        snn.MeanShift(4),
        nn.ReLU(),
        nn.Sequential(nn.Linear(4, 3), nn.Identity()),
    )


def replaced(position: int, layer: nn.Module) -> nn.Sequential:
    model = small()
    model[position] = layer
    return model


def hooked(name: str, position: int | None) -> nn.Sequential:
    model = small()
    module = model if position is None else model[position]
    getattr(module, name)(lambda *arguments: None)
    return model


def parametrised(position: int) -> nn.Sequential:
    model = small()
    register_parametrization(model[position], "weight", Double())
    return model


def spectral(model: nn.Sequential) -> nn.Sequential:
    parametrizations.spectral_norm(model[5][0])
    return model


def pruned(model: nn.Sequential) -> nn.Sequential:
    prune.l1_unstructured(model[2], "weight", 0.5)
    return model


def overridden(position: int) -> nn.Sequential:
    model = small()
    model[position].forward = lambda x: 10 * x  # type: ignore[method-assign]
    return model


def estimating() -> nn.Sequential:
    model = small()
    model[3].start_estimate()
    return model


STRANGERS = {
    "subclass of a sort layer": (lambda: replaced(2, TenTimes(6, 4)), "subclass of SortLinear"),
    "subclass with another slope": (lambda: replaced(4, Falling()), "subclass of ReLU"),
    "subclass that is not monotone": (lambda: replaced(4, Bent()), "subclass of ReLU"),
    "subclass with operations": (lambda: replaced(4, Scaled()), "subclass of Negate"),
    "subclass of a container": (lambda: replaced(5, Doubled(nn.Linear(4, 3))), "Doubled at 5"),
    "unknown layer": (lambda: replaced(4, nn.GELU()), "GELU at 4 is not a layer"),
    "dropout": (lambda: replaced(4, nn.Dropout()), "Dropout at 4 is not a layer"),
    "forward hook": (lambda: hooked("register_forward_hook", 2), "at 2 has a forward hook"),
    "pre-hook": (
        lambda: hooked("register_forward_pre_hook", 4),
        "at 4 has a forward pre-hook",
    ),
    "hook of a container": (lambda: hooked("register_forward_hook", 5), "at 5 has a forward hook"),
    "hook of the chain": (
        lambda: hooked("register_forward_hook", None),
        "Sequential has a forw",
    ),
    "parametrisation": (lambda: parametrised(2), "parametrisations of weight"),
    "spectral norm": (lambda: spectral(small()), "parametrisations of weight"),
    "pruning": (lambda: pruned(small()), "SortLinear at 2 has a forward pre-hook"),
    "forward of the instance": (lambda: overridden(3), "MeanShift at 3 has its own forward"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_are_refused_by_name_everywhere(name, tmp_path):
    make, message = STRANGERS[name]
    model = make()
    with pytest.raises(LayerError, match=message):
        chain_of(model)
    with pytest.raises(LayerError, match=message):
        network_of(model, (1, 2, 3))
    with pytest.raises(ExportError, match=message):
        export_model(model, tmp_path / "model.onnx", "1/255", input_shape=(1, 2, 3))
    with pytest.raises(ValueError, match=message):
        exact_network(model)
    assert not list(tmp_path.iterdir())


def test_states_that_evaluation_does_not_have_are_refused():
    with pytest.raises(LayerError, match="MeanShift is in the middle of an estimate"):
        network_of(estimating(), (1, 2, 3))
    with pytest.raises(LayerError, match="plain Flatten"):
        network_of(replaced(1, nn.Flatten(0)), (1, 2, 3))
    wide = small().double()
    network_of(wide, (1, 2, 3))  # float32 holds every weight
    wide[2].weight.data[0, 0] = 1 / 3
    with pytest.raises(LayerError, match="float32 cannot hold"):
        network_of(wide, (1, 2, 3))


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ([], None),
        ([snn.Normalize(0.0, 1.0)], None),
        ([snn.Normalize(0.01, 1.0)], None),  # within the slack
        ([snn.Normalize(0.1, 1.0)], r"may reach from -0\.1"),
        ([snn.Normalize(0.0, 0.5)], r"\[0\.0, 1\.0\].* to 2\.0"),
        ([snn.Normalize(0.5, 0.25), nn.ReLU()], r"to 2\.0"),
        ([snn.Normalize(0.5, 0.5), nn.Tanh()], "may reach from -0.76"),
        ([snn.Morphology2d(1, [3], 0, 1)], "may reach"),
    ],
)
def test_morphology_is_only_known_for_its_range(before, message):
    """Outside of it extremes are not distances: the exported file would compute something else."""
    channels = 3 if before and isinstance(before[0], snn.Morphology2d) else 1
    layer = snn.Morphology2d(channels, [3], 0, 1)
    model = nn.Sequential(*before, layer, nn.Flatten(), snn.LInfDistLinear(27 * channels, 2))
    if message is None:
        assert network_of(model, (1, 3, 3)).input_shape == (1, 3, 3)
        assert copy.deepcopy(layer).input_range == (0.0, 1.0)
        return
    with pytest.raises(LayerError, match=message):
        network_of(model, (1, 3, 3))


def test_hooks_for_all_modules_are_refused():
    for register in (
        nn.modules.module.register_module_forward_hook,
        nn.modules.module.register_module_forward_pre_hook,
    ):
        handle = register(lambda *arguments: None)
        try:
            with pytest.raises(LayerError, match="hook for all modules"):
                network_of(small(), (1, 2, 3))
        finally:
            handle.remove()
    network_of(small(), (1, 2, 3))


def test_a_forward_replaced_in_its_class_is_refused(monkeypatch):
    for kind in (snn.SortLinear, nn.ReLU):
        with monkeypatch.context() as patch:
            patch.setattr(kind, "forward", lambda self, x: 10 * x)
            with pytest.raises(LayerError, match=f"the forward of {kind.__name__} was replaced"):
                network_of(small(), (1, 2, 3))


def test_every_layer_of_the_package_is_known():
    public = {getattr(snn, name) for name in snn.__all__}
    kinds = {
        kind
        for kind in public
        if isinstance(kind, type) and issubclass(kind, snn.Layer) and kind is not snn.Layer
    }
    assert kinds == set(LAYERS) and len(set(LAYERS)) == len(LAYERS)
    assert not kinds & set(TORCH)


def test_wrapped_models_are_unwrapped(tmp_path):
    config = ModelConfig("sortnet", (1, 3, 2), 3, 2, 5)
    model = build_model(config)
    reference = network_of(model)
    weights = [op.W for op in reference.ops if hasattr(op, "W")]
    for wrapped in (
        nn.DataParallel(model),
        AveragedModel(model),
        torch.compile(model),
        nn.Sequential(model),
    ):
        found = network_of(wrapped, (1, 3, 2))
        assert found.input_shape == (1, 3, 2)
        for ours, theirs in zip(
            weights, (op.W for op in found.ops if hasattr(op, "W")), strict=True
        ):
            assert np.array_equal(ours, theirs)
    export_model(nn.DataParallel(model), tmp_path / "wrapped.onnx")
    export_model(model, tmp_path / "plain.onnx")
    files = [tmp_path / name for name in ("wrapped.onnx", "plain.onnx")]
    assert files[0].read_bytes() == files[1].read_bytes()
    hooked = nn.DataParallel(model)
    hooked.register_forward_hook(lambda *arguments: None)
    with pytest.raises(LayerError, match="DataParallel has a forward hook"):
        network_of(hooked)


def test_the_shape_of_a_chain_is_asked_for_and_compared():
    with pytest.raises(ValueError, match="shape of one sample is needed for a Sequential"):
        network_of(small())
    model = build_model(ModelConfig("sortnet", (1, 3, 2), 3, 2, 5))
    with pytest.raises(ValueError, match=r"inputs of shape \(1, 3, 2\), got \(1, 2, 3\)"):
        network_of(model, (1, 2, 3))


class Net(CertifiedNet):
    def forward(self, x: Tensor, masks: object = None) -> Tensor:
        return 10 * super().forward(x)


def test_a_subclass_of_the_network_is_refused():
    with pytest.raises(LayerError, match="Net is not a layer"):
        chain_of(Net(ModelConfig("sortnet", (1, 3, 2), 3, 2, 5)))


class Clamp(nn.Module):
    """A layer of a user's own."""

    lipschitz = 1.0

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(0, self.most)

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        return self(lower), self(upper)


class HalfDeclared(nn.Module):
    lipschitz = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return x


class Silent(snn.GroupSort):
    """Inherits its facts from a layer of ours and computes something else."""

    def forward(self, x: Tensor) -> Tensor:
        return 10 * x


class Method(Clamp):
    def lipschitz(self) -> float:  # type: ignore[override]
        return self.most


def test_own_layers_may_declare_and_serve_what_asks_for_declarations():
    model = replaced(4, Clamp(2.0))
    with pytest.raises(LayerError, match="Clamp at 4 is a layer of your own"):
        chain_of(model)
    layers = chain_of(model, declared=True)
    assert [declared_by(layer) for layer in layers if declared_by(layer)] == ["Clamp"]
    assert declared(model) == ["Clamp"] and declared(small()) == []
    assert layer_lipschitz(layers[4]) == 1 and layer_lipschitz(Method(0.5)) == 0.5
    low, high = layer_bounds(layers[4], torch.tensor([-1.0, 1.0]), torch.tensor([1.0, 3.0]))
    assert low.tolist() == [0, 1] and high.tolist() == [1, 2]
    with pytest.raises(LayerError, match="Clamp at 4"):
        network_of(model, (1, 2, 3))
    for stranger in (HalfDeclared(), Silent(2), TenTimes(4, 4)):
        with pytest.raises(LayerError, match=type(stranger).__name__):
            chain_of(replaced(4, stranger), declared=True)
    hooked = copy.deepcopy(model)
    hooked[4].register_forward_hook(lambda *arguments: None)
    with pytest.raises(LayerError, match="Clamp at 4 has a forward hook"):
        chain_of(hooked, declared=True)


@pytest.mark.parametrize("value", [None, -1.0, float("nan"), float("inf"), "much"])
def test_a_declaration_is_a_finite_number(value):
    layer = Clamp(1.0)
    layer.lipschitz = value
    with pytest.raises(LayerError, match="Clamp"):
        layer_lipschitz(layer)


def test_known_lipschitz_constants_hold():
    torch.manual_seed(0)
    x = torch.rand(50, 6, dtype=torch.float64)
    step = torch.rand(50, 6, dtype=torch.float64) - 0.5
    layers = [
        *(nn.Linear(6, 4) for _ in range(3)),
        nn.ReLU(),
        nn.Tanh(),
        nn.Identity(),
        nn.Flatten(),
        snn.Normalize(0.3, 0.3),
        snn.SortLinear(6, 4),
        snn.OrderStatisticLinear(6, 4),
        snn.LipschitzLinear(6, 4),
        snn.PiecewiseLinear(6),
        snn.GroupSort(3),
        snn.Abs(),
    ]
    for layer in layers:
        layer.double().eval()
        moved = (layer(x + step) - layer(x)).abs().amax(1)
        assert (moved <= layer_lipschitz(layer) * step.abs().amax(1) * (1 + 1e-9)).all(), layer
    linear = nn.Linear(2, 1)
    linear.weight.data = torch.tensor([[1.5, -0.25]])
    assert 1.75 <= layer_lipschitz(linear) < 1.75 * (1 + 1e-14)
