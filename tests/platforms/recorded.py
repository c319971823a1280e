"""What kernels/tests/record.cpp prints, and when two machines agree."""

from __future__ import annotations

import math
from pathlib import Path

RECORD = Path(__file__).with_name("recorded.txt")
"""Made on x86-64 with AVX-512 by GCC 12; how: see test_recorded.py."""


def disagreements(got: str, want: str) -> list[str]:
    """The lines of two records that differ by more than docs/kernels.md allows.

    l_inf, sorted sums and their gradients are the same bits everywhere. Norms of finite p lie
    within 2e-6 of the exact value on either machine; bounds are widened by at most 2.4e-6 on
    either; slopes (a / y)^(p - 1) by 4e-7 (p - 1), and a gradient is a sum of them.
    """
    ours, theirs = _lines(got), _lines(want)
    wrong = [f"only one has {name}" for name in ours.keys() ^ theirs.keys()]
    for name in ours.keys() & theirs.keys():
        a, b = ours[name], theirs[name]
        agree = len(a) == len(b) and _close(name, a, b) if name.startswith("real ") else a == b
        if not agree:
            wrong.append(f"{name}: {' '.join(a[:4])} ... is not {' '.join(b[:4])} ...")
    return sorted(wrong)


def _lines(text: str) -> dict[str, list[str]]:
    """Values by "kind NAME"."""
    assert text.splitlines()[-1:] == ["end"], text[-500:]
    words = [line.split() for line in text.splitlines()]
    return {" ".join(line[:2]): line[2:] for line in words}


def _close(name: str, a: list[str], b: list[str]) -> bool:
    x, y = [float(v) for v in a], [float(v) for v in b]
    largest = max((abs(v) for v in y if math.isfinite(v)), default=0.0)

    def near(u: float, v: float) -> bool:
        if not (math.isfinite(u) and math.isfinite(v)):
            return u == v or (math.isnan(u) and math.isnan(v))
        if name.endswith("-slopes"):
            return abs(u - v) <= 1e-3 * largest
        bounds = name.endswith(("-low", "-high"))
        return abs(u - v) <= (1e-5 if bounds else 4e-6) * max(abs(u), abs(v))

    return all(map(near, x, y))
