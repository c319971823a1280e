"""Chains in which one layer stands twice, or whose insides were exchanged; labels that are none."""

import pytest
import torch
from torch import nn

from sortnet import nn as snn
from sortnet.evaluation import (
    Certifier,
    NaiveCertifier,
    certificates,
    certified_accuracy,
    lipschitz_constant,
    margin_radius,
)
from sortnet.export import CertifiedSession, export_model
from sortnet.models import ModelConfig, build_model, network_of
from sortnet.nn.layer import LayerError

SHAPE = (1, 1, 2)


def steep() -> nn.Linear:
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = 4 * torch.eye(2)
    return layer


def chains() -> dict[str, nn.Sequential]:
    twice, relu = steep(), nn.ReLU()
    inner = nn.Sequential(steep(), relu)
    return {
        "tied": nn.Sequential(nn.Flatten(), twice, twice),
        "one ReLU": nn.Sequential(nn.Flatten(), steep(), relu, steep(), relu, nn.Identity()),
        "shared block": nn.Sequential(nn.Flatten(), inner, inner),
    }


@pytest.mark.parametrize("name", chains())
def test_a_layer_that_stands_twice_counts_twice(name: str, tmp_path) -> None:
    chain = chains()[name].eval()
    assert lipschitz_constant(chain) >= 16
    assert len(network_of(chain, SHAPE).ops) == len(list(chain.modules())) or name != "tied"
    x = torch.rand(7, *SHAPE)
    assert torch.allclose(Certifier(chain, SHAPE).predict(x).logits, chain(x), atol=1e-5)
    export_model(chain, tmp_path / "chain.onnx", input_shape=SHAPE)
    logits = CertifiedSession(tmp_path / "chain.onnx", threads=1).predict(x.numpy()).logits
    assert torch.allclose(torch.from_numpy(logits), chain(x), atol=1e-5)


def test_a_layer_tied_inside_a_net() -> None:
    torch.manual_seed(0)
    net = build_model(ModelConfig("sortnet", (1, 3, 3), 3, 3, 9)).eval()
    places = [i for i, layer in enumerate(net.layers) if isinstance(layer, snn.SortLinear)]
    net.layers[places[0]] = net.layers[places[1]]
    x = torch.rand(5, 1, 3, 3)
    assert torch.allclose(Certifier(net).predict(x).logits, net(x), atol=1e-5)


def test_insides_that_were_exchanged_are_noticed() -> None:
    layer = snn.SortLinear(2, 2, keep=0.5)
    layer.series = layer.series._replace(values=tuple(3 * v for v in layer.series.values))
    with pytest.raises(LayerError, match="something else"):
        margin_radius(nn.Sequential(nn.Flatten(), layer), torch.rand(2, *SHAPE))


def test_a_hook_on_a_compiled_module_is_refused() -> None:
    compiled = torch.compile(nn.Sequential(nn.Flatten(), steep()), backend="eager")
    compiled.register_forward_hook(lambda module, args, output: -output)
    with pytest.raises(LayerError, match="hook"):
        margin_radius(compiled, torch.rand(2, *SHAPE))


def test_naive_certificates_refuse_a_morphology_outside_its_range() -> None:
    chain = nn.Sequential(snn.Morphology2d(1, [3], 0, 0.1), nn.Flatten(), nn.Linear(27, 2))
    with pytest.raises(LayerError, match="Morphology"):
        NaiveCertifier(chain)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_cannot_be_copied_is_refused_by_name() -> None:
    for layer in (nn.Linear(2, 2).to("meta"), nn.utils.weight_norm(nn.Linear(2, 2))):
        with pytest.raises(LayerError, match=r"meta device|hook|Linear"):
            margin_radius(nn.Sequential(nn.Flatten(), layer), torch.rand(2, *SHAPE))


def test_a_chain_without_parameters() -> None:
    assert (
        Certifier(nn.Sequential(nn.Flatten(), nn.Tanh()), SHAPE)
        .predict(torch.tensor([[[[0.9, 0.1]]]]))
        .radius
        > 0.2
    )


@pytest.mark.parametrize(
    "labels",
    [
        torch.zeros(6, 1, dtype=torch.int64),
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(6),
        torch.zeros(6, dtype=torch.bool),
        [0] * 6,
    ],
)
def test_labels_of_other_kinds_and_shapes_are_refused(labels: object) -> None:
    chain, x = nn.Sequential(nn.Flatten(), steep()), torch.rand(6, *SHAPE)
    for call in (certificates, certified_accuracy):
        with pytest.raises(ValueError, match=r"integer labels \[6\]"):
            call(chain, x, labels, [0.1])
    with pytest.raises(ValueError, match="list of radii"):
        certified_accuracy(chain, x, torch.zeros(6, dtype=torch.int64), "8/255")
    with pytest.raises(ValueError, match="batch"):
        certified_accuracy(chain, x, torch.zeros(6, dtype=torch.int64), [0.1], batch=-1)
