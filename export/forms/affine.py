"""Affine: `Cast` to float64, `Gemm`, `Cast` back.

Bounds are moved apart, then W+ l + W- u + b and W+ u + W- l + b. As the last operation it bounds
the differences of its rows, which is tighter than two logits apart.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from sortnet.certificate.operations import Affine
from sortnet.certificate.rounding import Array

from ..builder import Builder
from ..matcher import Matcher, same
from ..wire import RefusedError, Value
from .base import Found, Place, Standard


class AffineForm(Standard[Affine]):
    operation = Affine
    tail = ("Cast",)

    def since(self, op: Affine) -> int:
        return 1

    def scratch_worst(self, op: Affine) -> int:
        return 2 * op.W.size

    # Writing.

    def write(self, build: Builder, op: Affine, at: Place, x: str, out: str) -> str:
        W = build.double(f"weight{at.index}", op.W)
        b = build.double(f"bias{at.index}", op.b)
        x = build.add("Cast", [x], f"{out}_in", to=11)
        y = build.add("Gemm", [x, W, b], f"{out}_wide", transB=1)
        return build.add("Cast", [y], out, to=1)

    def _write_widened(self, build: Builder, at: Place, low: str, high: str) -> tuple[str, str]:
        widen = build.constant(f"widen{at.index}", at.widen)
        low = build.add("Sub", [low, widen], f"l{at.index}_widened")
        high = build.add("Add", [high, widen], f"u{at.index}_widened")
        low = build.add("Cast", [low], f"l{at.index}_in", to=11)
        return low, build.add("Cast", [high], f"u{at.index}_in", to=11)

    def write_bounds(
        self, build: Builder, op: Affine, at: Place, low: str, high: str
    ) -> tuple[str, str]:
        low, high = self._write_widened(build, at, low, high)
        zero = build.constant("zero_wide", 0.0, np.float64)
        W = build.double(f"weight{at.index}", op.W)
        b = build.double(f"bias{at.index}", op.b)
        positive = build.add("Max", [W, zero], f"positive{at.index}")
        negative = build.add("Min", [W, zero], f"negative{at.index}")
        result = []
        for side, first, second in (("l", low, high), ("u", high, low)):
            out = f"{side}{at.index}"
            up = build.add("Gemm", [first, positive, b], f"{out}_up", transB=1)
            down = build.add("Gemm", [second, negative], f"{out}_down", transB=1)
            wide = build.add("Add", [up, down], f"{out}_wide")
            result.append(build.add("Cast", [wide], out, to=1))
        return result[0], result[1]

    def write_worst(self, build: Builder, op: Affine, at: Place, low: str, high: str) -> str:
        low, high = self._write_widened(build, at, low, high)
        classes = build.constant("classes", np.arange(at.classes), np.int64)
        axis_one = build.constant("axis_one", [1], np.int64)
        own = build.add("Unsqueeze", ["label", axis_one], "own")
        mine = build.add("Equal", [own, classes], "mine")
        zero = build.constant("zero_wide", 0.0, np.float64)
        axis_two = build.constant("axis_two", [2], np.int64)
        W = build.double(f"weight{at.index}", op.W)
        b = build.double(f"bias{at.index}", op.b)
        own_row = build.add("Gather", [W, own], "own_row", axis=0)
        rows = build.add("Sub", [own_row, W], "row_differences")
        positive = build.add("Max", [rows, zero], "positive_differences")
        negative = build.add("Min", [rows, zero], "negative_differences")
        low_column = build.add("Unsqueeze", [low, axis_two], "low_column")
        high_column = build.add("Unsqueeze", [high, axis_two], "high_column")
        up = build.add("MatMul", [positive, low_column], "worst_up")
        down = build.add("MatMul", [negative, high_column], "worst_down")
        both = build.add("Add", [up, down], "worst_both")
        flat = build.add("Squeeze", [both, axis_two], "worst_flat")
        own_bias = build.add("Gather", [b, own], "own_bias", axis=0)
        biases = build.add("Sub", [own_bias, b], "bias_differences")
        wide = build.add("Add", [flat, biases], "worst_wide")
        single = build.add("Cast", [wide], "worst_single", to=1)
        ever = build.constant("ever", np.inf)
        others = build.add("Where", [mine, ever, single], "worst_others")
        return build.add("ReduceMin", [others, axis_one], "worst", keepdims=0)

    # Recognising.

    def recognise(self, match: Matcher, value: Value) -> Found:
        (wide,) = match.take(value, "Cast", 1, to=TensorProto.FLOAT)
        x, W, b = match.take(wide, "Gemm", 3, transB=1)
        (x,) = match.take(x, "Cast", 1, to=TensorProto.DOUBLE)
        return Found(Affine(_double(match, W, 2, "W"), _double(match, b, 1, "b")), x)

    def recognise_bounds(
        self, match: Matcher, low: Value, high: Value, op: Affine, at: Place
    ) -> tuple[Value, Value]:
        sides = []
        for value in (low, high):
            (wide,) = match.take(value, "Cast", 1, to=TensorProto.FLOAT)
            up, down = match.take(wide, "Add", 2)
            x, positive, b = match.take(up, "Gemm", 3, transB=1)
            y, negative = match.take(down, "Gemm", 2, transB=1)
            for part, clip in ((positive, "Max"), (negative, "Min")):
                W, zero = match.take(part, clip, 2)
                match.expect(zero, 0.0, np.float64, "sign test")
                if not same(Affine(_double(match, W, 2, "W"), _double(match, b, 1, "b")), op):
                    raise RefusedError("bounds of an affine operation use other weights")
            sides.append((x, y))
        (below, above), (above_again, below_again) = sides
        match.same_value(below, below_again, "affine bounds")
        match.same_value(above, above_again, "affine bounds")
        return _unwidened(match, below, above, at.index)

    def recognise_worst(
        self, match: Matcher, worst: Value, label: Value, op: Affine, at: Place
    ) -> tuple[Value, Value]:
        others, axis = match.take(worst, "ReduceMin", 2, keepdims=0)
        match.expect(axis, [1], np.int64, "axis of the classes")
        mine, ever, single = match.take(others, "Where", 3)
        match.expect(ever, np.inf, np.float32, "masked difference")
        own = match.own_class(mine, label, at.classes)
        (wide,) = match.take(single, "Cast", 1, to=TensorProto.FLOAT)
        flat, biases = match.take(wide, "Add", 2)
        own_bias, b = match.take(biases, "Sub", 2)
        both, axis = match.take(flat, "Squeeze", 2)
        match.expect(axis, [2], np.int64, "axis of the differences")
        bounds = []
        rows = []
        for product, part in zip(match.take(both, "Add", 2), ("Max", "Min"), strict=True):
            differences, column = match.take(product, "MatMul", 2)
            row, zero = match.take(differences, part, 2)
            match.expect(zero, 0.0, np.float64, "sign test")
            bound, axis = match.take(column, "Unsqueeze", 2)
            match.expect(axis, [2], np.int64, "axis of the differences")
            bounds.append(bound)
            rows.append(row)
        match.same_value(rows[0], rows[1], "row differences")
        own_row, W = match.take(rows[0], "Sub", 2)
        for gathered, table in ((own_row, W), (own_bias, b)):
            source, index = match.take(gathered, "Gather", 2, axis=0)
            match.same_value(source, table, "row of the label")
            match.same_value(index, own, "row of the label")
        if not same(Affine(_double(match, W, 2, "W"), _double(match, b, 1, "b")), op):
            raise RefusedError(
                "the bounds of the last operation use other weights than the network"
            )
        return _unwidened(match, bounds[0], bounds[1], at.index)


def _double(match: Matcher, value: Value, ndim: int, what: str) -> Array:
    (single,) = match.take(value, "Cast", 1, to=TensorProto.DOUBLE)
    return match.array(single, np.float32, ndim, what)


def _unwidened(match: Matcher, low: Value, high: Value, index: int) -> tuple[Value, Value]:
    """The bounds before they were moved apart; by how much goes to the matcher."""
    sides = []
    amounts = []
    for value, name in ((low, "Sub"), (high, "Add")):
        (single,) = match.take(value, "Cast", 1, to=TensorProto.DOUBLE)
        x, amount = match.take(single, name, 2)
        sides.append(x)
        amounts.append(match.float(amount, "widening"))
    if amounts[0] != amounts[1]:
        raise RefusedError("bounds are widened by different amounts")
    match.widen[index] = amounts[0]
    return sides[0], sides[1]
