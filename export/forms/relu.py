"""ReLU: `Relu`."""

from __future__ import annotations

from sortnet.certificate.operations import ReLU

from ..builder import Builder
from ..matcher import Matcher
from ..wire import Value
from .base import Found, Monotone, Place, Standard


class ReLUForm(Standard[ReLU], Monotone[ReLU]):
    operation = ReLU
    tail = ("Relu",)

    def since(self, op: ReLU) -> int:
        return 1

    def write(self, build: Builder, op: ReLU, at: Place, x: str, out: str) -> str:
        return build.add("Relu", [x], out)

    def recognise(self, match: Matcher, value: Value) -> Found:
        (x,) = match.take(value, "Relu", 1)
        return Found(ReLU(), x)
