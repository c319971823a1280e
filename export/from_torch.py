"""The network of a trained model: the only file of this folder that imports torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from sortnet.base.files import atomic_write
from sortnet.base.units import parse_eps
from sortnet.certificate.analysis import Analysis, analyse
from sortnet.certificate.network import (
    Activation,
    Affine,
    Array,
    Bias,
    Flatten,
    GroupSort,
    Negate,
    Network,
    Normalize,
    Op,
    Shape,
    Shift,
    SortConv,
    SortNeuron,
)

from .graph import build_model

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sortnet.models.net import CertifiedNet
    from sortnet.nn import SortConv2d


class ExportError(ValueError):
    """A layer that has no counterpart in the exported format."""


def network_from_torch(model: CertifiedNet) -> Network:
    """What ``model`` computes in evaluation mode.

    Raises:
        ExportError: a layer of an unknown kind, by name.
        SpecError: weights are not finite, or shapes do not fit together.
    """
    shape: Shape = tuple(model.config.input_shape)
    ops: list[Op] = []
    for layer in model.layers:
        ops.extend(_ops(layer, shape))
        shape = _torch_shape(layer, shape)
    return Network(tuple(model.config.input_shape), tuple(ops))


def export_model(
    model: CertifiedNet,
    path: str | os.PathLike[str],
    eps: str | float | Fraction | None = None,
    preset: str = "",
) -> Analysis:
    """Write a model as an ONNX file whose ``radius`` output certifies.

    Args:
        model: in any mode; exported as in evaluation.
        path: the file; written whole or not at all.
        eps: the radius, in input units, that the file certifies by interval bounds. None: the file
            certifies the margin radius, whatever it is. A network with an MLP head needs an eps,
            for its Lipschitz constant is too large for margins.
        preset: recorded in the metadata.

    Returns:
        The constants of the certificate.

    Raises:
        ExportError: a layer of an unknown kind, or an MLP head without eps.
        SpecError: weights are not finite. BoundError: values may overflow. ValueError: a bad eps,
        or more than 2 GiB of weights. OSError: the file cannot be written.
    """
    network = network_from_torch(model)
    if eps is None and network.has_head:
        raise ExportError("a network with an MLP head certifies one radius: give its eps")
    analysis = analyse(network)
    exact = None if eps is None else parse_eps(eps)
    proto = build_model(network, exact, preset, analysis)
    with atomic_write(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())
    return analysis


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().float().numpy().copy()


def _ops(layer: nn.Module, shape: Shape) -> Iterator[Op]:
    """The operations of one layer whose input has the per-sample shape that torch sees."""
    from torch import nn

    from sortnet import nn as sn
    from sortnet.models import net as models

    match layer:
        case sn.Normalize():
            yield Normalize(float(np.float32(layer.mean)), float(np.float32(layer.std)))
        case nn.Flatten():
            if layer.start_dim != 1 or layer.end_dim != -1:
                raise ExportError(f"only a plain Flatten can be exported, got {layer}")
            yield Flatten()
        case sn.SortConv2d():
            yield Flatten()
            W = _array(layer.weight)
            yield SortConv(_patches(layer, shape), SortNeuron(W, layer.rho, layer.k))
            if layer.bias is not None:
                positions = int(np.prod(_grid(layer, shape)))
                yield Bias(np.repeat(_array(layer.bias), positions))
        case sn.SortLinear():
            yield SortNeuron(_array(layer.weight), layer.rho, layer.k)
            if layer.bias is not None:
                yield Bias(_array(layer.bias))
        case sn.MeanShift():
            mean = _array(layer.running_mean)
            yield Shift(np.repeat(mean, int(np.prod(shape[1:]))) if len(shape) == 3 else mean)
        case sn.Negate():
            yield Negate()
        case sn.LipschitzLinear():
            yield Affine(_array(layer.projected_weight()), _bias(layer.bias, layer.out_features))
        case nn.Linear():
            yield Affine(_array(layer.weight), _bias(layer.bias, layer.out_features))
        case sn.GroupSort():
            if layer.group > 1:
                yield GroupSort(layer.group)
        case nn.Tanh():
            yield Activation("tanh")
        case nn.ReLU():
            yield Activation("relu")
        case models.Abs():
            yield Activation("abs")
        case _:
            raise ExportError(
                f"{type(layer).__name__} has no counterpart in the exported format yet"
            )


def _bias(bias: Tensor | None, outputs: int) -> Array:
    return np.zeros(outputs, np.float32) if bias is None else _array(bias)


def _torch_shape(layer: nn.Module, shape: Shape) -> Shape:
    from torch import nn

    from sortnet import nn as sn

    if isinstance(layer, sn.SortConv2d):
        return (layer.out_channels, *_grid(layer, shape))
    if isinstance(layer, nn.Flatten):
        return (int(np.prod(shape)),)
    return shape


def _grid(layer: SortConv2d, shape: Shape) -> tuple[int, int]:
    rows, columns = (
        (size + 2 * pad - kernel) // stride + 1
        for size, kernel, stride, pad in zip(
            shape[1:], layer.kernel_size, layer.stride, layer.padding, strict=True
        )
    )
    return rows, columns


def _patches(layer: SortConv2d, shape: Shape) -> Array:
    """Indices of each patch into the flat image, channel first; its size stands for padding."""
    channels, height, width = shape
    size = channels * height * width
    image = np.arange(size, dtype=np.int64).reshape(shape)
    (top, left), (down, right) = layer.padding, layer.stride
    padded = np.pad(image, ((0, 0), (top, top), (left, left)), constant_values=size)
    windows = np.lib.stride_tricks.sliding_window_view(padded, layer.kernel_size, axis=(1, 2))
    windows = windows[:, ::down, ::right]  # [C, H', W', kh, kw]
    patches = windows.transpose(1, 2, 0, 3, 4)
    return np.ascontiguousarray(patches.reshape(-1, channels * int(np.prod(layer.kernel_size))))
