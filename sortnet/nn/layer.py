"""What every layer says about itself, and what is known of torch's own layers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

from sortnet.certificate.network import Activation, Affine, Array, Flatten, Op, Shape

from .functional import linear_bounds


class LayerError(ValueError):
    """A layer that nobody here can vouch for: the message names it and says why."""


class Layer(nn.Module, ABC):
    """A layer that says what it computes in evaluation mode.

    Certificates, the exported file and the theory read `operations`; nothing else in the toolkit
    knows a layer by name.
    """

    @abstractmethod
    def operations(self, shape: Shape) -> Iterator[Op]:
        """What the layer computes in evaluation mode, as operations over numpy arrays.

        Args:
            shape: of one sample as it enters the layer, without the batch.

        Raises:
            LayerError: the layer has no counterpart among the operations.
        """

    @abstractmethod
    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of the evaluation output for all x in [lower, upper], elementwise."""

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one sample as it leaves the layer."""
        return shape


def array(tensor: Tensor) -> Array:
    """A float32 copy for an operation."""
    return cast(Array, tensor.detach().cpu().float().numpy().copy())


def affine(weight: Tensor, bias: Tensor | None) -> Affine:
    """x -> weight x + bias as an operation."""
    return Affine(array(weight), np.zeros(len(weight), np.float32) if bias is None else array(bias))


@dataclass(frozen=True)
class _Facts:
    """What a layer of torch's own is: as `Layer`, with the layer as first argument."""

    operations: Callable[[Any, Shape], Iterator[Op]]
    bounds: Callable[[Any, Tensor, Tensor], tuple[Tensor, Tensor]]
    output_shape: Callable[[Any, Shape], Shape] = lambda layer, shape: shape


def _monotone(layer: nn.Module, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    return layer(lower), layer(upper)


def _flatten(layer: nn.Flatten, shape: Shape) -> Iterator[Op]:
    if layer.start_dim != 1 or layer.end_dim != -1:
        raise LayerError(f"only a plain Flatten can be exported, got {layer}")
    yield Flatten()


_TORCH: dict[type[nn.Module], _Facts] = {
    nn.Flatten: _Facts(_flatten, _monotone, lambda layer, shape: (math.prod(shape),)),
    nn.Linear: _Facts(
        lambda layer, shape: iter((affine(layer.weight, layer.bias),)),
        lambda layer, lower, upper: linear_bounds(lower, upper, layer.weight, layer.bias),
        lambda layer, shape: (*shape[:-1], layer.out_features),
    ),
    nn.ReLU: _Facts(lambda layer, shape: iter((Activation("relu"),)), _monotone),
    nn.Tanh: _Facts(lambda layer, shape: iter((Activation("tanh"),)), _monotone),
}
"""Torch's own layers that are known, by their exact type."""


def layer_operations(layer: nn.Module, shape: Shape) -> Iterator[Op]:
    """The operations of one layer of a chain; see `Layer.operations`.

    Raises:
        LayerError: a layer of an unknown kind, by name.
    """
    if type(layer) in _TORCH:
        return _TORCH[type(layer)].operations(layer, shape)
    if isinstance(layer, Layer):
        return layer.operations(shape)
    raise LayerError(f"{type(layer).__name__} has no counterpart in the exported format yet")


def layer_output_shape(layer: nn.Module, shape: Shape) -> Shape:
    """Shape of one sample as it leaves a layer of a chain; see `Layer.output_shape`."""
    if type(layer) in _TORCH:
        return _TORCH[type(layer)].output_shape(layer, shape)
    return layer.output_shape(shape) if isinstance(layer, Layer) else shape


def layer_bounds(layer: nn.Module, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Interval bounds of one layer of a chain.

    Raises:
        TypeError: a layer of an unknown kind.
    """
    if type(layer) in _TORCH:
        return _TORCH[type(layer)].bounds(layer, lower, upper)
    bounds = getattr(layer, "bounds", None)
    if bounds is None:
        raise TypeError(f"no interval bounds are known for {type(layer).__name__}")
    return bounds(lower, upper)
