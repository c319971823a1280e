"""PiecewiseLinear: `Unsqueeze`, `Max`, `Min`, `Sub`, `Mul`, `ReduceSum`: every piece adds its part.

Bounds are the smallest and the largest value at both ends and at the knots between them.
"""

from __future__ import annotations

import numpy as np

from sortnet.certificate.operations import PiecewiseLinear

from ..builder import Builder
from ..matcher import Matcher, same
from ..wire import RefusedError, Value
from .base import Found, Place, Separate, Standard


class PiecewiseLinearForm(Standard[PiecewiseLinear], Separate[PiecewiseLinear]):
    operation = PiecewiseLinear
    tail = ("ReduceSum", "Mul", "Sub")

    def since(self, op: PiecewiseLinear) -> int:
        return 2

    def scratch(self, op: PiecewiseLinear, library: bool) -> int:
        return op.slopes.size * (len(op.knots) + 2)  # on the candidates of a bound

    # Writing. The slopes of candidates [N, D, C, 1] stand in their own dimensions.

    def _pieces(
        self, build: Builder, op: PiecewiseLinear, index: int, x: str, out: str, candidates: bool
    ) -> str:
        last = 3 if candidates else 2
        axis = build.constant("axis_three" if candidates else "axis_two", [last], np.int64)
        low, high, origin = op.pieces
        ends = [build.constant(f"begin{index}", low), build.constant(f"end{index}", high)]
        start = build.constant(f"origin{index}", origin)
        slopes = build.constant(f"slopes{index}", op.slopes)
        if candidates:
            slopes = build.add(
                "Unsqueeze", [slopes, build.constant("axis_one", [1], np.int64)], f"{out}_slopes"
            )
        column = build.add("Unsqueeze", [x, axis], f"{out}_column")
        raised = build.add("Max", [column, ends[0]], f"{out}_raised")
        clipped = build.add("Min", [raised, ends[1]], f"{out}_clipped")
        part = build.add("Sub", [clipped, start], f"{out}_part")
        terms = build.add("Mul", [part, slopes], f"{out}_terms")
        return build.add("ReduceSum", [terms, axis], out, keepdims=0)

    def write(self, build: Builder, op: PiecewiseLinear, at: Place, x: str, out: str) -> str:
        return self._pieces(build, op, at.index, x, out, candidates=False)

    def write_bounds(
        self, build: Builder, op: PiecewiseLinear, at: Place, low: str, high: str
    ) -> tuple[str, str]:
        index = at.index
        axis = build.constant("axis_two", [2], np.int64)
        knots = build.constant(f"knots{index}", op.knots)
        low_column = build.add("Unsqueeze", [low, axis], f"l{index}_end")
        high_column = build.add("Unsqueeze", [high, axis], f"u{index}_end")
        raised = build.add("Max", [low_column, knots], f"c{index}_raised")
        inside = build.add("Min", [raised, high_column], f"c{index}_inside")
        candidates = build.add(
            "Concat", [low_column, inside, high_column], f"c{index}_candidates", axis=2
        )
        values = self._pieces(build, op, index, candidates, f"k{index}", candidates=True)
        return (
            build.add("ReduceMin", [values, axis], f"l{index}", keepdims=0),
            build.add("ReduceMax", [values, axis], f"u{index}", keepdims=0),
        )

    # Recognising.

    def recognise(self, match: Matcher, value: Value) -> Found:
        column, begin, end, origin, slopes, axis = _parts(match, value)
        match.expect(axis, [2], np.int64, "axis of the pieces")
        x, place = match.take(column, "Unsqueeze", 2)
        match.expect(place, [2], np.int64, "axis of the pieces")
        return Found(_operation(match, begin, end, origin, slopes), x)

    def recognise_bounds(
        self, match: Matcher, low: Value, high: Value, op: PiecewiseLinear, at: Place
    ) -> tuple[Value, Value]:
        values = []
        for bound, name in ((low, "ReduceMin"), (high, "ReduceMax")):
            of_candidates, axis = match.take(bound, name, 2, keepdims=0)
            match.expect(axis, [2], np.int64, "axis of the candidates")
            values.append(of_candidates)
        match.same_value(values[0], values[1], "values at the candidates")
        column, begin, end, origin, table, axis = _parts(match, values[0])
        match.expect(axis, [3], np.int64, "axis of the pieces")
        slopes, place = match.take(table, "Unsqueeze", 2)
        match.expect(place, [1], np.int64, "axis of the candidates")
        if not same(_operation(match, begin, end, origin, slopes), op):
            raise RefusedError(f"operation {at.index}: the bounds have other pieces")
        candidates, place = match.take(column, "Unsqueeze", 2)
        match.expect(place, [3], np.int64, "axis of the pieces")
        low_column, inside, high_column = match.take(candidates, "Concat", 3, axis=2)
        raised, most = match.take(inside, "Min", 2)
        least, knots = match.take(raised, "Max", 2)
        match.same_value(least, low_column, "knots inside the bounds")
        match.same_value(most, high_column, "knots inside the bounds")
        match.expect(knots, op.knots, np.float32, "knots")
        ends = []
        for end_column in (low_column, high_column):
            x, place = match.take(end_column, "Unsqueeze", 2)
            match.expect(place, [2], np.int64, "axis of the candidates")
            ends.append(x)
        return ends[0], ends[1]


def _parts(match: Matcher, value: Value) -> tuple[Value, Value, Value, Value, Value, Value]:
    """What is clipped, the ends, origins and slopes of the pieces, and the axis of their sum."""
    terms, axis = match.take(value, "ReduceSum", 2, keepdims=0)
    part, slopes = match.take(terms, "Mul", 2)
    clipped, origin = match.take(part, "Sub", 2)
    raised, end = match.take(clipped, "Min", 2)
    column, begin = match.take(raised, "Max", 2)
    return column, begin, end, origin, slopes, axis


def _operation(
    match: Matcher, begin: Value, end: Value, origin: Value, slopes: Value
) -> PiecewiseLinear:
    knots = match.array(end, np.float32, 1, "ends of the pieces")[:-1]
    op = PiecewiseLinear(knots, match.array(slopes, np.float32, 2, "slopes"))
    low, high, start = op.pieces
    match.expect(begin, low, np.float32, "beginnings of the pieces")
    match.expect(end, high, np.float32, "ends of the pieces")
    match.expect(origin, start, np.float32, "origins of the pieces")
    return op
