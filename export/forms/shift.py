"""Shift: `Sub`."""

from __future__ import annotations

import numpy as np

from sortnet.certificate.operations import Shift

from ..builder import Builder
from ..matcher import Matcher
from ..wire import Value
from .base import Found, Monotone, Place, Standard


class ShiftForm(Standard[Shift], Monotone[Shift]):
    operation = Shift
    tail = ("Sub",)

    def since(self, op: Shift) -> int:
        return 1

    def write(self, build: Builder, op: Shift, at: Place, x: str, out: str) -> str:
        values = build.constant(f"shift{at.index}", op.values)
        return build.add("Sub", [x, values], out)

    def recognise(self, match: Matcher, value: Value) -> Found:
        x, values = match.take(value, "Sub", 2)
        return Found(Shift(match.array(values, np.float32, 1, "shift")), x)
