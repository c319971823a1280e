"""What a fraction of a sample says about the population that it was drawn from."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(fraction: float, count: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a probability, of which `count` draws gave this fraction.

    It speaks about independent draws from one population, and nothing else.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    Journal of the American Statistical Association 22 (1927).
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    scale = 1 + z * z / count
    middle = (fraction + z * z / (2 * count)) / scale
    half = z / scale * math.sqrt(fraction * (1 - fraction) / count + (z / (2 * count)) ** 2)
    return max(0.0, middle - half), min(1.0, middle + half)
