"""Seeded partitions of samples, with every class in proportion."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def stratified_split(
    labels: np.ndarray, fraction: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Part the samples in two, each class in proportion (float targets: at random).

    Args:
        labels: int64 [N], or float64 [N] (regression).
        fraction: of the second part, in (0, 1).
        seed: same seed, same parts.

    Returns:
        Sorted int64 indices of the first and of the second part; together each sample once.

    Raises:
        ValueError: a fraction out of range, a class with one sample, too few samples.
    """
    from sklearn.model_selection import train_test_split

    if not 0 < fraction < 1:
        raise ValueError(f"the fraction to split off must lie in (0, 1), got {fraction}")
    groups = _groups(labels, at_least=2)
    try:
        parts = train_test_split(
            np.arange(len(labels)), test_size=fraction, random_state=seed, stratify=groups
        )
    except ValueError as error:
        raise ValueError(f"cannot split {len(labels)} samples: {error}") from None
    first, second = (np.sort(part) for part in parts)
    return first, second


def folds(labels: np.ndarray, count: int, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`count` ways to part the samples; each sample is in the second part exactly once.

    Yields:
        Sorted int64 indices of the training and of the test part.

    Raises:
        ValueError: fewer than 2 folds, or a class (or the set) with fewer samples than folds.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    if count < 2 or len(labels) < count:
        raise ValueError(f"folds: need 2 <= count <= {len(labels)} samples, got {count}")
    groups = _groups(labels, at_least=count)
    kind = KFold if groups is None else StratifiedKFold
    parts = kind(count, shuffle=True, random_state=seed)
    yield from parts.split(np.zeros(len(labels)), groups)


def _groups(labels: np.ndarray, at_least: int) -> np.ndarray | None:
    """The labels to stratify by; None for float targets."""
    if labels.dtype.kind == "f":
        return None
    classes, counts = np.unique(labels, return_counts=True)
    if len(counts) and counts.min() < at_least:
        rare = int(counts.argmin())
        raise ValueError(
            f"class {classes[rare]} has {counts[rare]} sample(s), a stratified split needs "
            f"{at_least}; numbers to be predicted are regression targets (task='regression')"
        )
    return labels
