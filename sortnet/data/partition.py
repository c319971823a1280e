"""Seeded partitions of samples, with every class in proportion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


def stratified_split(
    labels: np.ndarray, fraction: float, seed: int = 0, names: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Part the samples in two, each class in proportion (float targets: at random).

    Args:
        labels: int64 [N], or float64 [N] (regression).
        fraction: of the second part, in (0, 1).
        seed: same seed, same parts.
        names: of the classes, for errors.

    Returns:
        Sorted int64 indices of the first and of the second part; together each sample once.

    Raises:
        ValueError: a fraction out of range, a class with one sample, too few samples.
    """
    from sklearn.model_selection import train_test_split

    if not 0 < fraction < 1:
        raise ValueError(f"the fraction to split off must lie in (0, 1), got {fraction}")
    groups = _groups(labels, 2, names)
    try:
        parts = train_test_split(
            np.arange(len(labels)), test_size=fraction, random_state=seed, stratify=groups
        )
    except ValueError:
        classes = 1 if groups is None else len(np.unique(groups))
        raise ValueError(
            f"cannot split {len(labels)} samples at {fraction:g}: each part needs at least "
            f"{classes} (one a class)"
        ) from None
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
    groups = _groups(labels, count, None)
    kind = KFold if groups is None else StratifiedKFold
    parts = kind(count, shuffle=True, random_state=seed)
    yield from parts.split(np.zeros(len(labels)), groups)


def _groups(labels: np.ndarray, at_least: int, names: Sequence[str] | None) -> np.ndarray | None:
    """The labels to stratify by; None for float targets."""
    if labels.dtype.kind == "f":
        return None
    classes, counts = np.unique(labels, return_counts=True)
    if len(counts) and counts.min() < at_least:
        rare = int(counts.argmin())
        plural = "s" if counts[rare] > 1 else ""
        name = classes[rare] if names is None else repr(names[classes[rare]])
        raise ValueError(
            f"class {name} has {counts[rare]} sample{plural}, a stratified split "
            f"needs {at_least}; numbers to be predicted are regression targets (regression)"
        )
    return labels
