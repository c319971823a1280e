"""Flatten: `Flatten`."""

from __future__ import annotations

from sortnet.certificate.operations import Flatten

from ..builder import Builder
from ..matcher import Matcher
from ..wire import Value
from .base import Found, Monotone, Place, Standard


class FlattenForm(Standard[Flatten], Monotone[Flatten]):
    operation = Flatten
    tail = ("Flatten",)

    def since(self, op: Flatten) -> int:
        return 1

    def write(self, build: Builder, op: Flatten, at: Place, x: str, out: str) -> str:
        return build.add("Flatten", [x], out, axis=1)

    def recognise(self, match: Matcher, value: Value) -> Found:
        (x,) = match.take(value, "Flatten", 1, axis=1)
        return Found(Flatten(), x)
