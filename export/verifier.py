"""Proves, from an ONNX file alone, what its ``radius`` promises.

The graph is read back into a network (`read`), everything that the certificate needs is derived
from that network again (`error_bound`), and the constants in the graph are compared with it. The
metadata is compared as well, and never used.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field

import onnx

from sortnet.certificate.analysis import ROOM, Analysis, BoundError, analyse, ball_reach
from sortnet.certificate.network import Network

from .read import Exported, IntervalRadius, MarginRadius, read_model
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
    radius: MarginRadius | IntervalRadius | None = None
    analysis: Analysis | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, object]:
        """For machines; the numbers are null where they could not be derived."""
        analysis, radius = self.analysis, self.radius
        return {
            "proved": self.proved,
            "lipschitz": analysis.lipschitz if analysis else None,
            "error_bound": analysis.error if analysis else None,
            "box": [0.0, 1.0] if self.network else None,
            "radius": {MarginRadius: "margin", IntervalRadius: "interval"}.get(type(radius)),
            "eps": radius.eps if isinstance(radius, IntervalRadius) else None,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
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
    reasons = tuple(_compare(exported.radius, analysis))
    notes = tuple(_metadata(exported, analysis))
    return Proof(not reasons, reasons, notes, exported.network, exported.radius, analysis)


def _compare(radius: MarginRadius | IntervalRadius, analysis: Analysis) -> list[str]:
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
    if not 0 < radius.eps <= 1:
        reasons.append(f"the certified radius {radius.eps!r} is not in (0, 1]")
    elif not ball_reach(radius.eps) <= radius.reach <= 2:
        reasons.append(
            f"the ball reaches {radius.reach!r} from the input, a radius of {radius.eps!r} needs "
            f"{ball_reach(radius.eps)!r}"
        )
    if not analysis.interval_slack <= radius.slack < math.inf:
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


def _metadata(exported: Exported, analysis: Analysis) -> list[str]:
    margin = isinstance(exported.radius, MarginRadius)
    derived = {
        "sortnet.radius": "margin" if margin else "interval",
        "sortnet.box": "[0, 1]",
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
