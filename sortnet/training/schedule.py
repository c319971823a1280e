"""Schedules as pure functions of training progress, so that resuming needs no state."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sortnet.base.units import MAX_UNITS_OF_RADIUS, eps_to_float

from .recipe import Recipe


@dataclass(frozen=True)
class Settings:
    """What the schedules say about a step.

    Attributes:
        lr: learning rate. p: exponent of the distances. ce_weight: of the cross entropy.
        dropping: share of the dropping of inputs that takes place, in [0, 1].
        eps: training radius in pixels. eps_progress: of its ramp, in [0, 1].
    """

    lr: float
    p: float
    dropping: float
    ce_weight: float
    eps: float
    eps_progress: float


def settings_at(recipe: Recipe, epoch: float) -> Settings:
    """What the recipe's schedules say at a (fractional) epoch."""
    start, end = recipe.p_ramp
    p = math.inf
    if epoch < end:
        p = exponential_ramp(epoch, start, end, recipe.p_first, recipe.p_last)
        p = cheap_power(p) if recipe.p_cheap else p
    progress = smooth_ramp(epoch, recipe.eps_ramp) if recipe.eps_ramp else 1.0
    return Settings(
        lr=recipe.lr * cosine(epoch, recipe.epochs, recipe.warmup),
        p=p,
        dropping=linear_ramp(epoch, *recipe.keep_ramp),
        ce_weight=exponential_ramp(epoch, start, end, *recipe.ce_weight),
        eps=eps_to_float(recipe.eps_train, MAX_UNITS_OF_RADIUS) * progress,
        eps_progress=progress,
    )


def exponential_ramp(epoch: float, start: float, end: float, first: float, last: float) -> float:
    """`first` until epoch `start`, `last` from `end`, a straight line in the logarithm between.

    Both values must be > 0. With start = end it is a step.
    """
    if epoch <= start:
        return first
    if epoch >= end:
        return last
    return float(first * (last / first) ** ((epoch - start) / (end - start)))


def linear_ramp(epoch: float, start: float, end: float) -> float:
    """0 until epoch `start`, 1 from `end` on, a straight line between; a step where they meet."""
    if epoch >= end:
        return 1.0
    return 0.0 if epoch <= start else (epoch - start) / (end - start)


def smooth_ramp(epoch: float, end: float, bend: float = 0.4) -> float:
    """0 at epoch 0, 1 from `end` on: a quartic over the first `bend` of the way, then straight.

    Both pieces meet with equal value and slope.
    """
    if epoch >= end:
        return 1.0
    t = max(epoch, 0.0) / end
    # a t^4 up to b and slope 4 a b^3 after it reach 1 at t = 1.
    a = 1 / (bend**3 * (4 - 3 * bend))
    return a * t**4 if t < bend else 1 - 4 * a * bend**3 * (1 - t)


def cosine(epoch: float, epochs: float, warmup: float = 0.0) -> float:
    """Learning-rate factor: linear from 0 over `warmup` epochs, then a half cosine down to 0."""
    if epoch < warmup:
        return epoch / warmup
    if epoch >= epochs:
        return 0.0
    return 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))


def cheap_power(p: float) -> float:
    """The largest of 2^k and 3 * 2^k (k >= 0) that is <= p, for p >= 1.

    Such a power takes k multiplications instead of a logarithm and an exponential.
    """
    power = 2.0 ** math.floor(math.log2(p))
    return 1.5 * power if 1.5 * power <= p and power > 1 else power
