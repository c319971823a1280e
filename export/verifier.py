"""Proves, from an ONNX file alone, what its ``radius`` promises.

The graph is read back into a network (`reader`), everything that the certificate needs is derived
from that network again (`analyse`), and the constants in the graph are compared with it. The
metadata is compared as well, and never used.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field

import numpy as np
import onnx

from sortnet.base.units import MAX_UNITS_OF_RADIUS
from sortnet.certificate.analysis import ROOM, Analysis, BoundError, analyse
from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.rounding import Array

from .reader import Exported, IntervalRadius, MarginRadius, ValueBounds, read_model
from .wire import RefusedError, load_model


@dataclass(frozen=True)
class Proof:
    """The outcome of `verify`.

    Attributes:
        proved: whether the claim of docs/certificates.md holds for the file.
        reasons: why not; empty where proved.
        notes: metadata that differs from what was derived (it is not believed, so nothing breaks).
        network, radius, analysis: what was derived, as far as it got.
    """

    proved: bool
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    network: Network | None = field(default=None, repr=False)
    radius: MarginRadius | IntervalRadius | ValueBounds | None = None
    analysis: Analysis | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, object]:
        """For machines; the numbers are null where they could not be derived."""
        analysis, radius = self.analysis, self.radius
        return {
            "proved": self.proved,
            "lipschitz": analysis.lipschitz if analysis else None,
            "error_bound": analysis.error if analysis else None,
            "box": self._box(),
            "unit": self._unit(),
            "radius": _KIND.get(type(radius)),
            "eps": None if radius is None or isinstance(radius, MarginRadius) else radius.eps,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
        }

    def _box(self) -> list[object] | None:
        if self.network is None:
            return None
        spec = self.network.input
        return [0.0, 1.0] if spec.images else [spec.low.tolist(), spec.high.tolist()]

    def _unit(self) -> object:
        if self.network is None:
            return None
        return 1.0 if self.network.input.images else self.network.input.unit.tolist()


_KIND: dict[type, str] = {
    MarginRadius: "margin",
    IntervalRadius: "interval",
    ValueBounds: "bounds of the value",
}


def verify(path: str | os.PathLike[str]) -> Proof:
    """Verify a file.

    Raises:
        OSError: the file cannot be read. Everything else is a `Proof` that is not proved.
    """
    try:
        model = load_model(path)
    except RefusedError as error:
        return Proof(False, (str(error),))
    return verify_model(model)


def verify_model(model: onnx.ModelProto) -> Proof:
    """As `verify`, for a parsed file."""
    try:
        exported = read_model(model)
    except RefusedError as error:
        return Proof(False, (str(error),))
    try:
        analysis = analyse(exported.network)
    except BoundError as error:
        return Proof(False, (str(error),), (), exported.network, exported.radius)
    reasons = tuple(_compare(exported.radius, analysis, exported.network.input))
    notes = tuple(_metadata(exported, analysis))
    return Proof(not reasons, reasons, notes, exported.network, exported.radius, analysis)


def _compare(
    radius: MarginRadius | IntervalRadius | ValueBounds, analysis: Analysis, spec: InputSpec
) -> list[str]:
    """What keeps the graph's constants from being safe. A NaN fails every comparison."""
    reasons = []
    if isinstance(radius, MarginRadius):
        if not analysis.margin_slack <= radius.slack < math.inf:
            reasons.append(
                f"radius subtracts {radius.slack!r} from the margin, at least "
                f"{analysis.margin_slack!r} is needed for the rounding error"
            )
        if not 0 <= radius.scale <= analysis.margin_scale:
            reasons.append(
                f"radius multiplies the margin by {radius.scale!r}, at most "
                f"{analysis.margin_scale!r} is safe for a Lipschitz constant of "
                f"{analysis.lipschitz!r}"
            )
        return reasons
    most = 1 if spec.images else MAX_UNITS_OF_RADIUS
    if not 0 < radius.eps <= most:
        reasons.append(f"the certified radius {radius.eps!r} is not in (0, {most}]")
    else:
        reasons += _compare_reach(radius.eps, radius.reach, spec)
    if isinstance(radius, ValueBounds):
        reasons += _compare_value(radius, analysis)
    elif not analysis.interval_slack <= radius.slack < math.inf:
        reasons.append(
            f"bounds must be {radius.slack!r} apart, at least {analysis.interval_slack!r} is needed"
        )
    for index, amount in radius.widen.items():
        needed = analysis.steps[index].widen
        if not needed <= amount <= needed * (1 + 3 * ROOM):
            reasons.append(
                f"bounds are widened by {amount!r} before operation {index}, {needed!r} is needed"
            )
    return reasons


def _compare_reach(eps: float, reach: Array, spec: InputSpec) -> list[str]:
    needed = spec.reach(eps)
    if spec.images and not (reach <= 2).all():
        return [f"the ball reaches {reach.max()!r} from the input, more than the whole box"]
    # A feature that nobody can change must not move: its unit is part of the claim.
    wrong = ~((needed <= reach) & ((spec.unit > 0) | (reach == 0)))
    if not wrong.any():
        return []
    needed, reach = (np.broadcast_to(a, spec.shape) for a in (needed, reach))
    first = tuple(np.argwhere(np.broadcast_to(wrong, spec.shape))[0])
    where = "" if spec.images else f" at feature {', '.join(map(str, first))}"
    return [
        f"the ball reaches {float(reach[first])!r} from the input{where}, a radius of {eps!r} "
        f"needs {float(needed[first])!r}"
    ]


def _compare_value(radius: ValueBounds, analysis: Analysis) -> list[str]:
    reasons = []
    if not analysis.value_slack <= radius.slack < math.inf:
        reasons.append(
            f"bounds of the value move out by {radius.slack!r}, at least "
            f"{analysis.value_slack!r} is needed for the rounding error"
        )
    needed = analysis.value_reach(radius.eps) if radius.eps > 0 else math.inf
    if not needed <= radius.value_reach < math.inf:
        reasons.append(
            f"the value is said to move by {radius.value_reach!r}, at least {needed!r} is needed"
        )
    return reasons


def _metadata(exported: Exported, analysis: Analysis) -> list[str]:
    margin = isinstance(exported.radius, MarginRadius)
    images = exported.network.input.images
    derived = {
        "sortnet.radius": "margin" if margin else "interval",
        "sortnet.format_version": str(exported.version),
        "sortnet.box": "[0, 1]" if images else "of each feature",
        "sortnet.lipschitz": analysis.lipschitz,
        "sortnet.error_bound": analysis.error,
    }
    return [
        f"metadata says {key} = {exported.metadata[key]!r}, derived {value!r}"
        for key, value in derived.items()
        if not _agrees(exported.metadata.get(key), value)
    ]


def _agrees(said: str | None, derived: str | float) -> bool:
    if said is None or isinstance(derived, str):
        return said in (None, derived)
    try:
        return math.isclose(float(said), derived, rel_tol=ROOM)
    except ValueError:
        return False
