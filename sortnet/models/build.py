"""From a configuration to its layers."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from sortnet.nn import (
    Abs,
    GroupSort,
    LipschitzLinear,
    MeanShift,
    Morphology2d,
    Negate,
    Normalize,
    PiecewiseLinear,
    SortConv2d,
    SortLinear,
)

from .config import ModelConfig, arranged


def build_layers(config: ModelConfig) -> Iterator[nn.Module]:
    """The layers of the network that a configuration describes, freshly initialised."""
    mean, std = (
        n if isinstance(n, float) else arranged(n, config.input_shape)
        for n in (config.mean, config.std)
    )
    yield Normalize(mean, std)
    if config.family in ("sortnet", "linf-dist"):
        yield from _distance_chain(config)
    else:
        yield from _affine_chain(config)


def _distance_chain(config: ModelConfig) -> Iterator[nn.Module]:
    inputs, depth = math.prod(config.input_shape), config.depth
    if config.morphology:
        # The configuration makes sure that both are scalars here.
        mean, std = (float(np.asarray(numbers)) for numbers in (config.mean, config.std))
        below, above = -mean / std, (1 - mean) / std
        morphology = Morphology2d(
            config.input_shape[0], config.morphology, below, above, config.morphology_stride
        )
        yield morphology
        inputs = math.prod(morphology.output_shape(config.input_shape))
        yield MeanShift(morphology.out_channels)
    plain = config.hidden is None
    if config.stem is not None:
        stem = config.stem
        conv = SortConv2d(
            config.input_shape[0],
            stem.channels,
            stem.kernel_size,
            stem.stride,
            stem.padding,
            config.keep_pixels,
            config.top_k,
        )
        with torch.no_grad():
            conv.weight.mul_(config.first_std)
        yield conv
        yield MeanShift(stem.channels)
        sides = [
            (side + 2 * stem.padding - stem.kernel_size) // stem.stride + 1
            for side in config.input_shape[1:]
        ]
        if min(sides) < 1:
            raise ValueError(
                f"a stem kernel of {stem.kernel_size} does not fit into {config.input_shape}"
            )
        channels = stem.channels
        for _ in range(depth - 1 - plain):
            yield SortConv2d(channels, config.width, 1, keep=config.keep, top_k=config.top_k)
            yield MeanShift(config.width)
            channels = config.width
        inputs, depth = channels * math.prod(sides), int(plain)
    yield nn.Flatten()
    for layer in range(depth):
        last = plain and layer == depth - 1
        outputs = config.classes if last else config.width
        first = layer == 0 and config.stem is None
        keep = config.keep_pixels if first else config.keep
        linear = SortLinear(inputs, outputs, keep, config.top_k, bias=last)
        if first:
            with torch.no_grad():
                linear.weight.mul_(config.first_std)
        if config.identity is not None:
            rows = torch.arange(outputs)
            with torch.no_grad():
                linear.weight[rows, rows % inputs] = -config.identity
        yield linear
        yield Negate() if last else MeanShift(outputs)
        inputs = outputs
    if config.regression:
        yield _value(config)
    if config.hidden is not None:
        yield nn.Linear(inputs, config.hidden)
        yield nn.Tanh()
        yield nn.Linear(config.hidden, config.classes)


def _affine_chain(config: ModelConfig) -> Iterator[nn.Module]:
    yield nn.Flatten()
    affine = nn.Linear if config.family == "relu" else LipschitzLinear
    inputs = math.prod(config.input_shape)
    for _ in range(config.depth - 1):
        yield affine(inputs, config.width)
        yield _activation(config)
        inputs = config.width
    yield affine(inputs, config.classes)
    if config.regression:
        yield _value(config)


def _value(config: ModelConfig) -> nn.Linear:
    """offset + scale x, both fixed: how steep a regression may be is chosen, not learned."""
    layer = nn.Linear(1, 1).requires_grad_(False)
    layer.weight.fill_(config.scale)
    layer.bias.fill_(config.offset)
    return layer


def _activation(config: ModelConfig) -> nn.Module:
    if config.sorting_group:
        return GroupSort(config.sorting_group)
    if config.family == "relu" or config.activation == "relu":
        return nn.ReLU()
    return Abs() if config.activation == "abs" else PiecewiseLinear(config.width)
