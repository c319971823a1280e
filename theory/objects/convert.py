"""Trained layers of `sortnet.nn` as exact networks: every float is a rational number.

The exact network is what the torch module computes in evaluation mode, without rounding. A real
model is thereby put under the theorems. Its layers declare their true norms: an affine or sorted
row whose exact absolute sum is above 1, such as a plain ``nn.Linear`` may have, is not rescaled;
the bounds then scale with :attr:`.networks.Network.norm`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from sortnet.models.net import Abs, CertifiedNet
from sortnet.nn import (
    GroupSort,
    LipschitzLinear,
    MeanShift,
    Negate,
    Normalize,
    OrderStatisticLinear,
    SortLinear,
)
from sortnet.nn import PiecewiseLinear as LearnedActivation

from .exact import ONE, ZERO, Number, absolute_sum, fraction, vector
from .networks import (
    ABSOLUTE_VALUE,
    RELU,
    Activation,
    Affine,
    Layer,
    Network,
    PiecewiseLinear,
    Scale,
    Shift,
    Sort,
)
from .networks import GroupSort as ExactGroupSort


def exact_network(model: nn.Module) -> Network:
    """The exact network of a chain of layers.

    Args:
        model: a ``CertifiedNet``, an ``nn.Sequential`` or one layer, of `sortnet.nn` layers,
            ``nn.Linear``, ``nn.ReLU``, ``nn.Flatten`` and ``nn.Identity``. Inputs are flattened.

    Raises:
        ValueError: a layer has no exact form (tanh is not rational), a weight is not finite, or
            the chain has no layer with weights from which its width could be read.
    """
    return Network(tuple(layer for _, layer in exact_layers(model) if layer is not None))


def exact_layers(model: nn.Module) -> list[tuple[nn.Module, Layer | None]]:
    """Every layer of a chain beside its exact one, None where it only reshapes.

    Raises:
        ValueError: as :func:`exact_network`.
    """
    modules = list(_chain(model))
    width = next((w for w in map(_width_in, modules) if w is not None), None)
    if width is None:
        raise ValueError("expected at least one layer with weights")
    result: list[tuple[nn.Module, Layer | None]] = []
    for module in modules:
        layer = _layer(module, width)
        if layer is not None:
            width = layer.width_out
        result.append((module, layer))
    return result


def _chain(model: nn.Module) -> Iterator[nn.Module]:
    if isinstance(model, CertifiedNet):
        yield from _chain(model.layers)
    elif isinstance(model, nn.Sequential):
        for module in model:
            yield from _chain(module)
    else:
        yield model


def _width_in(module: nn.Module) -> int | None:
    if isinstance(module, MeanShift):
        return module.num_features
    weight = getattr(module, "weight", None)
    return weight.shape[1] if isinstance(weight, Tensor) and weight.ndim == 2 else None


def _layer(module: nn.Module, width: int) -> Layer | None:
    if isinstance(module, nn.Flatten | nn.Identity):
        return None
    if isinstance(module, Normalize):
        factor = 1 / fraction(module.std)
        return Scale(width, factor, -fraction(module.mean) * factor)
    if isinstance(module, Negate):
        return Scale(width, -ONE)
    if isinstance(module, MeanShift):
        return Shift(vector(_values(module.running_mean)))
    if isinstance(module, SortLinear):
        coefficients = [_values(module.coefficients())] * module.out_features
        return exact_sort(_rows(module.weight), coefficients, _values(module.bias))
    if isinstance(module, OrderStatisticLinear):
        return exact_sort(_rows(module.weight), _rows(module.coefficients()), _values(module.bias))
    if isinstance(module, LipschitzLinear):
        return exact_affine(_rows(module.projected_weight()), _values(module.bias))
    if isinstance(module, nn.Linear):
        return exact_affine(_rows(module.weight), _values(module.bias))
    if isinstance(module, GroupSort):
        return ExactGroupSort(width, module.group)
    if isinstance(module, LearnedActivation):
        return _activation(module)
    if isinstance(module, nn.ReLU):
        return Activation((RELU,) * width)
    if isinstance(module, Abs):
        return Activation((ABSOLUTE_VALUE,) * width)
    raise ValueError(f"a {type(module).__name__} layer has no exact form here")


def exact_affine(rows: Sequence[Sequence[Number]], bias: Sequence[Number]) -> Affine:
    """An affine layer that declares its true norm, at least 1 (see the module's text)."""
    exact = tuple(vector(row) for row in rows)
    return Affine(exact, vector(bias), max(ONE, *(absolute_sum(row) for row in exact)))


def exact_sort(
    centres: Sequence[Sequence[Number]],
    coefficients: Sequence[Sequence[Number]],
    bias: Sequence[Number],
) -> Sort:
    """A SortNet layer that declares its true norm, at least 1.

    Args:
        centres: [width_out, width_in].
        coefficients: [width_out, k]: weights of the k largest differences, k <= width_in.
        bias: [width_out] or empty.
    """
    padding = (ZERO,) * (len(centres[0]) - len(coefficients[0]))
    weights = tuple((*vector(row), *padding) for row in coefficients)
    offsets = tuple(tuple(-c for c in vector(row)) for row in centres)
    return Sort(weights, offsets, vector(bias), max(ONE, *(absolute_sum(row) for row in weights)))


def _values(tensor: Tensor | None) -> list[float]:
    return [] if tensor is None else tensor.detach().double().tolist()


def _rows(tensor: Tensor) -> list[list[float]]:
    return tensor.detach().double().tolist()


def _activation(module: LearnedActivation) -> Activation:
    knots = vector(_values(module.knots))
    functions = []
    for slopes in map(vector, _rows(module.slope.clamp(-1, 1))):
        points = [(knots[0], ZERO)]
        for j in range(1, len(knots)):
            t, value = points[-1]
            points.append((knots[j], value + slopes[j] * (knots[j] - t)))
        functions.append(PiecewiseLinear(tuple(points), slopes[0], slopes[-1]))
    return Activation(tuple(functions))
