"""SortNeuron: `ai.sortnet::SortNeuron`, on bounds `ai.sortnet::SortNeuronBounds`."""

from __future__ import annotations

from typing import Any

import numpy as np

from sortnet.certificate.operations import SortNeuron

from ..builder import Builder
from ..format import DOMAIN
from ..matcher import Matcher, same
from ..wire import RefusedError, Result, Value
from .base import Found, Place, Promise, Separate

# r_j = rho^(j-1) in float64, then the largest float32 below r_j / sum (less 2^-40): `near` is the
# nearest one, and near * (1 - 2^-24), exact in float64, rounds to the next one below.
_COEFFICIENTS = """
    rho = Constant <value_float: float = @rho> ()
    rho64 = Cast <to = 11> (rho)
    k = Constant <value_int: int = @k> ()
    start = Constant <value_int = 0> ()
    step = Constant <value_int = 1> ()
    exponents = Range (start, k, step)
    exponents64 = Cast <to = 11> (exponents)
    terms = Pow (rho64, exponents64)
    total = ReduceSum <keepdims = 0> (terms)
    shares = Div (terms, total)
    shrink = Constant <value = double {0.9999999999990905}> ()
    wanted = Mul (shares, shrink)
    near = Cast <to = 1> (wanted)
    near64 = Cast <to = 11> (near)
    lower64 = Constant <value = double {0.999999940395355224609375}> ()
    next64 = Mul (near64, lower64)
    next = Cast <to = 1> (next64)
    too_high = Greater (near64, wanted)
    rounded = Where (too_high, next, near)
    shares32 = Cast <to = 1> (shares)
    last = Sub (k, step)
    last64 = Cast <to = 11> (last)
    both = Mul (rho64, last64)
    zero64 = Constant <value = double {0}> ()
    single = Equal (both, zero64)
    coefficients = Where (single, shares32, rounded)
    axis_last = Constant <value_ints = [0]> ()
    count = Unsqueeze (k, axis_last)
    axis_one = Constant <value_ints = [1]> ()
"""

_SORT_NEURON = f"""
SortNeuron <rho, k> (X, W) => (Y) {{
    {_COEFFICIENTS}
    rows = Unsqueeze (X, axis_one)
    differences = Sub (rows, W)
    distances = Abs (differences)
    largest, places = TopK <axis = -1, largest = 1, sorted = 1> (distances, count)
    Y = MatMul (largest, coefficients)
}}"""

# Each bound carries at most k + 3 roundings, or 2 (k + 4) 2^-24 with a margin; `outward` is more.
# Where L <= U fails (NaN included) nothing is known: -inf and inf.
_SORT_NEURON_BOUNDS = f"""
SortNeuronBounds <rho, k> (L, U, W) => (lower, upper) {{
    {_COEFFICIENTS}
    low_rows = Unsqueeze (L, axis_one)
    high_rows = Unsqueeze (U, axis_one)
    below = Sub (low_rows, W)
    above = Sub (W, high_rows)
    zero = Constant <value = float {{0}}> ()
    nearest = Max (below, above, zero)
    nearer = Min (below, above)
    farthest = Neg (nearer)
    low_largest, low_places = TopK <axis = -1, largest = 1, sorted = 1> (nearest, count)
    high_largest, high_places = TopK <axis = -1, largest = 1, sorted = 1> (farthest, count)
    low_sum = MatMul (low_largest, coefficients)
    high_sum = MatMul (high_largest, coefficients)
    k32 = Cast <to = 1> (k)
    eight = Constant <value = float {{8}}> ()
    roundings = Add (k32, eight)
    ulp = Constant <value = float {{0.00000011920928955078125}}> ()
    outward = Mul (roundings, ulp)
    tiny = Constant <value = float {{7.888609052210118e-31}}> ()
    low_part = Mul (low_sum, outward)
    low_less = Sub (low_sum, low_part)
    low_out = Sub (low_less, tiny)
    low_bound = Max (low_out, zero)
    high_part = Mul (high_sum, outward)
    high_more = Add (high_sum, high_part)
    high_bound = Add (high_more, tiny)
    ordered = LessOrEqual (L, U)
    ordered_float = Cast <to = 1> (ordered)
    known_float = ReduceMin <keepdims = 1> (ordered_float, axis_one)
    known = Greater (known_float, zero)
    none_below = Constant <value = float {{-inf}}> ()
    none_above = Constant <value = float {{inf}}> ()
    lower = Where (known, low_bound, none_below)
    upper = Where (known, high_bound, none_above)
}}"""


class SortNeuronForm(Separate[SortNeuron]):
    operation = SortNeuron
    tail = (f"{DOMAIN}::SortNeuron",)

    def since(self, op: SortNeuron) -> int:
        return 1

    @property
    def functions(self) -> dict[str, str]:
        return {"SortNeuron": _SORT_NEURON, "SortNeuronBounds": _SORT_NEURON_BOUNDS}

    @property
    def promise(self) -> Promise | None:
        return None

    def scratch(self, op: SortNeuron, library: bool) -> int:
        return 0 if library else op.W.size

    def write(self, build: Builder, op: SortNeuron, at: Place, x: str, out: str) -> str:
        W = build.constant(f"weight{at.index}", op.W)
        return build.add("SortNeuron", [x, W], out, domain=DOMAIN, rho=op.rho, k=op.k)

    def write_bounds(
        self, build: Builder, op: SortNeuron, at: Place, low: str, high: str
    ) -> tuple[str, str]:
        W = build.constant(f"weight{at.index}", op.W)
        low, high = build.add_many(
            "SortNeuronBounds",
            [low, high, W],
            [f"l{at.index}", f"u{at.index}"],
            domain=DOMAIN,
            rho=op.rho,
            k=op.k,
        )
        return low, high

    def recognise(self, match: Matcher, value: Value) -> Found:
        return Found(*recognise_neuron(match, value))

    def recognise_bounds(
        self, match: Matcher, low: Value, high: Value, op: SortNeuron, at: Place
    ) -> tuple[Value, Value]:
        return recognise_neuron_bounds(match, low, high, op)


def recognise_neuron(match: Matcher, value: Value) -> tuple[SortNeuron, Value]:
    """The neuron of a node, and what it reads."""
    node = match.node(value)
    rho, k = node.attributes.get("rho"), node.attributes.get("k")
    if type(rho) is not float or type(k) is not int:
        raise RefusedError(f"node {node.name!r} needs the attributes rho (float) and k (int)")
    x, W = match.take(value, "SortNeuron", 2, DOMAIN, rho=rho, k=k)
    return SortNeuron(match.array(W, np.float32, 2, "W"), rho, k), x


def recognise_neuron_bounds(
    match: Matcher, low: Value, high: Value, op: SortNeuron
) -> tuple[Value, Value]:
    """Bounds of the input of a neuron, from both outputs of one node."""
    name = "SortNeuronBounds"
    expected: dict[str, Any] = {"outputs": 2, "rho": op.rho, "k": op.k}
    below, above, W = match.take(low, name, 3, DOMAIN, 0, **expected)
    match.take(high, name, 3, DOMAIN, 1, **expected)
    assert isinstance(low, Result) and isinstance(high, Result)
    if low.node is not high.node:
        raise RefusedError(f"bounds come from two nodes, {low.node.name!r} and {high.node.name!r}")
    weights = match.array(W, np.float32, 2, "W")
    if not same(SortNeuron(weights, op.rho, op.k), op):
        raise RefusedError(f"node {low.node.name!r} uses other weights than the network")
    return below, above
