"""What users hand over as samples and labels, checked and converted: the one place for it."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from sortnet.base.names import FROM_ZERO, feature_name

from .box import Box

Layout = Literal["NCHW", "NHWC", "NHW", "NCT", "ND"]
"""Axes of an array of samples: sample N, channel C, row H, column W, time T, feature D."""

LAYOUTS: dict[str, int] = {"NCHW": 4, "NHWC": 4, "NHW": 3, "NCT": 3, "ND": 2}
_KINDS = {"c": "complex numbers", "M": "dates", "m": "durations", "U": "text", "V": "records"}
_CHANNELS = (1, 3, 4)
_CHUNK = 4096


def as_array(values: Any, what: str) -> np.ndarray:
    """An array of numbers, booleans or text from an array, tensor, frame, series or list.

    Raises:
        ValueError: ragged, sparse, masked or missing values; names `what` and says what it got.
    """
    if hasattr(values, "toarray"):
        raise ValueError(f"{what}: a sparse matrix; expected a dense array (use .toarray())")
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.getmaskarray(values).any():
            raise ValueError(f"{what}: masked (missing) values; fill them in or leave them out")
        values = values.data
    if hasattr(values, "detach"):  # a tensor, on whatever device
        values = values.detach().cpu().numpy()
    if isinstance(values, list | tuple) and any(isinstance(one, str) for one in values):
        values = np.array([*values, None], object)[:-1]  # or NaN and numbers would become text
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{what}: not an array of one shape ({error})") from None
    if array.dtype.kind == "T":  # NumPy's strings of variable length
        return np.array(array.tolist(), np.str_)
    if array.dtype.kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{what}: byte strings that are not UTF-8") from None
    return _of_objects(array, what) if array.dtype == object else array


def _of_objects(array: np.ndarray, what: str) -> np.ndarray:
    """Python objects as numbers or text, if all are of one of these kinds."""
    flat = array.ravel().tolist()
    for place, value in enumerate(flat):
        # NaN differs from itself; pandas' NA compares to NA, which is neither true nor false.
        if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
            where = f" in row {place * len(array) // array.size}" if array.ndim else ""
            end = FROM_ZERO if array.ndim else ""
            raise ValueError(f"{what}: missing value{where}; fill it in or leave the row out{end}")
    kinds = {_object_kind(value) for value in flat}
    if kinds == {"text"}:
        return array.astype(np.str_)
    if kinds <= {"boolean"}:
        return array.astype(np.bool_)
    if kinds == {"integer"}:
        if not all(-(2**63) <= value < 2**63 for value in flat):
            raise ValueError(f"{what}: an integer beyond 64 bits")
        return array.astype(np.int64)
    if kinds <= {"integer", "real"}:
        return array.astype(np.float64)
    raise ValueError(f"{what}: expected numbers, got {' and '.join(sorted(kinds))} in one array")


def _object_kind(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "boolean"
    if isinstance(value, numbers.Integral):
        return "integer"
    if isinstance(value, numbers.Real):
        return "real"
    return "text" if isinstance(value, str) else type(value).__name__


def as_inputs(
    values: Any,
    levels: int | None = None,
    box: Box | None = None,
    layout: Layout | None = None,
    names: Sequence[str] | None = None,
    first: int = 0,
    outside: bool = False,
) -> tuple[np.ndarray, int]:
    """Samples as uint8 or float32 [N, ...], and the value that means 1 (`levels`).

    Integers without a box are pixels 0..levels and become bytes; with a box they become floats.
    Floats stay what they are, as float32: they are never divided.

    Args:
        values: array-like [N, ...] of rank 2, 3 or 4.
        levels: the integer that means white; 255 by default. Floats have none.
        box: of one sample; without it floats must lie in [0, 1].
        layout: of the axes. Without it rank 4 means NCHW, and is refused if the last axis looks
            like channels; rank 3 means NHW without a box and NCT with one; rank 2 means ND.
        names: of features, for messages.
        first: number of the first sample, for messages.
        outside: let floats outside of the box pass; NaN and infinities never do.

    Raises:
        ValueError: other kinds of values, NaN, infinities, values out of range, other axes.
    """
    array = as_array(values, "samples")
    if array.dtype.kind not in "biuf":
        kind = _KINDS.get(array.dtype.kind, str(array.dtype))
        raise ValueError(f"samples: {kind}; expected integers 0..255 or floats")
    array = _arranged(array, layout, box)
    if box is not None and array.shape[1:] != box.shape:
        raise ValueError(f"samples are {list(array.shape[1:])}, their box is {list(box.shape)}")
    if levels is not None and (isinstance(levels, bool) or levels != int(levels)):
        raise ValueError(f"levels must be a whole number, got {levels!r}")
    if array.dtype.kind == "f" or box is not None:
        if levels not in (None, 1):
            raise ValueError(f"levels={levels} is for integer pixels, but the samples are floats")
        with np.errstate(over="ignore"):  # what is too large for float32 is found below
            floats = np.ascontiguousarray(array, np.float32)
        _check_range(floats, box, names, first, outside)
        return floats, 1
    if array.dtype.kind == "b":
        if levels not in (None, 1):
            raise ValueError(f"levels={levels}, but booleans are 0 or 1")
        return np.ascontiguousarray(array).view(np.uint8), 1
    levels = 255 if levels is None else int(levels)
    if not 1 <= levels <= 255:
        raise ValueError(f"levels must lie in 1..255, got {levels}")
    if array.size and not (array.dtype == np.uint8 and levels == 255):
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > levels:
            strange = int(np.argwhere((array < 0) | (array > levels))[0][0])
            raise ValueError(
                f"sample {first + strange}: integer pixels must lie in 0..{levels} "
                f"(levels={levels}), got {low}..{high}"
                + ("; deeper pixels go in as floats in [0, 1]" if levels == 255 else "")
                + FROM_ZERO
            )
    return np.ascontiguousarray(array, np.uint8), levels


def _arranged(array: np.ndarray, layout: Layout | None, box: Box | None) -> np.ndarray:
    """The array as [N, C, H, W], [N, C, T] or [N, D]."""
    shape = list(array.shape)
    if layout is not None:
        if layout not in LAYOUTS:
            raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
        if array.ndim != LAYOUTS[layout]:
            raise ValueError(f"layout {layout} has {LAYOUTS[layout]} axes, the samples are {shape}")
        if layout == "NHWC":
            return np.moveaxis(array, 3, 1)
        return array[:, None] if layout == "NHW" else array
    if not 2 <= array.ndim <= 4:
        raise ValueError(
            f"samples: expected [N, D], [N, C, T], [N, H, W] or [N, C, H, W], got {shape}"
        )
    if array.ndim == 3 and box is None:
        return array[:, None]
    if array.ndim == 4:
        second, third, last = shape[1:]
        unlike = second not in _CHANNELS and last < min(second, third)
        if unlike or (last in _CHANNELS and (second not in _CHANNELS or second == third != last)):
            raise ValueError(
                f"samples {shape} look like [N, H, W, C], expected [N, C, H, W]: say "
                'layout="NHWC" to have the channels moved, layout="NCHW" if it is right as it is'
            )
    return array


def _check_range(
    floats: np.ndarray, box: Box | None, names: Sequence[str] | None, first: int, outside: bool
) -> None:
    """Refuse NaN, infinities and values outside the box, naming sample and feature."""
    most = np.finfo(np.float32).max
    low, high = (-most, most) if outside else (0.0, 1.0) if box is None else (box.low, box.high)
    for start in range(0, len(floats), _CHUNK):
        part = floats[start : start + _CHUNK]
        inside = (part >= low) & (part <= high)  # false for NaN
        if inside.all():
            continue
        sample, at = (int(i) for i in np.argwhere(~inside.reshape(len(part), -1))[0])
        value = float(part[sample].flat[at])
        where = f"sample {first + start + sample}, {feature_name(at, names)}"
        if not np.isfinite(value):
            kind = "NaN" if np.isnan(value) else "infinity (or too large for float32)"
            raise ValueError(f"{where}: {kind}; fill it in or leave the sample out{FROM_ZERO}")
        if box is not None:
            ends = f"[{box.low.flat[at]:g}, {box.high.flat[at]:g}]"
            raise ValueError(f"{where}: {value:g} lies outside its box {ends}{FROM_ZERO}")
        if floats.min() >= 0 and 1.5 < floats.max() <= 255:
            hint = "divide by 255, or give bytes as uint8"
        else:
            hint = "scale them, or give a box"
        raise ValueError(
            f"{where}: {value:g}; floats without a box must lie in [0, 1]: {hint}{FROM_ZERO}"
        )


def as_labels(values: Any) -> np.ndarray:
    """Labels as int64 [N] from integers or booleans of any kind; floats stay, as float64 [N].

    Raises:
        ValueError: text, NaN, infinities, integers beyond int64, or not one label a sample.
    """
    array = as_array(values, "labels")
    if array.ndim != 1:
        hint = ""
        if array.ndim == 2:
            hint = "; use .ravel()" if array.shape[1] == 1 else "; one-hot labels: use .argmax(1)"
        raise ValueError(f"labels: expected one a sample, [N], got {list(array.shape)}{hint}")
    if not array.size and array.dtype.kind == "f":  # numpy calls an empty list float64
        return np.empty(0, np.int64)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array))[0])
            raise ValueError(f"labels: {array[row]} in row {row}; leave the row out{FROM_ZERO}")
        return np.array(array, np.float64)
    if array.dtype.kind == "U":
        raise ValueError(
            f"labels: text such as {str(array.flat[0])!r}; expected integers "
            "(sortnet.data.encode_labels numbers them and keeps the names)"
        )
    if array.dtype.kind not in "biu":
        raise ValueError(f"labels: {_KINDS.get(array.dtype.kind, array.dtype)}; expected integers")
    if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"labels: {array.max()} is too large for a label")
    return np.array(array, np.int64)


def encode_labels(
    values: Any, names: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number classes of any kind (text, booleans, integers, whole floats) as 0..K-1.

    Args:
        values: array-like [N].
        names: the K classes in order; by default those that occur, sorted (numbers by value).
            Integers mean the names that they spell, or, where no name is a number, places 0..K-1.

    Returns:
        int64 [N] and the K names.

    Raises:
        ValueError: a missing value, a class that is not among `names`, a name twice, fractions.
    """
    array = as_array(values, "labels")
    if array.ndim != 1:
        raise ValueError(f"labels: expected one a sample, [N], got {list(array.shape)}")
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and (array == np.round(array)).all()):
            raise ValueError("labels: missing values or fractions; a class is text or an integer")
        if not (np.abs(array) < 2.0**53).all():
            raise ValueError("labels: numbers beyond 2^53, which floats cannot tell apart")
        array = array.astype(np.int64)
    if array.dtype.kind not in "biuU":
        raise ValueError(f"labels: {array.dtype}; a class is text or an integer")
    found, codes = np.unique(array, return_inverse=True)
    texts = [str(value) for value in found.tolist()]
    if "" in texts:
        row = int(np.flatnonzero(array == "")[0])
        raise ValueError(f"labels: empty text in row {row}; leave the row out{FROM_ZERO}")
    if names is None:
        return codes.astype(np.int64), tuple(texts)
    number = {name: place for place, name in enumerate(names)}
    if len(number) != len(names):
        raise ValueError("class names must differ from each other")
    if array.dtype.kind in "biu" and not any(_is_integer(name) or name in texts for name in names):
        number = {str(place): place for place in range(len(names))}
        texts = [str(int(value)) for value in found.tolist()]
    unseen = [text for text in texts if text not in number]
    if unseen:
        raise ValueError(
            f"unseen classes {', '.join(map(repr, unseen[:5]))}; known: "
            f"{', '.join(map(repr, list(names)[:10]))}{', ...' if len(names) > 10 else ''}"
        )
    return np.array([number[text] for text in texts], np.int64)[codes], tuple(names)


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
