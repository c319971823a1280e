"""Our side: the estimator as it is, asked the same questions."""

from __future__ import annotations

import numpy as np
import torch

from sortnet import SortNetClassifier
from sortnet.evaluation.attack import pgd


class Network:
    """`SortNetClassifier` with its defaults; the box holds every ball: nothing is clipped."""

    def __init__(self, eps: str, family: str = "auto") -> None:
        self.eps, self.family = eps, family

    def fit(self, x: np.ndarray, y: np.ndarray, fixed: np.ndarray) -> Network:
        unit = np.where(fixed, 0.0, 1.0)  # features come in units of their range
        self.model = SortNetClassifier(
            self.eps, unit=unit, box=(-20, 20), family=self.family, random_state=0
        ).fit(x, y)
        self.depth = f"{self.model.family_} {self.model.depth_}"
        return self

    def judge(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Right; right and certified; right and not fooled by an attack: bool [N] each."""
        right = self.model.predict(x) == y
        certified = right & self.model.certify(x)
        inputs, labels = torch.from_numpy(x), torch.from_numpy(y).long()
        point = pgd(self.model.network_, inputs, labels, self.eps).numpy()
        return right, certified, right & (self.model.predict(point) == y)


class Constant:
    """The majority class."""

    depth = ""

    def fit(self, x: np.ndarray, y: np.ndarray, fixed: np.ndarray) -> Constant:
        self.label = np.bincount(y).argmax()
        return self

    def judge(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        right = y == self.label
        return right, right, right
