"""RankFilter: `Pad` (one zero), `Gather` (patches), `TopK`, `Gather` (the last of them)."""

from __future__ import annotations

import numpy as np

from sortnet.certificate.operations import RankFilter

from ..builder import Builder
from ..matcher import Matcher
from ..wire import RefusedError, Value
from .base import Found, Monotone, Place, Standard


class RankFilterForm(Standard[RankFilter], Monotone[RankFilter]):
    operation = RankFilter
    tail = ("Gather", "TopK")

    def since(self, op: RankFilter) -> int:
        return 2

    def scratch(self, op: RankFilter, library: bool) -> int:
        return op.patches.size

    def write(self, build: Builder, op: RankFilter, at: Place, x: str, out: str) -> str:
        pads = build.constant("one_zero_more", [0, 0, 0, 1], np.int64)
        padded = build.add("Pad", [x, pads], f"{out}_padded")
        places = build.constant(f"windows{at.index}", op.patches, np.int64)
        windows = build.add("Gather", [padded, places], f"{out}_windows", axis=1)
        count = build.constant(f"rank{at.index}", [op.k], np.int64)
        outputs = [f"{out}_largest", f"{out}_places"]
        build.add_many("TopK", [windows, count], outputs, axis=-1, largest=1, sorted=1)
        last = build.constant(f"last{at.index}", op.k - 1, np.int64)
        return build.add("Gather", [outputs[0], last], out, axis=2)

    def recognise(self, match: Matcher, value: Value) -> Found:
        largest, last = match.take(value, "Gather", 2, axis=2)
        windows, count = match.take(largest, "TopK", 2, outputs=2, axis=-1, largest=1, sorted=1)
        k = match.array(count, np.int64, 1, "rank")
        place = match.array(last, np.int64, 0, "place of the rank")
        if k.shape != (1,) or place != k[0] - 1:
            raise RefusedError(f"place {int(place)} is not the last of {k.tolist()} ranks")
        padded, places = match.take(windows, "Gather", 2, axis=1)
        patches = match.array(places, np.int64, 2, "windows")
        x, pads = match.take(padded, "Pad", 2)
        match.expect(pads, [0, 0, 0, 1], np.int64, "padding")
        return Found(RankFilter(patches, int(k[0])), x)
