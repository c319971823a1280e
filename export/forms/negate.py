"""Negate: `Neg`, which swaps the bounds."""

from __future__ import annotations

from sortnet.certificate.operations import Negate

from ..builder import Builder
from ..matcher import Matcher
from ..wire import Value
from .base import Found, Place, Separate, Standard


class NegateForm(Standard[Negate], Separate[Negate]):
    operation = Negate
    tail = ("Neg",)

    def since(self, op: Negate) -> int:
        return 1

    def write(self, build: Builder, op: Negate, at: Place, x: str, out: str) -> str:
        return build.add("Neg", [x], out)

    def write_bounds(
        self, build: Builder, op: Negate, at: Place, low: str, high: str
    ) -> tuple[str, str]:
        return (
            build.add("Neg", [high], f"l{at.index}"),
            build.add("Neg", [low], f"u{at.index}"),
        )

    def recognise(self, match: Matcher, value: Value) -> Found:
        (x,) = match.take(value, "Neg", 1)
        return Found(Negate(), x)

    def recognise_bounds(
        self, match: Matcher, low: Value, high: Value, op: Negate, at: Place
    ) -> tuple[Value, Value]:
        (above,) = match.take(low, "Neg", 1)
        (below,) = match.take(high, "Neg", 1)
        return below, above
