"""What an input must be for a certificate to speak about it: one check for every host."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

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


def check_box(x: Array, low: Array | float = 0.0, high: Array | float = 1.0) -> None:
    """Whether every entry of a batch lies in the box; NaN does not.

    Args:
        x: float [N, ...]. low, high: the box, scalars or per-sample arrays.

    Raises:
        InputError: names the first sample outside, and what may have been forgotten.
    """
    for start in range(0, len(x), _ROWS):
        batch = np.asarray(x[start : start + _ROWS])  # what runs: no mask hides a NaN
        inside = ((batch >= low) & (batch <= high)).reshape(len(batch), -1).all(axis=1)
        if inside.all():
            continue
        first = int(np.argmin(inside))
        if np.isnan(batch[first]).any():
            what = "NaN"
        elif np.ndim(low) == np.ndim(high) == 0:
            what = f"a value outside [{low:g}, {high:g}]"
        else:
            what = "a value outside its feature's range"
        raise InputError(
            f"sample {start + first} has {what}: no certificate speaks about it"
            f"{_hint(x, low, high)}"
        )


def _hint(x: Array, low: Array | float, high: Array | float) -> str:
    """The usual slip, said where the numbers look like it."""
    if np.ndim(low) or np.ndim(high) or (low, high) != (0, 1):
        return ""
    least, most = float(np.min(x)), float(np.max(x))
    bytes_like = least >= 0 and 1.5 < most <= 255
    return " (pixels of 0 to 255? divide by 255)" if bytes_like else ""
