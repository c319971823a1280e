"""Tanh: `Tanh`; ONNX Runtime promises no accuracy, so sessions measure it."""

from __future__ import annotations

import numpy as np

from sortnet.certificate.operations import Tanh
from sortnet.certificate.rounding import TANH_ERROR

from ..builder import Builder
from ..matcher import Matcher
from ..wire import Value
from .base import Found, Monotone, Place, Promise, Standard


class TanhForm(Standard[Tanh], Monotone[Tanh]):
    operation = Tanh
    tail = ("Tanh",)

    def since(self, op: Tanh) -> int:
        return 1

    @property
    def promise(self) -> Promise:
        points = np.concatenate([np.linspace(-12, 12, 2**16), np.geomspace(1e-30, 1e30, 2**12)])
        return Promise("Tanh", points.astype(np.float32), np.tanh, TANH_ERROR / 2)

    def write(self, build: Builder, op: Tanh, at: Place, x: str, out: str) -> str:
        return build.add("Tanh", [x], out)

    def recognise(self, match: Matcher, value: Value) -> Found:
        (x,) = match.take(value, "Tanh", 1)
        return Found(Tanh(), x)
