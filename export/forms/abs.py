"""Abs: `Abs`; its bounds are max(l, -u, 0) and max(u, -l)."""

from __future__ import annotations

import numpy as np

from sortnet.certificate.operations import Abs

from ..builder import Builder
from ..matcher import Matcher
from ..wire import Value
from .base import Found, Place, Separate, Standard


class AbsForm(Standard[Abs], Separate[Abs]):
    operation = Abs
    tail = ("Abs",)

    def since(self, op: Abs) -> int:
        return 1

    def write(self, build: Builder, op: Abs, at: Place, x: str, out: str) -> str:
        return build.add("Abs", [x], out)

    def write_bounds(
        self, build: Builder, op: Abs, at: Place, low: str, high: str
    ) -> tuple[str, str]:
        zero = build.constant("zero", 0.0)
        turned = build.add("Neg", [high], f"l{at.index}_turned")
        size = build.add("Neg", [low], f"u{at.index}_turned")
        return (
            build.add("Max", [low, turned, zero], f"l{at.index}"),
            build.add("Max", [high, size], f"u{at.index}"),
        )

    def recognise(self, match: Matcher, value: Value) -> Found:
        (x,) = match.take(value, "Abs", 1)
        return Found(Abs(), x)

    def recognise_bounds(
        self, match: Matcher, low: Value, high: Value, op: Abs, at: Place
    ) -> tuple[Value, Value]:
        below, turned, zero = match.take(low, "Max", 3)
        match.expect(zero, 0.0, np.float32, "bound of an absolute value")
        above, size = match.take(high, "Max", 2)
        match.same_value(match.take(turned, "Neg", 1)[0], above, "absolute value")
        match.same_value(match.take(size, "Neg", 1)[0], below, "absolute value")
        return below, above
