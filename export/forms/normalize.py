"""Normalize: `Sub`, `Div`."""

from __future__ import annotations

from sortnet.certificate.operations import Normalize

from ..builder import Builder
from ..matcher import Matcher
from ..wire import Value
from .base import Found, Monotone, Place, Standard


class NormalizeForm(Standard[Normalize], Monotone[Normalize]):
    operation = Normalize
    tail = ("Div",)

    def since(self, op: Normalize) -> int:
        return 2 if op.per_feature else 1

    def write(self, build: Builder, op: Normalize, at: Place, x: str, out: str) -> str:
        mean = build.constant(f"mean{at.index}", op.mean)
        std = build.constant(f"std{at.index}", op.std)
        centered = build.add("Sub", [x, mean], f"{out}_centered")
        return build.add("Div", [centered, std], out)

    def recognise(self, match: Matcher, value: Value) -> Found:
        centered, std = match.take(value, "Div", 2)
        x, mean = match.take(centered, "Sub", 2)
        return Found(Normalize(match.floats(mean, "mean"), match.floats(std, "std")), x)
