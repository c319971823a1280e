"""Error bound E of every preset's network with the weights it starts training from (seed 0).

    python benchmarks/error_bounds.py [PRESET ...]

Prints a Markdown table: L, E, and what rounding takes off every margin radius, in pixels. Trained
weights differ; `sortnet verify` shows E for a file.
"""

from __future__ import annotations

import contextlib
import sys

import numpy as np
import torch

from sortnet.base.units import text_up
from sortnet.certificate.analysis import analyse
from sortnet.data.sets import DataSet, Split, load
from sortnet.export import network_from_torch
from sortnet.models import build_model
from sortnet.training import model_config
from sortnet.training.presets import PRESETS, get_preset

SHAPES = {
    "mnist": ((1, 28, 28), 10),
    "fashion-mnist": ((1, 28, 28), 10),
    "cifar10": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
    "tinyimagenet": ((3, 64, 64), 200),
    "imagenet64": ((3, 64, 64), 1000),
}


def data_like(name: str) -> DataSet:
    """The data set where it is installed, else random images of its shape."""
    with contextlib.suppress(FileNotFoundError):
        return load(name)
    shape, classes = SHAPES[name]
    images = np.random.default_rng(0).integers(0, 256, (16, *shape), dtype=np.uint8)
    split = Split(images, np.zeros(16, np.int64))
    return DataSet(name, split, split, classes)


def main() -> None:
    print("| preset | weights | L | E | radius lost |")
    print("|---|---:|---:|---:|---:|")
    for name in sys.argv[1:] or PRESETS:
        preset = get_preset(name)
        torch.manual_seed(0)
        model = build_model(model_config(preset, data_like(preset.data)))
        weights = sum(p.numel() for p in model.parameters())
        network = network_from_torch(model)
        del model
        analysis = analyse(network)
        lost = text_up(analysis.margin_slack * analysis.margin_scale, 2)
        if network.has_head:
            lost = f"interval: {text_up(analysis.interval_slack, 1)}"
        constant, error = text_up(analysis.lipschitz), text_up(analysis.error, 2)
        print(
            f"| {name} | {weights / 1e6:.1f} M | {constant} | {error} | {lost} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
