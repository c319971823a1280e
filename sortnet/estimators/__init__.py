"""The scikit-learn face: certified classifiers and regressors of tables, signals and images."""

from __future__ import annotations

from .classifier import SortNetClassifier
from .regressor import SortNetRegressor

__all__ = ["SortNetClassifier", "SortNetRegressor"]
