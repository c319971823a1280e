"""Bias: `Add`."""

from __future__ import annotations

import numpy as np

from sortnet.certificate.operations import Bias

from ..builder import Builder
from ..matcher import Matcher
from ..wire import Value
from .base import Found, Monotone, Place, Standard


class BiasForm(Standard[Bias], Monotone[Bias]):
    operation = Bias
    tail = ("Add",)

    def since(self, op: Bias) -> int:
        return 1

    def write(self, build: Builder, op: Bias, at: Place, x: str, out: str) -> str:
        values = build.constant(f"bias{at.index}", op.values)
        return build.add("Add", [x, values], out)

    def recognise(self, match: Matcher, value: Value) -> Found:
        x, values = match.take(value, "Add", 2)
        return Found(Bias(match.array(values, np.float32, 1, "bias")), x)
