"""OrderStatistic: `Unsqueeze`, `Sub`, `Abs`, `TopK`, `Mul`, `ReduceSum`.

Bounds are sums over the nearest distances where a coefficient is positive and over the farthest
ones where it is negative, or the other way round.
"""

from __future__ import annotations

import numpy as np

from sortnet.certificate.operations import OrderStatistic

from ..builder import Builder
from ..matcher import Matcher, same
from ..wire import RefusedError, Value
from .base import Found, Place, Separate, Standard


class OrderStatisticForm(Standard[OrderStatistic], Separate[OrderStatistic]):
    operation = OrderStatistic
    tail = ("ReduceSum", "Mul", "TopK")

    def since(self, op: OrderStatistic) -> int:
        return 2

    def scratch(self, op: OrderStatistic, library: bool) -> int:
        return op.W.size

    def write(self, build: Builder, op: OrderStatistic, at: Place, x: str, out: str) -> str:
        axis_one = build.constant("axis_one", [1], np.int64)
        axis_two = build.constant("axis_two", [2], np.int64)
        W = build.constant(f"weight{at.index}", op.W)
        coefficients = build.constant(f"coefficients{at.index}", op.coefficients)
        count = build.constant(f"count{at.index}", [op.coefficients.shape[1]], np.int64)
        row = build.add("Unsqueeze", [x, axis_one], f"{out}_row")
        differences = build.add("Sub", [row, W], f"{out}_differences")
        distances = build.add("Abs", [differences], f"{out}_distances")
        outputs = [f"{out}_largest", f"{out}_places"]
        build.add_many("TopK", [distances, count], outputs, axis=-1, largest=1, sorted=1)
        terms = build.add("Mul", [outputs[0], coefficients], f"{out}_terms")
        return build.add("ReduceSum", [terms, axis_two], out, keepdims=0)

    def write_bounds(
        self, build: Builder, op: OrderStatistic, at: Place, low: str, high: str
    ) -> tuple[str, str]:
        index = at.index
        axis_one = build.constant("axis_one", [1], np.int64)
        axis_two = build.constant("axis_two", [2], np.int64)
        zero = build.constant("zero", 0.0)
        W = build.constant(f"weight{index}", op.W)
        coefficients = build.constant(f"coefficients{index}", op.coefficients)
        count = build.constant(f"count{index}", [op.coefficients.shape[1]], np.int64)
        positive = build.add("Max", [coefficients, zero], f"positive{index}")
        negative = build.add("Min", [coefficients, zero], f"negative{index}")
        low_row = build.add("Unsqueeze", [low, axis_one], f"l{index}_row")
        high_row = build.add("Unsqueeze", [high, axis_one], f"u{index}_row")
        below = build.add("Sub", [low_row, W], f"l{index}_below")
        above = build.add("Sub", [W, high_row], f"u{index}_above")
        nearest = build.add("Max", [below, above, zero], f"l{index}_nearest")
        nearer = build.add("Min", [below, above], f"u{index}_nearer")
        farthest = build.add("Neg", [nearer], f"u{index}_farthest")
        largest = []
        for side, distances in (("l", nearest), ("u", farthest)):
            outputs = [f"{side}{index}_largest", f"{side}{index}_places"]
            build.add_many("TopK", [distances, count], outputs, axis=-1, largest=1, sorted=1)
            largest.append(outputs[0])
        result = []
        for side, plus, minus in (("l", *largest), ("u", *reversed(largest))):
            gained = build.add("Mul", [plus, positive], f"{side}{index}_gained")
            lost = build.add("Mul", [minus, negative], f"{side}{index}_lost")
            terms = build.add("Add", [gained, lost], f"{side}{index}_terms")
            result.append(build.add("ReduceSum", [terms, axis_two], f"{side}{index}", keepdims=0))
        return result[0], result[1]

    def recognise(self, match: Matcher, value: Value) -> Found:
        terms, axis = match.take(value, "ReduceSum", 2, keepdims=0)
        match.expect(axis, [2], np.int64, "axis of the order statistics")
        largest, table = match.take(terms, "Mul", 2)
        coefficients = match.array(table, np.float32, 2, "coefficients")
        distances, count = match.take(largest, "TopK", 2, outputs=2, axis=-1, largest=1, sorted=1)
        match.expect(count, [coefficients.shape[1]], np.int64, "number of order statistics")
        (differences,) = match.take(distances, "Abs", 1)
        row, W = match.take(differences, "Sub", 2)
        x, axis = match.take(row, "Unsqueeze", 2)
        match.expect(axis, [1], np.int64, "axis of the neurons")
        return Found(OrderStatistic(match.array(W, np.float32, 2, "W"), coefficients), x)

    def recognise_bounds(
        self, match: Matcher, low: Value, high: Value, op: OrderStatistic, at: Place
    ) -> tuple[Value, Value]:
        parts = []
        for bound in (low, high):
            terms, axis = match.take(bound, "ReduceSum", 2, keepdims=0)
            match.expect(axis, [2], np.int64, "axis of the order statistics")
            sides = []
            for product, clip in zip(match.take(terms, "Add", 2), ("Max", "Min"), strict=True):
                largest, sign = match.take(product, "Mul", 2)
                table, zero = match.take(sign, clip, 2)
                match.expect(zero, 0.0, np.float32, "sign test")
                if not same(
                    OrderStatistic(op.W, match.array(table, np.float32, 2, "coefficients")), op
                ):
                    raise RefusedError("bounds of order statistics use other coefficients")
                sides.append(largest)
            parts.append(sides)
        (near, far), (far_again, near_again) = parts
        match.same_value(near, near_again, "bounds of order statistics")
        match.same_value(far, far_again, "bounds of order statistics")
        distances = []
        for largest in (near, far):
            values, count = match.take(largest, "TopK", 2, outputs=2, axis=-1, largest=1, sorted=1)
            kept = op.coefficients.shape[1]
            match.expect(count, [kept], np.int64, "number of order statistics")
            distances.append(values)
        below, above, zero = match.take(distances[0], "Max", 3)
        match.expect(zero, 0.0, np.float32, "least distance")
        (nearer,) = match.take(distances[1], "Neg", 1)
        for a, b in zip(match.take(nearer, "Min", 2), (below, above), strict=True):
            match.same_value(a, b, "bounds of order statistics")
        low_row, W = match.take(below, "Sub", 2)
        W_again, high_row = match.take(above, "Sub", 2)
        for weights in (W, W_again):
            table_ = match.array(weights, np.float32, 2, "W")
            if not same(OrderStatistic(table_, op.coefficients), op):
                raise RefusedError("bounds of order statistics use other weights")
        ends = []
        for row in (low_row, high_row):
            x, axis = match.take(row, "Unsqueeze", 2)
            match.expect(axis, [1], np.int64, "axis of the neurons")
            ends.append(x)
        return ends[0], ends[1]
