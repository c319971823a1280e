"""SortConv: `Pad` (one zero), `Gather` (patches), `Reshape`, `SortNeuron`, and the way back."""

from __future__ import annotations

import numpy as np

from sortnet.certificate.operations import SortConv
from sortnet.certificate.rounding import Array

from ..builder import Builder
from ..format import DOMAIN
from ..matcher import Matcher
from ..wire import RefusedError, Value
from .base import Found, Place, Promise, Separate
from .sort_neuron import recognise_neuron, recognise_neuron_bounds


class SortConvForm(Separate[SortConv]):
    operation = SortConv
    tail = ("Flatten", "Transpose")

    def since(self, op: SortConv) -> int:
        return 1

    @property
    def functions(self) -> dict[str, str]:
        return {}  # those of the neuron

    @property
    def promise(self) -> Promise | None:
        return None

    def scratch(self, op: SortConv, library: bool) -> int:
        return (
            op.patches.size if library else max(op.patches.size, len(op.patches) * op.neuron.W.size)
        )

    # Writing.

    def write(self, build: Builder, op: SortConv, at: Place, x: str, out: str) -> str:
        W = build.constant(f"weight{at.index}", op.neuron.W)
        rows = _write_patches(build, op, out, at.index, x)
        y = build.add(
            "SortNeuron",
            [rows, W],
            f"{out}_neurons",
            domain=DOMAIN,
            rho=op.neuron.rho,
            k=op.neuron.k,
        )
        return _write_unpatched(build, op, out, at.index, y)

    def write_bounds(
        self, build: Builder, op: SortConv, at: Place, low: str, high: str
    ) -> tuple[str, str]:
        index = at.index
        W = build.constant(f"weight{index}", op.neuron.W)
        rows = [
            _write_patches(build, op, f"{side}{index}", index, x)
            for side, x in (("l", low), ("u", high))
        ]
        low, high = build.add_many(
            "SortNeuronBounds",
            [*rows, W],
            [f"l{index}_neurons", f"u{index}_neurons"],
            domain=DOMAIN,
            rho=op.neuron.rho,
            k=op.neuron.k,
        )
        return (
            _write_unpatched(build, op, f"l{index}", index, low),
            _write_unpatched(build, op, f"u{index}", index, high),
        )

    # Recognising.

    def recognise(self, match: Matcher, value: Value) -> Found:
        y, positions, outputs = _unpatched(match, value)
        neuron, rows = recognise_neuron(match, y)
        patches, x = _patches(match, rows)
        if patches.shape[0] != positions or outputs != len(neuron.W):
            raise RefusedError("a convolution's shapes do not fit its weights")
        return Found(SortConv(patches, neuron), x)

    def recognise_bounds(
        self, match: Matcher, low: Value, high: Value, op: SortConv, at: Place
    ) -> tuple[Value, Value]:
        sides = []
        for value in (low, high):
            y, positions, outputs = _unpatched(match, value)
            if (positions, outputs) != (len(op.patches), len(op.neuron.W)):
                raise RefusedError(f"operation {at.index}: the bounds have another shape")
            sides.append(y)
        rows = recognise_neuron_bounds(match, sides[0], sides[1], op.neuron)
        sides = []
        for value in rows:
            patches, x = _patches(match, value)
            if not np.array_equal(patches, op.patches):
                raise RefusedError(f"operation {at.index}: the bounds use other patches")
            sides.append(x)
        return sides[0], sides[1]


def _write_patches(build: Builder, op: SortConv, out: str, index: int, x: str) -> str:
    """[N, D] -> [N * P, F]."""
    entries = op.patches.shape[1]
    pads = build.constant("one_zero_more", [0, 0, 0, 1], np.int64)
    x = build.add("Pad", [x, pads], f"{out}_padded")
    places = build.constant(f"patches{index}", op.patches.reshape(-1), np.int64)
    flat = build.add("Gather", [x, places], f"{out}_flat", axis=1)
    to = build.constant(f"rows{index}", [-1, entries], np.int64)
    return build.add("Reshape", [flat, to], f"{out}_rows")


def _write_unpatched(build: Builder, op: SortConv, out: str, index: int, y: str) -> str:
    """[N * P, O] -> [N, O * P]."""
    positions, outputs = len(op.patches), len(op.neuron.W)
    to = build.constant(f"positions{index}", [-1, positions, outputs], np.int64)
    split = build.add("Reshape", [y, to], f"{out}_split")
    turned = build.add("Transpose", [split], f"{out}_turned", perm=[0, 2, 1])
    return build.add("Flatten", [turned], out, axis=1)


def _unpatched(match: Matcher, value: Value) -> tuple[Value, int, int]:
    """What was turned and flattened, [N * P, O], with P and O."""
    (turned,) = match.take(value, "Flatten", 1, axis=1)
    (split,) = match.take(turned, "Transpose", 1, perm=[0, 2, 1])
    y, to = match.take(split, "Reshape", 2)
    shape = match.array(to, np.int64, 1, "positions").tolist()
    if len(shape) != 3 or shape[0] != -1 or min(shape[1:]) < 1:
        raise RefusedError(f"positions {shape} must be [-1, P, O]")
    return y, shape[1], shape[2]


def _patches(match: Matcher, rows: Value) -> tuple[Array, Value]:
    """Patch indices and the value they point into, to which one zero is appended."""
    flat, to = match.take(rows, "Reshape", 2)
    shape = match.array(to, np.int64, 1, "patch size").tolist()
    x, places = match.take(flat, "Gather", 2, axis=1)
    indices = match.array(places, np.int64, 1, "patches")
    if len(shape) != 2 or shape[0] != -1 or shape[1] < 1 or len(indices) % shape[1]:
        raise RefusedError(f"patch size {shape} does not fit {len(indices)} indices")
    x, pads = match.take(x, "Pad", 2)
    match.expect(pads, [0, 0, 0, 1], np.int64, "padding")
    return indices.reshape(-1, shape[1]), x
