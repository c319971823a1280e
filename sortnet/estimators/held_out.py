"""Which samples of a classifier are held out: of every class that has enough of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold, train_test_split

ENOUGH = 4  # samples of a class below which all of them are learned from
Part = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""Indices to learn from, and to judge by."""


class NothingHeldOutWarning(UserWarning):
    """Too few samples to hold any out: nothing was compared or judged on unseen samples."""


def warn_unjudged(instead: str) -> None:
    """Say that nothing was held out, and what was done instead."""
    warnings.warn(
        f"too few samples to hold any out: {instead}; validation_score_ is None (samples of weight "
        "0 do not count)",
        NothingHeldOutWarning,
        stacklevel=3,
    )


def judged(codes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Indices of the samples of classes that have enough; none where that is one class only.

    On one class alone the constant answer is always right, and nothing is told apart.

    Args:
        codes: int [N], of samples with weight above 0.
    """
    counts = np.bincount(codes)
    if (counts >= ENOUGH).sum() < 2:
        return np.arange(0)
    return np.flatnonzero(counts[codes] >= ENOUGH)


def hold_out(codes: npt.NDArray[Any], fraction: float, seed: int) -> Part:
    """A part of each class that has enough samples, in proportion; rarer classes are learned.

    Nothing is held out where that would be fewer than two samples a class.
    """
    enough, rare = _parted(codes)
    count = round(fraction * len(enough))
    if not len(enough) or fraction == 0 or count < 2 * len(np.unique(codes[enough])):
        every = np.arange(len(codes))
        return every, every[:0]
    learn, held = train_test_split(
        enough, test_size=count, random_state=seed, stratify=codes[enough]
    )
    return np.concatenate([learn, rare]), held


def folds(codes: npt.NDArray[Any], seed: int) -> list[Part]:
    """Three ways to do it; each sample of a class with enough is held out once. Or no way."""
    enough, rare = _parted(codes)
    if not len(enough):
        return []
    parts = StratifiedKFold(3, shuffle=True, random_state=seed).split(enough, codes[enough])
    return [(np.concatenate([enough[learn], rare]), enough[held]) for learn, held in parts]


def _parted(codes: npt.NDArray[Any]) -> Part:
    """The samples of classes that have enough, and all others."""
    enough = judged(codes)
    return enough, np.setdiff1d(np.arange(len(codes)), enough)
