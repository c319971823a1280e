"""Trained layers of `sortnet.nn` as exact networks: every float is a rational number.

The exact network is what the torch module computes in evaluation mode, without rounding. A real
model is thereby put under the theorems. Its layers declare their true norms: an affine or sorted
row whose exact absolute sum is above 1, such as a plain ``nn.Linear`` may have, is not rescaled;
the bounds then scale with :attr:`.networks.Network.norm`.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from torch import Tensor, nn

from sortnet.models import Abs, CertifiedNet
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

from .exact import ONE, ZERO, Vector, absolute_sum, vector
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
    modules = list(_chain(model))
    widths = [_width_in(module) for module in modules]
    layers: list[Layer] = []
    width = next((w for w in widths if w is not None), None)
    if width is None:
        raise ValueError("expected at least one layer with weights")
    for module in modules:
        layer = _layer(module, width)
        if layer is not None:
            layers.append(layer)
            width = layer.width_out
    return Network(tuple(layers))


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
        factor = 1 / Fraction(module.std)
        return _normalized(factor, Fraction(module.mean), width)
    if isinstance(module, Negate):
        return Scale(width, -ONE)
    if isinstance(module, MeanShift):
        return Shift(_vector(module.running_mean))
    if isinstance(module, SortLinear):
        coefficients = _vector(module.coefficients())
        return _sort(module, [coefficients] * module.out_features)
    if isinstance(module, OrderStatisticLinear):
        return _sort(module, _rows(module.coefficients()))
    if isinstance(module, LipschitzLinear):
        return _affine(_rows(module.projected_weight()), module.bias)
    if isinstance(module, nn.Linear):
        return _affine(_rows(module.weight), module.bias)
    if isinstance(module, GroupSort):
        return ExactGroupSort(width, module.group)
    if isinstance(module, LearnedActivation):
        return _activation(module)
    if isinstance(module, nn.ReLU):
        return Activation((RELU,) * width)
    if isinstance(module, Abs):
        return Activation((ABSOLUTE_VALUE,) * width)
    raise ValueError(f"a {type(module).__name__} layer has no exact form here")


def _normalized(factor: Fraction, mean: Fraction, width: int) -> Scale:
    return Scale(width, factor, -mean * factor)


def _affine(rows: list[Vector], bias: Tensor | None) -> Affine:
    norm = max(ONE, *(absolute_sum(row) for row in rows))
    return Affine(tuple(rows), () if bias is None else _vector(bias), norm)


def _sort(module: SortLinear | OrderStatisticLinear, coefficients: list[Vector]) -> Sort:
    padding = (ZERO,) * (module.in_features - len(coefficients[0]))
    weights = tuple((*row, *padding) for row in coefficients)
    offsets = tuple(tuple(-c for c in row) for row in _rows(module.weight))
    norm = max(ONE, *(absolute_sum(row) for row in weights))
    return Sort(weights, offsets, () if module.bias is None else _vector(module.bias), norm)


def _activation(module: LearnedActivation) -> Activation:
    knots = _vector(module.knots)
    functions = []
    for slopes in _rows(module.slope.clamp(-1, 1)):
        points = [(knots[0], ZERO)]
        for j in range(1, len(knots)):
            t, value = points[-1]
            points.append((knots[j], value + slopes[j] * (knots[j] - t)))
        functions.append(PiecewiseLinear(tuple(points), slopes[0], slopes[-1]))
    return Activation(tuple(functions))


def _vector(values: Tensor) -> Vector:
    return vector(values.detach().double().tolist())


def _rows(values: Tensor) -> list[Vector]:
    return [vector(row) for row in values.detach().double().tolist()]
