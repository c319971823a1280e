"""The layers that are known, by their exact type, and what each of them is.

`check_layer` is the one door through which certificates, export and theory see a layer: what it
lets pass computes what its class says. Everything after it reads the class's own declaration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as registry
from torch.nn.utils import parametrize

from sortnet.certificate.operations import Flatten, Operation, ReLU, Shape, Tanh
from sortnet.certificate.rounding import Array

from .conv import LInfDistConv1d, LInfDistConv2d, SortConv1d, SortConv2d
from .functional import linear_bounds
from .layer import Layer, LayerError, affine, check_features
from .linear import LInfDistLinear, OrderStatisticLinear, SortLinear
from .lipschitz import Abs, GroupSort, LipschitzLinear, MaxMin, PiecewiseLinear
from .minima import WindowMinima2d
from .morphology import Morphology1d, Morphology2d
from .rank import RankFilter1d, RankFilter2d
from .shift import MeanShift, Negate, Normalize

LAYERS: tuple[type[Layer], ...] = (
    Abs,
    GroupSort,
    LInfDistConv1d,
    LInfDistConv2d,
    LInfDistLinear,
    LipschitzLinear,
    MaxMin,
    MeanShift,
    Morphology1d,
    Morphology2d,
    Negate,
    Normalize,
    OrderStatisticLinear,
    PiecewiseLinear,
    RankFilter1d,
    RankFilter2d,
    SortConv1d,
    SortConv2d,
    SortLinear,
    WindowMinima2d,
)
"""The layers of this package."""


@dataclass(frozen=True)
class _Facts:
    """What a layer of torch's own is: as `Layer`, with the layer as first argument."""

    operations: Callable[[Any, Shape], Iterator[Operation]]
    bounds: Callable[[Any, Tensor, Tensor], tuple[Tensor, Tensor]]
    lipschitz: Callable[[Any], float] = lambda layer: 1.0
    output_shape: Callable[[Any, Shape], Shape] = lambda layer, shape: shape


