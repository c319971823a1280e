"""How far a host's run of a network can be from the network over the real numbers.

`analyse` walks the operations once and derives, from the weights and the input box alone, the
Lipschitz constant of every logit, the range of every unit, the error bound E of the margin
certificate and the slacks of the interval certificate. What is particular to an operation, it says
itself (`operations`); docs/certificates.md derives each rule.

Arithmetic here is float64 with every result pushed outward by more than its rounding error.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from sortnet.base.units import float32_down, float32_up

from .network import Network
from .operations import Travel
from .rounding import (
    FILE,
    LARGEST,
    TANH_ERROR,
    TINY,
    TORCH,
    UNIT,
    Arithmetic,
    Array,
    BoundError,
    ball_reach,
    up,
)

__all__ = [
    "FILE",
    "ROOM",
    "TANH_ERROR",
    "TORCH",
    "Analysis",
    "Arithmetic",
    "BoundError",
    "Step",
    "analyse",
    "ball_reach",
]

LEAST = 2.0**-100
"""Lipschitz constants are not taken to be smaller: a product of tiny ones may underflow."""

ROOM = 2.0**-16
"""Relative room that files leave around every constant, for machines that sum in another order."""


@dataclass(frozen=True)
class Step:
    """What one operation adds to the proof; one row of the verifier's table.

    Attributes:
        op: its name. lipschitz: its own constant (l-inf to l-inf). low, high: range of its exact
        output over the box. error: bound on |computed - exact| of its output.
        widen: how far interval bounds move outward before it (0: not at all).
    """

    op: str
    lipschitz: float
    low: float
    high: float
    error: float
    widen: float


@dataclass(frozen=True)
class Analysis:
    """The constants of both certificates; every number is rounded to the safe side.

    Attributes:
        lipschitz: L, of each logit from the input in l-inf, per pixel or per unit of the features.
        error: E, the largest |computed - exact| of a logit over the box.
        margin_slack: float32 that the graph subtracts from the margin, >= 4 E.
        margin_scale: float32 that it multiplies with then, < 1 / (2 L).
        interval_slack: float32 by which interval bounds of two logits must be apart.
        value_slack: float32 by which interval bounds of an output move out to hold computed values.
        largest: bound on |computed| of an output over the box.
        steps: one row per operation.
    """

    lipschitz: float
    error: float
    margin_slack: float
    margin_scale: float
    interval_slack: float
    value_slack: float
    largest: float
    steps: tuple[Step, ...]

    def value_reach(self, eps: float) -> float:
        """A float32 c with fl(v - c) <= v' <= fl(v + c) for computed outputs v, v' within eps."""
        apart = self.lipschitz * eps + 2 * self.error
        return float32_up(up(apart + 2 * UNIT * (self.largest + apart) + TINY))


def analyse(network: Network, arithmetic: Arithmetic = FILE) -> Analysis:
    """Bounds of a network over its input box.

    Args:
        arithmetic: of the host that computes the network and its interval bounds.

    Raises:
        BoundError: some value may exceed 2^100, or the Lipschitz constant may, or a sum is too long
            for its precision.
    """
    spec = network.input
    low, high = spec.low.astype(np.float64), spec.high.astype(np.float64)
    lipschitz = 1.0
    # How far each unit moves where the input moves by one unit of every feature.
    moves = None if spec.images else spec.unit.astype(np.float64)
    # error: computed value against exact value. gap: how far the computed value may be outside
    # computed interval bounds. spill: how far those may be outside the exact interval bounds.
    # A number below 2^-126 may be taken for 0 by the first operation already; where pixels reach 1,
    # its own rounding is more than what that can add.
    error = gap = 0.0 if spec.images else TINY
    spill = 0.0
    magnitude_in = spill_in = 0.0
    steps = []
    for index, op in enumerate(network.ops):
        name = type(op).__name__
        magnitude_in = _magnitude(low, high)
        factor = float(op.moves(np.ones(low.shape)).max())
        low, high = op.range(low, high)
        magnitude = _magnitude(low, high)
        if moves is None:
            lipschitz = up(max(lipschitz * factor, LEAST))
        else:
            moves = np.maximum(op.moves(moves), LEAST) * (1 + 2.0**-45)
            lipschitz = float(moves.max())
        widen = 0.0
        if op.travel is Travel.WIDENED:
            widen = float32_up(up(gap + 2 * UNIT * (magnitude_in + spill + 2 * gap) + TINY))
            gap, spill = 0.0, up(spill + 2 * widen * (1 + 4 * ROOM))
        spill_in = spill
        rounding = op.rounding(arithmetic, magnitude + factor * error, magnitude_in + error)
        error = up(factor * error + rounding)
        of_bounds = op.rounding(arithmetic, magnitude + factor * spill, magnitude_in + spill)
        # Bounds that are rounded outward add nothing to the gap, a few roundings to the spill.
        inward = 0.0 if op.travel is Travel.OUTWARD else of_bounds
        gap = up(factor * gap + rounding + inward)
        spill = up(factor * spill + 16 * of_bounds)
        if not max(magnitude + error, magnitude + spill, lipschitz) < LARGEST:
            raise BoundError(
                f"operation {index} ({name}): values or Lipschitz constants up to "
                f"{max(magnitude + spill, lipschitz):.3g} cannot be kept clear of overflow"
            )
        steps.append(Step(name, factor, float(low.min()), float(high.max()), error, widen))
    magnitude = _magnitude(low, high)
    spread = 2 * (magnitude + error)
    slack = up(4 * error + 2 * UNIT * spread + lipschitz * TINY + TINY)
    # At most 2^24, so that the product with a margin cannot overflow.
    scale = min((1 - Fraction(2) ** -20) / (2 * Fraction(lipschitz)), Fraction(2) ** 24)
    # By how much the bounds of two logits must be apart: twice the gap, and the roundings of the
    # last operation where differences of its outputs are bounded (section 6).
    pairs = network.ops[-1].pair_slack(arithmetic, magnitude_in + spill_in)
    return Analysis(
        lipschitz=lipschitz,
        error=error,
        margin_slack=float32_up(slack),
        margin_scale=float32_down(scale),
        interval_slack=float32_up(up(2 * gap + pairs + TINY)),
        value_slack=float32_up(up(gap + 2 * UNIT * (magnitude + spill + 2 * gap) + TINY)),
        largest=up(magnitude + error),
        steps=tuple(steps),
    )


def _magnitude(low: Array, high: Array) -> float:
    return float(np.maximum(np.abs(low).max(), np.abs(high).max()))  # NaN where one is
