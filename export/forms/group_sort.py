"""GroupSort: `Reshape`, `TopK`, `Flatten`."""

from __future__ import annotations

import numpy as np

from sortnet.certificate.operations import GroupSort

from ..builder import Builder
from ..matcher import Matcher
from ..wire import RefusedError, Value
from .base import Found, Monotone, Place, Standard


class GroupSortForm(Standard[GroupSort], Monotone[GroupSort]):
    operation = GroupSort
    tail = ("Flatten", "TopK")

    def since(self, op: GroupSort) -> int:
        return 1

    def write(self, build: Builder, op: GroupSort, at: Place, x: str, out: str) -> str:
        count = build.constant(f"group{at.index}", [op.size], np.int64)
        groups = [-1, at.before[0] // op.size, op.size]
        to = build.constant(f"groups{at.index}", groups, np.int64)
        grouped = build.add("Reshape", [x, to], f"{out}_groups")
        outputs = [f"{out}_sorted", f"{out}_places"]
        build.add_many("TopK", [grouped, count], outputs, axis=-1, largest=1, sorted=1)
        return build.add("Flatten", [f"{out}_sorted"], out, axis=1)

    def recognise(self, match: Matcher, value: Value) -> Found:
        (inner,) = match.take(value, "Flatten", 1, axis=1)
        grouped, count = match.take(inner, "TopK", 2, outputs=2, axis=-1, largest=1, sorted=1)
        size = match.array(count, np.int64, 1, "group size")
        x, shape = match.take(grouped, "Reshape", 2)
        to = match.array(shape, np.int64, 1, "groups")
        if size.shape != (1,) or to.shape != (3,) or to[0] != -1 or to[2] != size[0]:
            raise RefusedError(f"groups {to.tolist()} do not fit group size {size.tolist()}")
        if to[1] < 1 or to[1] * to[2] > 2**31:
            raise RefusedError(f"groups {to.tolist()} are out of range")
        return Found(GroupSort(int(size[0])), x, int(to[1] * to[2]))
