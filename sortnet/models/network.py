"""A chain of layers as the `Network` that certificates, the exported file and the theory read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import cast

from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import Operation, Shape
from sortnet.nn.known import (
    check_calls,
    check_layer,
    check_ranges,
    declared_by,
    layer_operations,
    layer_output_shape,
)
from sortnet.nn.layer import LayerError

from .net import CertifiedNet

_WRAPPERS = (nn.DataParallel, DistributedDataParallel, AveragedModel)


def chain_of(model: nn.Module, *, declared: bool = False) -> list[nn.Module]:
    """The layers of a chain in order, each of which computes what its class says.

    Args:
        model: a `CertifiedNet`, a layer, or an `nn.Sequential` of both, nested or not; also inside
            DataParallel, DistributedDataParallel, AveragedModel or torch.compile.
        declared: let layers of the user's own pass that declare `lipschitz` and `bounds`.

    Raises:
        LayerError: see `sortnet.nn.known.check_layer`; the message names the layer.
    """
    layers = []
    for name, layer in _walk(model, ""):
        check_layer(layer, name, declared=declared)
        layers.append(layer)
    return layers


def declared(model: nn.Module) -> list[str]:
    """Class names of the user's own layers in a chain, whose facts are as they declare."""
    found = (declared_by(layer) for layer in chain_of(model, declared=True))
    return sorted({name for name in found if name is not None})


def _walk(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    inner = _wrapped(module)
    if inner is not None:
        yield from _walk(inner, name)
    elif type(module) is CertifiedNet:
        check_calls(module, _where(module, name))
        if type(module.layers) is not nn.Sequential:
            raise LayerError("the layers of a CertifiedNet must be a plain nn.Sequential")
        yield from _walk(module.layers, f"{name}layers.")
    elif type(module) is nn.Sequential:
        check_calls(module, _where(module, name))
        # Not named_children(), which passes over a layer that stands in the chain twice.
        for key, layer in module._modules.items():
            if layer is not None:
                yield from _walk(layer, f"{name}{key}.")
    else:
        yield name.removesuffix("."), module


def _where(module: nn.Module, name: str) -> str:
    return f"{type(module).__name__} at {name}".removesuffix(".").removesuffix(" at ")


def _wrapped(module: nn.Module) -> nn.Module | None:
    """What a wrapper calls, or None for other modules."""
    if type(module) in _WRAPPERS:
        check_calls(module, type(module).__name__)
        return cast(nn.Module, module.module)
    compiler = sys.modules.get("torch._dynamo.eval_frame")  # not imported for its sake
    if compiler is not None and type(module) is compiler.OptimizedModule:
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            if hooks:
                raise LayerError("OptimizedModule has a forward hook: remove it")
        return cast(nn.Module, module._orig_mod)
    return None


def network_of(model: nn.Module, input: InputSpec | Shape | None = None) -> Network:
    """What a chain of layers computes in evaluation mode.

    Args:
        model: as in `chain_of`.
        input: shape, box and unit of one sample, or the shape of images in [0, 1]; a `CertifiedNet`
            knows its own.

    Raises:
        LayerError: a layer that is not known, by name.
        SpecError: weights are not finite, or shapes do not fit together.
        ValueError: no input shape, or another one than that of the `CertifiedNet`.
    """
    layers = chain_of(model)
    own = own_input(model)
    if input is not None and not isinstance(input, InputSpec):
        input = InputSpec(tuple(input))
    if own is None:
        own = input
    elif input is not None and input.shape != own.shape:
        raise ValueError(f"the model takes inputs of shape {own.shape}, got {input.shape}")
    if own is None:
        raise ValueError(
            f"the shape of one sample is needed for a {type(model).__name__}, as in (1, 28, 28)"
        )
    shape = own.shape
    ops: list[Operation] = []
    for layer in layers:
        ops.extend(layer_operations(layer, shape))
        shape = layer_output_shape(layer, shape)
    network = Network(own, tuple(ops))
    check_ranges(layers, network.input.low, network.input.high)
    return network


def own_input(model: nn.Module) -> InputSpec | None:
    """What a `CertifiedNet`, wrapped or not, takes; None for other chains."""
    inner = _wrapped(model)
    if inner is not None:
        return own_input(inner)
    return model.config.input if type(model) is CertifiedNet else None
