"""Put a trained model under the mass lemma: the measured mass of its layers beside their bounds.

A run folder or an ONNX file is read as the chain of operations that is certified and exported. The
pairs move one pixel of its own each, by at most 1 in units of the input range [0, 1]; a normalised
input with standard deviation std makes every bound 1/std times larger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..objects.boolean import cyclic_pairs
from ..objects.convert import exact_operation
from ..objects.exact import ONE, absolute_sum, check_rank, fraction, vector
from ..objects.networks import (
    Affine,
    Layer,
    Network,
)
from ..theorems.mass import masses

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from sortnet.certificate.network import Network as ExportedNetwork

_AFFINE = {"Affine"}
_DISTANCES = {"SortNeuron", "SortConv", "OrderStatistic"}


@dataclass(frozen=True)
class LayerMass:
    """One layer of the model on one set of pairs.

    The masses are fractions where they were measured in exact arithmetic, floats otherwise.

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
    measured: Fraction | float
    bound: Fraction | float
    if_standard: Fraction | float


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
    def slack(self) -> Fraction:
        """The factor by which a measured mass may exceed a bound: 1 in exact arithmetic, 1.001
        for the rounding of float32."""
        return ONE if self.arithmetic == "exact" else Fraction(1001, 1000)

    def exceeds(self, measured: Fraction | float, bound: Fraction | float) -> bool:
        """Is ``measured`` above ``bound`` by more than :attr:`slack`? Compared as fractions."""
        return fraction(measured) > self.slack * fraction(bound)

    @property
    def within(self) -> bool:
        """No layer exceeds its bound."""
        return not any(self.exceeds(layer.measured, layer.bound) for layer in self.layers)

    def document(self) -> dict[str, Any]:
        """The same for JSON, with floats for the fractions."""

        def plain(fields: list[tuple[str, Any]]) -> dict[str, Any]:
            return {k: float(v) if isinstance(v, Fraction) else v for k, v in fields}

        return asdict(self, dict_factory=plain)


@dataclass(frozen=True)
class _Step:
    """One layer as it is measured: its norm (a fraction in exact arithmetic) and spread as in
    :class:`.networks.Layer`, its torch layer, and its exact one (None: it only reshapes)."""

    name: str
    units: int
    norm: Fraction | float
    spread: int
    module: nn.Module
    exact: Layer | None = None


def _steps(path: str | Path, exact: bool) -> tuple[tuple[int, ...], list[_Step]]:
    """The input shape (C, H, W) and the layers of a run folder or an exported ONNX file.

    Raises:
        ValueError: it does not exist, is damaged, or holds something that is not known; one line.
    """
    target = Path(path)
    if target.is_dir():
        from sortnet.export.from_torch import ExportError, network_from_torch
        from sortnet.training.runs import load_run

        model = load_run(target)[0]
        try:
            network = network_from_torch(model)
        except ExportError as error:
            raise ValueError(f"no mass bound is known: {error}") from None
        return network.input_shape, _steps_of_operations(network, exact)
    if not target.is_file():
        raise ValueError(f"no run folder or ONNX file at {target}")
    from sortnet.export.reader import read_model
    from sortnet.export.wire import load_model

    network = read_model(load_model(target)).network
    return network.input_shape, _steps_of_operations(network, exact)


def _steps_of_operations(network: ExportedNetwork, exact: bool) -> list[_Step]:
    from sortnet.nn.twins import TorchNetwork

    steps = []
    modules = TorchNetwork(network).layers
    for op, module, before, after in zip(
        network.ops, modules, network.shapes, network.shapes[1:], strict=False
    ):
        layer = exact_operation(op, prod(before)) if exact else None
        norm: Fraction | float
        norm, spread = float(op.moves(np.ones(before)).max()), op.spread
        if layer is not None:
            norm, spread = _true_norm(layer), layer.spread
        elif exact:  # it only reshapes
            norm = ONE
        steps.append(_Step(type(op).__name__, prod(after), norm, spread, module, layer))
    return steps


def _true_norm(layer: Layer) -> Fraction:
    """Affine layers declare a norm of at least 1; here it is that of their rows."""
    return max(map(absolute_sum, layer.rows)) if isinstance(layer, Affine) else layer.norm


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
    shape, steps = _steps(path, exact)
    low, high = _pairs(prod(shape), k, base)
    measured: Sequence[Fraction | float]
    measured = _exact_masses(steps, low, high) if exact else _float_masses(shape, steps, low, high)
    kind = f"{base}, k = {k}" if base == "cyclic" else base
    return ModelMass(
        family=_family(steps),
        pairs=f"{len(low)} pairs ({kind})",
        arithmetic="exact" if exact else "float32",
        layers=tuple(_rows(steps, measured, len(low))),
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
    shape: tuple[int, ...],
    steps: list[_Step],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
) -> list[float]:
    import torch

    moved = [torch.zeros(step.units, dtype=torch.float64) for step in steps]
    with torch.no_grad():
        for start in range(0, len(low), 256):
            stop = min(start + 256, len(low))
            both = np.concatenate([low[start:stop], high[start:stop]])
            state = torch.from_numpy(both).reshape(-1, *shape)
            for i, step in enumerate(steps):
                state = step.module(state)
                before, after = state.flatten(1).double().chunk(2)
                moved[i] += (after - before).abs().sum(0)
    return [float(units.max()) for units in moved]


def _exact_masses(
    steps: list[_Step], low: NDArray[np.float32], high: NDArray[np.float32]
) -> list[Fraction]:
    exact = Network(tuple(step.exact for step in steps if step.exact is not None))
    pairs = [(vector(x.tolist()), vector(y.tolist())) for x, y in zip(low, high, strict=True)]
    found = iter(masses(exact, pairs))
    last = max((abs(b - a) for x, y in pairs for a, b in zip(x, y, strict=True)), default=ONE)
    result: list[Fraction] = []
    for step in steps:  # what only reshapes has the mass of what it is given
        last = last if step.exact is None else max(next(found))
        result.append(last)
    return result


def _rows(
    steps: list[_Step], measured: Sequence[Fraction | float], pairs: int
) -> Iterator[LayerMass]:
    norm: Fraction | float = ONE
    spread = 1
    for i, (step, value) in enumerate(zip(steps, measured, strict=True)):
        norm *= step.norm
        spread *= step.spread
        yield LayerMass(
            layer=f"{i}: {step.name}",
            units=step.units,
            measured=value,
            bound=norm * min(spread, pairs),
            if_standard=norm,
        )


def _family(steps: list[_Step]) -> str:
    kinds = {step.name for step in steps}
    if kinds & _DISTANCES:
        return "mixed" if kinds & _AFFINE else "distance or SortNet"
    return "GroupSort" if "GroupSort" in kinds else "standard Lipschitz"
