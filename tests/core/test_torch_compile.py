"""Layers and nets under torch.compile and torch.export, in both modes, for several batches."""

import pytest
import torch
from torch import nn

from sortnet import nn as snn
from sortnet.models import CertifiedNet, ModelConfig, build_model, set_dropping, set_p

# Shapes are what differs; torch's own code warns of its deprecations.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

MODELS = {
    "sort": lambda: (snn.SortLinear(12, 5, bias=True), (12,)),
    "conv": lambda: (snn.SortConv2d(2, 3, 3, padding=1), (2, 4, 4)),
    "signal": lambda: (snn.SortConv1d(2, 3, 3), (2, 9)),
    "net": lambda: (build_model(ModelConfig("sortnet", (1, 4, 3), 3, 3, 8)), (1, 4, 3)),
    "head": lambda: (build_model(ModelConfig("sortnet", (1, 4, 3), 3, 2, 8, hidden=4)), (1, 4, 3)),
}
BATCHES = (8, 40, 5, 70)


def make(name: str, training: bool) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(0)
    torch.compiler.reset()
    model, shape = MODELS[name]()
    return model.train(training), shape


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_compiled_for_several_batches(name, training):
    model, shape = make(name, training)
    set_p(model, 8.0)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for batch in BATCHES:
        x = torch.rand(batch, *shape)
        y = compiled(x)
        assert y.shape[0] == batch and y.isfinite().all()
        gradients = torch.autograd.grad(y.sum(), list(model.parameters()))
        if not training:
            expected = model(x)
            assert torch.equal(y, expected)
            wanted = torch.autograd.grad(expected.sum(), list(model.parameters()))
            assert all(map(torch.equal, gradients, wanted))


def test_compiled_training_without_chance_is_training():
    """With nothing dropped and the same masks, both compute the same."""
    for name in ("sort", "conv", "net"):
        model, shape = make(name, True)
        set_dropping(model, 0.0)
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        for batch in (6, 40):
            x = torch.rand(batch, *shape)
            torch.testing.assert_close(compiled(x), model(x))
    model, shape = make("net", True)
    assert isinstance(model, CertifiedNet)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for batch in (6, 40):
        x, masks = torch.rand(batch, *shape), model.draw_masks(batch)
        torch.testing.assert_close(compiled(x, masks), model(x, masks))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_exported_for_several_batches(name, training):
    """A batch of up to one group of 32 has one row of masks, which torch fixes: so more here."""
    model, shape = make(name, training)
    batch = torch.export.Dim("batch", min=33 if training else 2, max=4096)
    program = torch.export.export(model, (torch.rand(64, *shape),), dynamic_shapes=({0: batch},))
    for size in (33, 64, 70) if training else BATCHES:
        x = torch.rand(size, *shape)
        y = program.module()(x)
        assert y.shape[0] == size and y.isfinite().all()
        if not training:
            assert torch.equal(y, model(x))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sort", "net"])
def test_compiled_to_machine_code(name):
    model, shape = make(name, True)
    compiled = torch.compile(model)
    for batch in BATCHES:
        compiled(torch.rand(batch, *shape)).sum().backward()
    x = torch.rand(9, *shape)
    torch.testing.assert_close(torch.compile(model.eval())(x), model(x))
