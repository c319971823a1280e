"""What an input must be for a certificate to speak about it: one check for every host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sortnet.base.names import FROM_ZERO, feature_name

Array: TypeAlias = npt.NDArray[Any]

_ROWS = 4096


class InputError(ValueError):
    """An input that no certificate speaks about: its dtype, shape, range, or a NaN in it."""


def check_kind(x: object, dtype: object, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Whether a batch has the dtype and the shape of a network's inputs.

    Args:
        x: the batch, for the message. dtype, shape: its own. expected: per-sample shape.

    Raises:
        InputError: says what was expected.
    """
    wanted = f"float32 [N, {', '.join(map(str, expected))}]"
    if dtype is None or str(dtype).rpartition(".")[2] != "float32":
        raise InputError(f"expected {wanted}, got {dtype or type(x).__name__}")
    if len(shape) != len(expected) + 1 or tuple(shape[1:]) != tuple(expected):
        raise InputError(f"expected {wanted}, got shape {list(shape)}")


def check_box(
    x: Array,
    low: Array | float = 0.0,
    high: Array | float = 1.0,
    names: Sequence[str] | None = None,
) -> None:
    """Whether every entry of a batch lies in the box; NaN does not.

    Args:
        x: float [N, ...]. low, high: the box, scalars or per-sample arrays. names: of the features
            of a flattened sample, where they have some.

    Raises:
        InputError: names the first sample outside, its first feature outside, and what may have
            been forgotten.
    """
    for start in range(0, len(x), _ROWS):
        batch = np.asarray(x[start : start + _ROWS])  # what runs: no mask hides a NaN
        outside = ~((batch >= low) & (batch <= high)).reshape(len(batch), -1)
        if not outside.any():
            continue
        first = int(np.argmax(outside.any(axis=1)))
        nans = np.isnan(batch[first]).reshape(-1)
        at = int(np.argmax(nans if nans.any() else outside[first]))
        ends = [np.broadcast_to(end, batch.shape[1:]).flat[at] for end in (low, high)]
        if nans.any():
            what = f"NaN in {feature_name(at, names)}"
        elif np.ndim(low) == np.ndim(high) == 0 and names is None:
            what = "a value outside [{:g}, {:g}]".format(*ends)
        else:
            what = f"a value outside its feature's range: {batch[first].flat[at]:g} in "
            what += f"{feature_name(at, names)}, which has " + "[{:g}, {:g}]".format(*ends)
        raise InputError(
            f"sample {start + first} has {what}: no certificate speaks about it"
            f"{_hint(x, low, high)}{FROM_ZERO}"
        )


def _hint(x: Array, low: Array | float, high: Array | float) -> str:
    """The usual slip, said where the numbers look like it."""
    if np.ndim(low) or np.ndim(high) or (low, high) != (0, 1):
        return ""
    least, most = float(np.min(x)), float(np.max(x))
    bytes_like = least >= 0 and 1.5 < most <= 255
    return " (pixels of 0 to 255? divide by 255)" if bytes_like else ""
