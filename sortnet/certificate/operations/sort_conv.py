"""SortNet neurons on patches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rounding import Arithmetic, Array
from .base import Operation, Shape, Travel, expect_indices, indices
from .sort_neuron import SortNeuron


@dataclass(frozen=True, eq=False)
class SortConv(Operation):
    """A sorted neuron on patches: [D] -> [O * P], unit o at position p at index o * P + p.

    patches: int64 [P, F], the input index of each entry of each patch; D stands for a zero that
    padding adds. neuron: W [O, F].
    """

    patches: Array
    neuron: SortNeuron

    def __post_init__(self) -> None:
        object.__setattr__(self, "patches", indices(self.patches, "SortConv"))

    def out_shape(self, shape: Shape) -> Shape:
        expect_indices(shape, self.patches, "SortConv")
        (outputs,) = self.neuron.out_shape((self.patches.shape[1],))
        return (outputs * self.patches.shape[0],)

    @property
    def entries(self) -> int:
        return self.patches.size + self.neuron.W.size

    def value(self, x: Array) -> Array:
        padded = np.concatenate([x, np.zeros((len(x), 1))], axis=1)
        y = self.neuron.value(padded[:, self.patches])  # [N, P, O]
        return np.reshape(np.swapaxes(y, 1, 2), (len(x), y.shape[1] * y.shape[2]))

    def moves(self, moves: Array) -> Array:
        """As SortNeuron, with the largest move of each patch."""
        positions = np.append(moves, 0.0)[self.patches].max(axis=1)
        return np.tile(self.neuron.sum_of_coefficients() * positions, len(self.neuron.W))

    @property
    def spread(self) -> int:
        return self.neuron.spread

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """As SortNeuron, with one interval for each entry of a patch, for all positions."""
        # One interval for each entry of a patch that holds at every position.
        low = np.append(low, 0.0)[self.patches].min(axis=0)
        high = np.append(high, 0.0)[self.patches].max(axis=0)
        low, high = self.neuron.range(low, high)
        positions = len(self.patches)
        return np.repeat(low, positions), np.repeat(high, positions)

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """As SortNeuron."""
        return self.neuron.rounding(arithmetic, magnitude, magnitude_in)

    @property
    def travel(self) -> Travel:
        return self.neuron.travel

    def pair_slack(self, arithmetic: Arithmetic, magnitude_in: float) -> float:
        return self.neuron.pair_slack(arithmetic, magnitude_in)
