"""Weights of samples and of classes: checked, multiplied, and relative to their mean."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import _check_sample_weight

LEAST = 1e-30  # of the mean weight: what float32 sums can still be divided by


def sample_weights(given: npt.ArrayLike | None, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Weights [N] relative to the largest one, in [0, 1]; 1 where none are given.

    Raises:
        ValueError: another number of weights, a negative one, NaN or infinity, 0 for every sample.
    """
    weight = _check_sample_weight(given, X, dtype=np.float64, ensure_non_negative=True)
    if not np.isfinite(weight).all():  # one number for all samples comes through unchecked
        raise ValueError(f"sample_weight must be finite, got {given!r}")
    if len(weight) and not weight.max() > 0:
        raise ValueError("sample_weight is 0 for every sample")
    relative: npt.NDArray[np.float64] = weight / weight.max()
    return relative


def class_weights(
    given: object, classes: npt.NDArray[Any], y: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Weights [K] relative to the largest one, in [0, 1].

    Args:
        given: None, "balanced" or a dict from labels to weights >= 0; labels left out weigh 1.

    Raises:
        ValueError: of another kind, or a weight that is negative, NaN, infinite or no number.
    """
    if given is None:
        return np.ones(len(classes))
    if isinstance(given, Mapping):
        for label, value in given.items():
            number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
            if not number or not 0 <= value <= sys.float_info.max:
                raise ValueError(
                    f"class_weight of {label!r} must be a finite number of at least 0, got "
                    f"{value!r}"
                )
    elif not (isinstance(given, str) and given == "balanced"):
        raise ValueError(
            f"class_weight must be None, 'balanced' or a dict from labels to weights, got {given!r}"
        )
    each = compute_class_weight(given, classes=classes, y=y).astype(np.float64)
    if not each.max() > 0:
        raise ValueError("class_weight is 0 for every class")
    relative: npt.NDArray[np.float64] = each / each.max()
    return relative


def to_the_mean(weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Weights as multiples of their mean; 0 what is too small beside it to count at all.

    A batch of nothing but such samples would divide by a sum that is 0 in float32.

    Args:
        weight: [N] in [0, 1], not 0 throughout.
    """
    relative = weight / weight.max()
    counted = relative > LEAST * relative.mean()
    relative /= relative[counted].mean()
    return np.where(counted, relative, 0).astype(np.float32)
