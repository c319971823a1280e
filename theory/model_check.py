"""Put a trained model under the mass lemma: the measured mass of its layers beside their bounds.

Both a run folder and an ONNX file are read as the chain of operations of `sortnet.export`. The
pairs move one pixel of its own each, by at most 1 in units of the input range [0, 1]; a
normalised input with standard deviation std makes every bound 1/std times larger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .boolean import cyclic_pairs
from .convert import exact_affine, exact_sort
from .exact import ONE, check_rank, fraction, vector
from .mass import masses
from .networks import ABSOLUTE_VALUE, RELU, Activation, GroupSort, Layer, Network, Scale, Shift

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sortnet.export import spec


@dataclass(frozen=True)
class LayerMass:
    """One layer of the model on one set of pairs.

    Args:
        layer: its position and operation.
        units: how many it has.
        measured: the largest mass of a unit.
        bound: what the mass lemma allows it: the smaller of the product of the layers' mass
            factors and the number of pairs times the Lipschitz constant so far.
        if_standard: the bound of a standard Lipschitz network with the same norms; a larger
            measured mass is what that family cannot do.
    """

    layer: str
    units: int
    measured: float
    bound: float
    if_standard: float


@dataclass(frozen=True)
class ModelMass:
    """The masses of a model.

    Args:
        family: "standard Lipschitz", "GroupSort", "distance or SortNet" or "mixed".
        pairs: how many pairs, and which.
        arithmetic: "exact" or "float32" (sums in float64).
        layers: from the input to the logits.
    """

    family: str
    pairs: str
    arithmetic: str
    layers: tuple[LayerMass, ...]

    @property
    def within(self) -> bool:
        """No layer exceeds its bound (for float32: by more than rounding, 0.1 %)."""
        slack = 1.0 if self.arithmetic == "exact" else 1.001
        return all(layer.measured <= slack * layer.bound for layer in self.layers)


def read_operations(path: str | Path) -> spec.Network:
    """The operations of a run folder, or of an ONNX file exported by this package.

    Raises:
        ValueError: it does not exist, is damaged, or holds something that is not known; one line.
    """
    target = Path(path)
    if target.is_dir():
        from sortnet.export.from_torch import network_from_torch
        from sortnet.runs import load_run

        return network_from_torch(load_run(target)[0])
    if not target.is_file():
        raise ValueError(f"no run folder or ONNX file at {target}")
    from sortnet.export.read import read_model
    from sortnet.export.wire import load_model

    return read_model(load_model(target)).network


def check_model(
    path: str | Path, *, k: int = 1, base: str = "cyclic", exact: bool = False
) -> ModelMass:
    """Measure the mass of every unit of a model over d pairs, d = C H W.

    Args:
        path: a run folder or an ONNX file.
        k: the jump of the cyclic points, 1..d: k - 1 ones beside k ones.
        base: "cyclic", or "random": one random image, each pair moves another of its pixels to
            the farther end of [0, 1].
        exact: in exact arithmetic; for small models.

    Raises:
        ValueError: the model cannot be read, k or base is out of range, or ``exact`` is asked for
            an operation that has no exact form (tanh, convolution).
    """
    network = read_operations(path)
    low, high = _pairs(prod(network.input_shape), k, base)
    measured = (_exact_masses if exact else _float_masses)(network, low, high)
    kind = f"{base}, k = {k}" if base == "cyclic" else base
    return ModelMass(
        family=_family(network),
        pairs=f"{len(low)} pairs ({kind})",
        arithmetic="exact" if exact else "float32",
        layers=tuple(_rows(network, measured, len(low))),
    )


def _pairs(d: int, k: int, base: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    check_rank(d, k)
    if base == "cyclic":
        pairs = cyclic_pairs(d, k)
        low = np.array([[float(v) for v in x] for x, _ in pairs], dtype=np.float32)
        return low, np.array([[float(v) for v in y] for _, y in pairs], dtype=np.float32)
    if base != "random":
        raise ValueError(f"expected the base cyclic or random, got {base!r}")
    image = np.random.default_rng(0).random(d, dtype=np.float32)
    low = np.tile(image, (d, 1))
    high = low.copy()
    np.fill_diagonal(high, np.where(image < 0.5, 1, 0))
    return low, high


def _float_masses(
    network: spec.Network, low: NDArray[np.float32], high: NDArray[np.float32]
) -> list[float]:
    import torch

    from sortnet.export.attack import TorchNetwork

    layers = TorchNetwork(network).layers
    moved = [torch.zeros(prod(shape), dtype=torch.float64) for shape in network.shapes[1:]]
    with torch.no_grad():
        for start in range(0, len(low), 256):
            stop = min(start + 256, len(low))
            both = np.concatenate([low[start:stop], high[start:stop]])
            state = torch.from_numpy(both).reshape(-1, *network.input_shape)
            for i, layer in enumerate(layers):
                state = layer(state)
                before, after = state.flatten(1).double().chunk(2)
                moved[i] += (after - before).abs().sum(0)
    return [float(units.max()) for units in moved]


def _exact_masses(
    network: spec.Network, low: NDArray[np.float32], high: NDArray[np.float32]
) -> list[float]:
    exact = exact_operations(network)
    pairs = [(vector(x.tolist()), vector(y.tolist())) for x, y in zip(low, high, strict=True)]
    # Flatten has no layer of its own: it has the mass of what it flattens.
    found = iter(masses(exact, pairs))
    result: list[float] = []
    for op in network.ops:
        if type(op).__name__ != "Flatten":
            result.append(float(max(next(found))))
        else:
            result.append(result[-1] if result else 1.0)
    return result


def exact_operations(network: spec.Network) -> Network:
    """The exact network of a chain of operations.

    Raises:
        ValueError: an operation has no exact form: tanh, or a convolution.
    """
    layers = []
    for op, shape in zip(network.ops, network.shapes, strict=False):
        layer = _exact(op, prod(shape))
        if layer is not None:
            layers.append(layer)
    return Network(tuple(layers))


def _exact(op: spec.Op, width: int) -> Layer | None:
    from sortnet.export import spec

    match op:
        case spec.Flatten():
            return None
        case spec.Normalize():
            factor = 1 / fraction(op.std)
            return Scale(width, factor, -fraction(op.mean) * factor)
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
        case spec.GroupSort():
            return GroupSort(width, op.size)
        case spec.Activation() if op.kind in ("relu", "abs"):
            return Activation((RELU if op.kind == "relu" else ABSOLUTE_VALUE,) * width)
    name = op.kind if isinstance(op, spec.Activation) else type(op).__name__
    raise ValueError(f"{name} has no exact form; measure this model in float32")


def _factors(op: spec.Op) -> tuple[float, float]:
    """Lipschitz constant and mass factor of an operation."""
    from sortnet.export import spec

    match op:
        case spec.Normalize():
            return 1 / op.std, 1 / op.std
        case spec.Affine():
            norm = float(np.abs(op.W.astype(np.float64)).sum(1).max())
            return norm, norm
        case spec.GroupSort():
            return 1.0, float(op.size)
        case spec.SortNeuron():
            return 1.0, float(op.W.shape[1])
        case spec.SortConv():
            return 1.0, float(op.neuron.W.shape[1])
    return 1.0, 1.0


def _rows(network: spec.Network, measured: list[float], pairs: int) -> Iterator[LayerMass]:
    norm = by_mass = 1.0
    for i, (op, value) in enumerate(zip(network.ops, measured, strict=True)):
        lipschitz, factor = _factors(op)
        norm *= lipschitz
        by_mass *= factor
        yield LayerMass(
            layer=f"{i}: {type(op).__name__}",
            units=prod(network.shapes[i + 1]),
            measured=value,
            bound=min(by_mass, pairs * norm),
            if_standard=norm,
        )


def _family(network: spec.Network) -> str:
    kinds = {type(op).__name__ for op in network.ops}
    distances = bool(kinds & {"SortNeuron", "SortConv"})
    if distances and "Affine" in kinds:
        return "mixed"
    if distances:
        return "distance or SortNet"
    return "GroupSort" if "GroupSort" in kinds else "standard Lipschitz"
