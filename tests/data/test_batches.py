"""Batches of tables, signals and images of few levels; those of runs are in tests/train."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from sortnet.data import Split, load
from sortnet.data.batches import TrainingBatches


@dataclass
class Recipe:
    batch_size: int = 16
    epochs: float = 1
    crop: int = 0
    crop_mode: str = "edge"
    flip: bool = False


@pytest.mark.parametrize("name", ["digits", "wine", "diabetes", "vibration"])
def test_an_epoch_is_every_sample_once_as_the_network_sees_it(name):
    split = load(name).train
    batches = TrainingBatches(split, Recipe(), seed=1)
    x, y = zip(*batches.loader(0, torch.device("cpu")), strict=True)
    assert x[0].dtype == torch.float32 and len(x) == len(split) // 16
    assert y[0].dtype == (torch.float32 if name == "diabetes" else torch.int64)
    order = np.random.default_rng((1, 0)).permutation(len(split))[: 16 * len(x)]
    assert np.array_equal(torch.cat(x).numpy(), split.floats(order))
    assert np.array_equal(torch.cat(y).numpy(), split.labels[order].astype(y[0].numpy().dtype))


@pytest.mark.parametrize("change", [{"crop": 1}, {"flip": True}])
def test_augmentation_is_for_images(change):
    for name, shape in (("wine", "13"), ("vibration", "2, 128")):
        with pytest.raises(ValueError, match=rf"images \[C, H, W\], the samples are \[{shape}\]"):
            TrainingBatches(load(name).train, Recipe(**change), seed=0)
    floats = Split(np.random.default_rng(0).random((16, 1, 5, 5)), [0] * 16)
    x, _ = TrainingBatches(floats, Recipe(**change), seed=0)[0]
    assert x.shape == (16, 1, 5, 5) and x.min() >= 0 and x.max() <= 1
    assert set(x.unique().tolist()) <= set(np.unique(floats.inputs).tolist())
