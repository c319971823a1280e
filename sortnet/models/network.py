"""A chain of layers as the `Network` that certificates, the exported file and the theory read."""

from __future__ import annotations

from torch import nn

from sortnet.certificate.network import Network, Op, Shape
from sortnet.nn.layer import layer_operations, layer_output_shape

from .net import CertifiedNet


def network_of(model: nn.Module, input_shape: Shape | None = None) -> Network:
    """What a chain of layers computes in evaluation mode.

    Args:
        model: a `CertifiedNet`, or an `nn.Sequential` of layers of `sortnet.nn` and of nn.Linear,
            nn.Flatten, nn.ReLU and nn.Tanh.
        input_shape: of one sample; needed for an `nn.Sequential`, a `CertifiedNet` knows its own.

    Raises:
        LayerError: a layer of an unknown kind, by name.
        SpecError: weights are not finite, or shapes do not fit together.
        ValueError: no input shape.
    """
    layers = model.layers if isinstance(model, CertifiedNet) else model
    if isinstance(model, CertifiedNet):
        input_shape = model.config.input_shape
    if input_shape is None:
        raise ValueError("the input shape of one sample is needed, for example (1, 28, 28)")
    if not isinstance(layers, nn.Sequential):
        raise ValueError(f"expected a CertifiedNet or an nn.Sequential, got {type(model).__name__}")
    shape: Shape = tuple(input_shape)
    ops: list[Op] = []
    for layer in layers:
        ops.extend(layer_operations(layer, shape))
        shape = layer_output_shape(layer, shape)
    return Network(tuple(input_shape), tuple(ops))
