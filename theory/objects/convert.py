"""Trained layers of `sortnet.nn` as exact networks: every float is a rational number.

The exact network is what the torch module computes in evaluation mode, without rounding. A real
model is thereby put under the theorems. Its layers declare their true norms: an affine or sorted
row whose exact absolute sum is above 1, such as a plain ``nn.Linear`` may have, is not rescaled;
the bounds then scale with :attr:`.networks.Network.norm`.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from sortnet.certificate import operations as spec
from sortnet.models import chain_of
from sortnet.nn import (
    Abs,
    GroupSort,
    LayerError,
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
        ValueError: a layer is not known (a subclass, a hook: see `sortnet.models.chain_of`) or has
            no exact form (tanh is not rational), a weight is not finite, or
            the chain has no layer with weights from which its width could be read.
    """
    return Network(tuple(layer for _, layer in exact_layers(model) if layer is not None))


def exact_layers(model: nn.Module) -> list[tuple[nn.Module, Layer | None]]:
    """Every layer of a chain beside its exact one, None where it only reshapes.

    Raises:
        ValueError: as :func:`exact_network`.
    """
    try:
        modules = chain_of(model)
    except LayerError as error:
        raise ValueError(str(error)) from None
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


def _width_in(module: nn.Module) -> int | None:
    if isinstance(module, MeanShift):
        return module.num_features
    weight = getattr(module, "weight", None)
    return weight.shape[1] if isinstance(weight, Tensor) and weight.ndim == 2 else None


def _layer(module: nn.Module, width: int) -> Layer | None:
    if isinstance(module, nn.Flatten | nn.Identity):
        return None
    if isinstance(module, Normalize) and isinstance(module.mean, float):
        factor = 1 / fraction(float(module.std))
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


def exact_operation(op: spec.Operation, width: int) -> Layer | None:
    """The exact layer of an operation of a trained network; None where it only reshapes.

    Args:
        width: units of its input.

    Raises:
        ValueError: it has no exact form.
    """
    match op:
        case spec.Flatten():
            return None
        case spec.Normalize() if not op.per_feature:
            factor = 1 / fraction(float(op.std))
            return Scale(width, factor, -fraction(float(op.mean)) * factor)
        case spec.Negate():
            return Scale(width, -ONE)
        case spec.Shift():
            return Shift(vector(op.values.tolist()))
        case spec.Bias():
            return Shift(vector((-op.values).tolist()))
        case spec.Affine():
            return exact_affine(op.W.tolist(), op.b.tolist())
        case spec.SortNeuron():
            return exact_sort(op.W.tolist(), [op.coefficients.tolist()] * len(op.W), ())
        case spec.OrderStatistic():
            return exact_sort(op.W.tolist(), op.coefficients.tolist(), ())
        case spec.PiecewiseLinear():
            return _pieces(op.knots.tolist(), op.slopes.tolist())
        case spec.GroupSort():
            return ExactGroupSort(width, op.size)
        case spec.ReLU():
            return Activation((RELU,) * width)
        case spec.Abs():
            return Activation((ABSOLUTE_VALUE,) * width)
    raise ValueError(f"{type(op).__name__} has no exact form; measure this model in float32")


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
    return _pieces(_values(module.knots), _rows(module.slope.clamp(-1, 1)))


def _pieces(knots: Sequence[Number], slopes: Sequence[Sequence[Number]]) -> Activation:
    """Functions of each unit that are 0 at the first knot."""
    exact = vector(knots)
    functions = []
    for row in map(vector, slopes):
        points = [(exact[0], ZERO)]
        for j in range(1, len(exact)):
            t, value = points[-1]
            points.append((exact[j], value + row[j] * (exact[j] - t)))
        functions.append(PiecewiseLinear(tuple(points), row[0], row[-1]))
    return Activation(tuple(functions))
