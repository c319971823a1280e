"""Tables and splits of the comparison; every feature in units of its range in the training part."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_classification
from sklearn.model_selection import StratifiedKFold

FASHION = Path("/usr/share/datasets/fashion-mnist")
SANDAL, SNEAKER = 5, 7


class Fold(NamedTuple):
    """Scaled float32 samples and classes; `fixed` [D] says which features nobody can change."""

    number: int
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    fixed: np.ndarray


def synthetic() -> tuple[np.ndarray, np.ndarray]:
    """Twelve features, of which nobody can change the first three."""
    x, y = make_classification(
        1000, 12, n_informative=8, n_redundant=2, class_sep=1.5, shuffle=False, random_state=0
    )
    return x[:, np.random.default_rng(0).permutation(12)], y


TABLES: dict[str, Any] = {
    "breast-cancer": lambda: load_breast_cancer(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "synthetic-immutable": synthetic,
}
RADII = {
    "breast-cancer": ("0.05", "0.1", "0.3"),
    "wine": ("0.05", "0.1"),
    "digits": ("0.1", "0.2"),
    "synthetic-immutable": ("0.05", "0.1"),
    "sandals-sneakers": ("0.1",),
}


def folds(name: str, count: int = 5) -> Iterator[Fold]:
    """The first `count` of five stratified folds of seed 0; sandals-sneakers has its own split."""
    if name == "sandals-sneakers":
        yield _fashion()
        return
    x, y = TABLES[name]()
    splitter = StratifiedKFold(5, shuffle=True, random_state=0)
    for number, (learn, test) in enumerate(splitter.split(x, y)):
        if number == count:
            return
        low, high = x[learn].min(0), x[learn].max(0)
        varies = high > low  # a pixel that is black in every training scan tells nothing
        scaled = ((x - low)[:, varies] / (high - low)[varies]).astype(np.float32)
        fixed = np.zeros(scaled.shape[1], bool)
        fixed[:3] = name == "synthetic-immutable"
        yield Fold(number, scaled[learn], y[learn], scaled[test], y[test], fixed)


def _fashion() -> Fold:
    """Pixels in [0, 1]: two classes of Fashion-MNIST, as published for robust trees."""
    parts = []
    for part in ("train", "t10k"):
        with gzip.open(FASHION / f"{part}-labels-idx1-ubyte.gz") as file:
            y = np.frombuffer(file.read(), np.uint8, offset=8)
        with gzip.open(FASHION / f"{part}-images-idx3-ubyte.gz") as file:
            x = np.frombuffer(file.read(), np.uint8, offset=16).reshape(len(y), -1)
        chosen = (y == SANDAL) | (y == SNEAKER)
        parts += [x[chosen].astype(np.float32) / 255, (y[chosen] == SNEAKER).astype(int)]
    return Fold(0, *parts, np.zeros(784, bool))