def _monotone(layer: nn.Module, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    return layer(lower), layer(upper)


def _flatten(layer: nn.Flatten, shape: Shape) -> Iterator[Operation]:
    if layer.start_dim != 1 or layer.end_dim != -1:
        raise LayerError(f"only a plain Flatten is known, got {layer}: use nn.Flatten()")
    yield Flatten()


def _linear(layer: nn.Linear, shape: Shape) -> Iterator[Operation]:
    check_features("Linear", shape, layer.in_features)
    yield affine(layer.weight, layer.bias)


def _largest_row(layer: nn.Linear) -> float:
    """Largest absolute row sum; the factor covers the float64 roundings of the sum."""
    rows = layer.weight.detach().double().abs().sum(1)
    return float(rows.max()) * (1 + 2.0**-52 * (layer.in_features + 1))


TORCH: dict[type[nn.Module], _Facts] = {
    nn.Flatten: _Facts(_flatten, _monotone, output_shape=lambda layer, shape: (math.prod(shape),)),
    nn.Identity: _Facts(lambda layer, shape: iter(()), _monotone),
    nn.Linear: _Facts(
        _linear,
        lambda layer, lower, upper: linear_bounds(lower, upper, layer.weight, layer.bias),
        _largest_row,
        lambda layer, shape: (*shape[:-1], layer.out_features),
    ),
    nn.ReLU: _Facts(lambda layer, shape: iter((ReLU(),)), _monotone),
    nn.Tanh: _Facts(lambda layer, shape: iter((Tanh(),)), _monotone),
}
"""Torch's own layers that are known."""

_FORWARD = {kind: kind.forward for kind in (*LAYERS, *TORCH)}


def is_known(layer: nn.Module) -> bool:
    """Whether a layer's exact type is one of `LAYERS` or `TORCH`."""
    return type(layer) in _FORWARD


def check_layer(layer: nn.Module, name: str = "", *, declared: bool = False) -> None:
    """Make sure that a layer computes what its class says.

    Args:
        layer: of any kind.
        name: where it stands in its chain, for the message.
        declared: let a layer of the user's own pass that declares `lipschitz` and `bounds`.

    Raises:
        LayerError: an unknown type (a subclass of a known one included), a forward hook or a hook
            for all modules, a parametrisation, or a method that is overridden on the instance.
    """
    kind = type(layer)
    where = f"{kind.__name__} at {name}" if name else kind.__name__
    if parametrize.is_parametrized(layer):
        names = ", ".join(cast(Any, layer.parametrizations))
        raise LayerError(
            f"{where} has parametrisations of {names}: remove them first "
            "(torch.nn.utils.parametrize.remove_parametrizations)"
        )
    check_calls(layer, where)
    if is_known(layer):
        if kind.forward is not _FORWARD[kind]:
            raise LayerError(
                f"the forward of {kind.__name__} was replaced in its class: put the original back"
            )
        if isinstance(layer, Layer):
            layer.check()
        return
    if _declares(layer):
        if declared:
            return
        raise LayerError(
            f"{where} is a layer of your own: what it declares is believed by NaiveCertifier only, "
            "not by sound certificates, attacks on them, export or the theory; build it from known "
            "layers, or add it (docs/tutorials/layer.md)"
        )
    if isinstance(layer, nn.Sequential):
        raise LayerError(
            f"{where} is a subclass of nn.Sequential and may compute something else; write a "
            "function that returns a plain nn.Sequential of the same layers"
        )
    base = next((known for known in kind.__mro__ if known in _FORWARD), None)
    if base is not None:
        raise LayerError(
            f"{where} is a subclass of {base.__name__} and may compute something else: "
            f"only {base.__name__} itself is known; use it as it is, or declare `lipschitz` and "
            '`bounds` for naive certificates (docs/api.md, "A layer of your own")'
        )
    raise LayerError(
        f"{where} is not a layer that is known here: a layer of sortnet.nn, "
        + ", ".join(f"nn.{known.__name__}" for known in TORCH)
        + "; build it from those, or declare `lipschitz` and `bounds` for naive certificates "
        '(docs/api.md, "A layer of your own")'
    )


def check_calls(module: nn.Module, where: str) -> None:
    """Make sure that calling a module runs the methods of its class and nothing beside them.

    Raises:
        LayerError: a forward (pre-)hook, also one for all modules, or an overridden method.
    """
    for hooks, what in (
        (module._forward_pre_hooks, "a forward pre-hook"),
        (module._forward_hooks, "a forward hook"),
        (registry._global_forward_pre_hooks, "a forward pre-hook for all modules"),
        (registry._global_forward_hooks, "a forward hook for all modules"),
    ):
        if hooks:
            raise LayerError(f"{where} has {what}, which may change what it computes: remove it")
    for key in vars(module):
        if callable(getattr(type(module), key, None)):
            raise LayerError(
                f"{where} has its own {key} instead of that of its class: delete it from the module"
            )


def _declares(layer: nn.Module) -> bool:
    """Whether the user's class (or the instance) itself says both `lipschitz` and `bounds`."""
    own: set[str] = set(vars(layer))
    for kind in type(layer).__mro__:
        if kind in _FORWARD or kind in (Layer, nn.Module):
            break
        own |= set(vars(kind))
    return {"lipschitz", "bounds"} <= own


def declared_by(layer: nn.Module) -> str | None:
    """Class name of a layer whose facts are only declared by its author; None for a known one."""
    return None if is_known(layer) else type(layer).__name__


def layer_operations(layer: nn.Module, shape: Shape) -> Iterator[Operation]:
    """The operations of a known layer; see `Layer.operations`."""
    facts = TORCH.get(type(layer))
    return layer.operations(shape) if facts is None else facts.operations(layer, shape)  # type: ignore[operator]


def layer_output_shape(layer: nn.Module, shape: Shape) -> Shape:
    """Shape of one sample as it leaves a known layer; see `Layer.output_shape`."""
    facts = TORCH.get(type(layer))
    return layer.output_shape(shape) if facts is None else facts.output_shape(layer, shape)  # type: ignore[operator]


def layer_bounds(layer: nn.Module, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of a known layer, or as its author declares, for inputs in [lower, upper].

    Raises:
        LayerError: the layer has no bounds.
    """
    facts = TORCH.get(type(layer))
    if facts is not None:
        return facts.bounds(layer, lower, upper)
    bounds = getattr(layer, "bounds", None)
    if bounds is None:
        raise LayerError(
            f"no interval bounds are known for {type(layer).__name__}: give it a method "
            "bounds(lower, upper)"
        )
    return cast(tuple[Tensor, Tensor], bounds(lower, upper))


@torch.no_grad()
def check_ranges(layers: Sequence[nn.Module], low: Array | float, high: Array | float) -> None:
    """Make sure that layers made for inputs of one range (`input_range`) get no others.

    Args:
        layers: a chain of known layers.
        low, high: ends of the box of its inputs, arrays of the shape of one sample.

    Raises:
        LayerError: the layers before one may give it values outside its range.
    """
    ranges = [layer.input_range if isinstance(layer, Layer) else None for layer in layers]
    limited = [i for i, limits in enumerate(ranges) if limits is not None]
    if not limited:
        return
    state = (value for layer in layers for value in (*layer.parameters(), *layer.buffers()))
    like = next(state, torch.empty(0))
    lower, upper = (torch.tensor(np.asarray(ends)[None]).to(like) for ends in (low, high))
    for layer, limits in list(zip(layers, ranges, strict=True))[: limited[-1] + 1]:
        if limits is not None:
            least, most = limits
            found = float(lower.min()), float(upper.max())
            slack = (most - least) / 32
            if not (least - slack <= found[0] and found[1] <= most + slack):
                raise LayerError(
                    f"{type(layer).__name__} is made for inputs in [{least}, {most}], "
                    f"here they may reach from {found[0]} to {found[1]}: put it before what moves "
                    "them out"
                )
        lower, upper = layer_bounds(layer, lower, upper)


def layer_lipschitz(layer: nn.Module) -> float:
    """Lipschitz constant in l-inf of a known layer, or as its author declares; rounded up.

    A declaration is a number, or a method without arguments that returns one.

    Raises:
        LayerError: the layer declares none, or something that is not a finite number of at least 0.
    """
    facts = TORCH.get(type(layer))
    if facts is not None:
        return facts.lipschitz(layer)
    value = getattr(layer, "lipschitz", None)
    value = value() if callable(value) else value
    if value is None:
        raise LayerError(
            f"no Lipschitz constant is known for {type(layer).__name__}: give it an attribute "
            "`lipschitz`"
        )
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise LayerError(
            f"{type(layer).__name__} declares lipschitz = {value!r}, expected a finite number >= 0"
        )
    return number


class _SmoothBackward(torch.autograd.Function):
    """Value of the first argument, gradient of the second."""

    @staticmethod
    def forward(ctx, exact: Tensor, smooth: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return exact.clone()

    @staticmethod
    def backward(ctx, dy: Tensor):  # type: ignore[no-untyped-def]
        return None, dy


def layer_smoothed(layer: nn.Module, x: Tensor, p: float) -> Tensor:
    """The output of a layer in evaluation mode, with a gradient that reaches more inputs.

    The exact gradient of an order statistic is 0 for nearly every input. A layer with a method
    `smoothed(x, p)` gives its gradient instead; the value is always that of the layer.

    Args:
        layer: any layer in evaluation mode.
        x: its input.
        p: finite exponent; the smaller, the more inputs get a gradient.
    """
    smoothed = getattr(layer, "smoothed", None)
    if smoothed is None:
        return cast(Tensor, layer(x))
    with torch.no_grad():
        exact = layer(x)
    return cast(Tensor, _SmoothBackward.apply(exact, smoothed(x, p)))
