"""First neurons that start at training samples."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sortnet.data import Split
from sortnet.models import ModelConfig, build_model
from sortnet.training.prototypes import start_at_samples


def _split(shape, count):
    generator = np.random.default_rng(count)
    return Split(generator.integers(0, 256, (count, *shape), np.uint8), np.arange(count) % 2)


def _net(shape, width, **more):
    torch.manual_seed(width)
    fields = {"family": "sortnet", "depth": 2, "classes": 2, **more}
    return build_model(ModelConfig(input_shape=shape, width=width, **fields))


@given(
    width=st.integers(1, 9),
    count=st.integers(1, 20),
    seed=st.integers(0, 2**63 - 1),
    std=st.sampled_from([0.01, 0.5]),
)
def test_each_neuron_is_a_sample_and_its_own_noise(width, count, seed, std):
    shape = (1, 3, 4)
    split = _split(shape, count)
    settings = {"first_std": std, "mean": 0.25, "std": 0.5}
    net, before = (_net(shape, width, **settings) for _ in range(2))
    start_at_samples(net, split, seed)
    samples = (split.floats().reshape(count, -1) - 0.25) / 0.5
    moved = (net.layers[2].weight - before.layers[2].weight).detach().numpy()
    distances = np.abs(moved[:, None] - samples[None]).max(2)
    assert (distances.min(1) < 1e-5).all()
    nearest = distances.argmin(1)
    different = len(np.unique(samples, axis=0))
    assert len({samples[i].tobytes() for i in nearest}) >= min(width, different)
    for name, value in before.named_parameters():
        if name != "layers.2.weight":
            assert torch.equal(value, net.get_parameter(name))
    again = _net(shape, width, **settings)
    start_at_samples(again, split, seed)
    assert torch.equal(again.layers[2].weight, net.layers[2].weight)


def test_samples_are_taken_as_the_layer_sees_them():
    shape = (1, 8, 8)
    split = _split(shape, 30)
    more = {"morphology": (3, (1, 5)), "morphology_stride": 2, "first_std": 0.1}
    net, before = (_net(shape, 30, **more) for _ in range(2))
    start_at_samples(net, split, 0)
    position = next(i for i, layer in enumerate(net.layers) if type(layer).__name__ == "SortLinear")
    moved = net.layers[position].weight - before.layers[position].weight
    seen = before.layers[:position](torch.from_numpy(split.floats()))  # all 30, less their means
    distances = (moved[:, None] - seen[None]).abs().amax(2)
    assert (distances.amin(1) < 1e-5).all()
    assert sorted(distances.argmin(1).tolist()) == list(range(30))


@pytest.mark.parametrize(
    "more",
    [
        {"family": "maxmin"},
        {"family": "relu"},
        {"stem": {"channels": 4, "kernel_size": 2, "stride": 2}},
    ],
)
def test_other_networks_are_refused(more):
    net = _net((1, 4, 4), 4, **more)
    with pytest.raises(ValueError, match="first distance layer is linear"):
        start_at_samples(net, _split((1, 4, 4), 8), 0)
