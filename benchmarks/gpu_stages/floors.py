"""The least time that the instructions of a kernel can take."""

from __future__ import annotations

import math


def _multiplications(power: int) -> int:
    """Of |a|^power, power = 2^k or 3 * 2^k."""
    return {1: 0, 3: 2}.get(power) or (0 if power == 1 else _multiplications(power // 2) + 1)


def _multiplications_one_less(power: int) -> int:
    """Of a^(power - 1)."""
    return {1: 0, 2: 0, 3: 1}[power] if power <= 3 else _multiplications_one_less(power // 2) + 2


def instructions(kernel: str, p: float) -> dict[str, float]:
    """What a (sample, input, output) triple needs at least, by pipe; each takes an issue slot."""
    if kernel == "sort" or math.isinf(p):
        return {"add": 1, "minmax": 1}
    if p in (8.0, 12.0, 64.0):
        whole = int(p)
        if kernel == "backward":
            return {"add": 1, "fma": 5 + _multiplications_one_less(whole // 2)}
        if whole <= 8:
            return {"add": 1, "fma": 1 + _multiplications(whole // 2)}
        return {"add": 2, "minmax": 1, "fma": 2 + _multiplications(whole // 2)}
    if kernel == "backward":
        return {"add": 1, "fma": 4, "exp2": 2}
    return {"add": 3, "minmax": 1, "fma": 2, "exp2": 2}


def instruction_floor(kernel: str, p: float, triples: float, rates: dict[str, float]) -> float:
    """Milliseconds: the slowest pipe, or all the issue slots."""
    use = instructions(kernel, p)
    times = [count / rates[pipe] for pipe, count in use.items()]
    return 1e3 * triples * max([*times, sum(use.values()) / rates["issue"]])
