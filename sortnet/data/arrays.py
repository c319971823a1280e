"""Samples from `.npz` files."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sortnet.base.names import did_you_mean

from .box import Box
from .convert import Layout, as_labels, encode_labels
from .partition import stratified_split
from .schema import Schema
from .split import DataSet, Split

_FOUR = ("x_train", "y_train", "x_test", "y_test")
_EXTRAS = ("levels", "layout", "class_names", "feature_names", "low", "high")
_KNOWN = (*_FOUR, "x", "y", *_EXTRAS)


def load_npz_set(
    path: str | Path,
    *,
    regression: bool | None = None,
    seed: int = 0,
    test_fraction: float = 0.2,
    levels: int | None = None,
    layout: Layout | None = None,
) -> DataSet:
    """A data set from an `.npz` with x_train, y_train, x_test, y_test, or with x and y.

    x and y are split (stratified, seeded). Optional arrays of the file say what is what: `levels`
    and `layout` (see `Split`), `class_names`, `feature_names`, and the box `low`, `high`.
    Floats outside [0, 1] in x [N, D] or with layout NCT get a box around the data (`Box.around`).

    Args:
        path: the file.
        regression: y are numbers to be predicted; by default if they are floats.
        seed, test_fraction: of the split.
        levels, layout: go before those of the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, arrays missing, or what `DataSet.of` refuses; names the file.
    """
    path = Path(path)
    try:
        arrays = _read(path)
        settings = _settings(arrays, levels, layout)
        names = settings["class_names"]
        notes, rows = _unread(path), None
        if "x" in arrays:
            x, y = arrays["x"], arrays["y"]
            _check_lengths(x, y)
            regression = y.dtype.kind == "f" if regression is None else regression
            groups, found = (as_labels(y), None) if regression else encode_labels(y, names)
            first, second = stratified_split(groups, test_fraction, seed, found)
            x, y, x_test, y_test = x[first], y[first], x[second], y[second]
            notes.append(split_note(len(first), len(second), seed, regression))
            rows = ([str(row) for row in first], [str(row) for row in second])
        else:
            x, y, x_test, y_test = (arrays[name] for name in _FOUR)
            regression = y.dtype.kind == "f" if regression is None else regression
        if not regression and names is None:
            _check_counted(y)
        box, note = _box(arrays, settings, (x, x_test))
        levels = _levels(settings["levels"], x, x_test) if box is None else None
        return DataSet.of(
            path.name,
            (x, y),
            (x_test, y_test),
            regression=regression,
            class_names=names,
            feature_names=settings["feature_names"],
            levels=levels,
            box=box,
            layout=settings["layout"],
            notes=[*notes, *note],
            names=rows,
            parted=rows is not None,
        )
    except ValueError as error:
        raise _named(path, error) from None


def load_npz(
    path: str | Path,
    *,
    levels: int | None = None,
    layout: Layout | None = None,
    like: Schema | None = None,
    widen: bool = False,
) -> Split:
    """All samples `x`, `y` of an `.npz`, or `x_test`, `y_test` where it has those.

    Args:
        path: the file.
        levels, layout: as for `Split`; go before those of the file.
        like: of the data that the network learned from: its class names number the labels, its
            box is the box, its levels those of integer pixels. Features that the file names are
            put in its order, labels that the file names in its numbers.
        widen: as for `Split`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, arrays missing, unseen classes, or what `Split` refuses.
    """
    path = Path(path)
    try:
        arrays = _read(path)
        x, y = ("x_test", "y_test") if "x_test" in arrays else ("x", "y")
        settings = _settings(arrays, levels, layout)
        inputs, labels = arrays[x], arrays[y]
        _check_lengths(inputs, labels)
        names, box, regression = settings["class_names"], _given_box(arrays), False
        levels, layout = settings["levels"], settings["layout"]
        if like is not None:
            if names is not None and like.class_names is not None:
                labels = np.asarray(names)[encode_labels(labels, names)[0]]
            inputs = _in_order(inputs, settings["feature_names"], like.feature_names)
            names, box, regression = like.class_names, like.box, like.regression
            levels = like.levels if levels is None and like.levels > 1 else levels
            layout = _layout_of(inputs.shape, like.input_shape) if layout is None else layout
        if names is not None:
            labels, _ = encode_labels(labels, names)
        elif labels.dtype.kind == "f" and not regression:
            raise ValueError(f"integer y [N] expected, got {labels.dtype}")
        if inputs.dtype.kind not in "iu":
            levels = settings["levels"]
        levels = _levels(levels, inputs) if box is None else None
        return Split(inputs, labels, levels, box, layout, widen=widen)
    except ValueError as error:
        raise _named(path, error) from None


def _in_order(
    inputs: np.ndarray, names: Sequence[str] | None, order: Sequence[str] | None
) -> np.ndarray:
    """The features of [N, D] in the order that the network knows, where both have names."""
    if names is None or order is None or list(names) == list(order):
        return inputs
    if inputs.ndim != 2 or len(names) != inputs.shape[1] or len({*names}) != len(names):
        raise ValueError(
            f"feature_names must be one name a feature: {len(names)} names for x "
            f"{list(inputs.shape)}"
        )
    missing = [name for name in order if name not in names]
    if missing:
        raise ValueError(
            f"the network learned from the feature {missing[0]!r}; the file names "
            f"{', '.join(names)}"
        )
    return inputs[:, [names.index(name) for name in order]]


def _layout_of(shape: tuple[int, ...], sample: tuple[int, ...]) -> Layout | None:
    """The layout that makes samples of a known shape of an array, where one does."""
    whole: dict[int, Layout] = {1: "ND", 2: "NCT", 3: "NCHW"}
    if shape[1:] == sample:
        return whole.get(len(sample))
    return "NHW" if (1, *shape[1:]) == sample else None


def split_note(train: int, test: int, seed: int, regression: bool) -> str:
    """What is said of a set that came in one part."""
    how = "at random" if regression else "each class in proportion"
    return f"one split only: {train} samples for training, {test} for testing, {how}, seed {seed}"


def read_npz(path: Path, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """The named arrays of an `.npz`; of the optional ones those that it has.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an npz, damaged, or an array missing; names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("not a zip archive")
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            missing = [n for n in names if n not in file.files]
            if missing:
                raise ValueError(f"no array {missing[0]!r} (has: {', '.join(file.files)})")
            return {n: file[n] for n in (*names, *optional) if n in file.files}
    except Exception as error:  # zipfile, zlib, numpy and its parser raise a dozen kinds on damage
        reason = " ".join(str(error).split()) or type(error).__name__
        wanted = f" with {' and '.join(names)}" if names else ""
        raise ValueError(f"{path}: not a readable .npz{wanted}: {reason}") from None


def _unread(path: Path) -> list[str]:
    """What is said of arrays that mean nothing here, such as a misspelt one."""
    with zipfile.ZipFile(path) as file:
        names = [name.removesuffix(".npy") for name in file.namelist()]
    return [
        f"array {name!r} is left alone{did_you_mean(name, _KNOWN)}"
        for name in names
        if name not in _KNOWN
    ]


def _read(path: Path) -> dict[str, Any]:
    arrays = read_npz(path, (), _KNOWN)
    have = [name for name in (*_FOUR, "x", "y") if name in arrays]
    if {*have} not in ({*_FOUR}, {"x", "y"}):
        found = ", ".join(arrays) or "none of them"
        raise ValueError(f"expected x_train, y_train, x_test, y_test, or x, y; it has {found}")
    for name in have:
        if arrays[name].ndim == 0:
            raise ValueError(f"{name} is a single value")
    return arrays


def _settings(arrays: dict[str, Any], levels: int | None, layout: Layout | None) -> dict[str, Any]:
    def scalar(name: str, given: object) -> Any:
        if given is not None or name not in arrays:
            return given
        if arrays[name].size != 1:
            raise ValueError(f"{name} must be one value, got {list(arrays[name].shape)}")
        return arrays[name].item()

    def names(name: str) -> list[str] | None:
        return [str(text) for text in arrays[name].ravel()] if name in arrays else None

    return {
        "levels": scalar("levels", levels),
        "layout": scalar("layout", layout),
        "class_names": names("class_names"),
        "feature_names": names("feature_names"),
    }


def _levels(levels: int | None, *inputs: np.ndarray) -> int | None:
    """The levels of integer pixels; refused where the file leaves them open."""
    if levels is None and inputs[0].dtype.kind in "iu":
        most = max((int(part.max()) for part in inputs if part.size), default=0)
        refuse_open_levels(most, "add an array levels={} to the file (or pass levels)", "add")
    return levels


def refuse_open_levels(most: int, how: str, dark: str) -> None:
    """Refuse integer pixels of which nobody knows whether the largest one is white or dark.

    Args:
        most: the largest pixel, 0..255. how: to say that it is white, with {} for it.
        dark: how to say that it is dark; `levels=255` follows.

    Raises:
        ValueError: it lies below 128; 0 is black in any case.
    """
    if 0 < most < 128:
        raise ValueError(
            f"the largest pixel is {most}: if that is white, {how.format(most)}; "
            f"if the images are dark, {dark} levels=255"
        )


def _given_box(arrays: dict[str, Any]) -> Box | None:
    if ("low" in arrays) != ("high" in arrays):
        raise ValueError("a box needs both low and high")
    return Box(arrays["low"], arrays["high"]) if "low" in arrays else None


def _box(
    arrays: dict[str, Any], settings: dict[str, Any], inputs: tuple[np.ndarray, ...]
) -> tuple[Box | None, list[str]]:
    """The file's box, one around the data, or None for [0, 1]; and what to say of it."""
    given, layout = _given_box(arrays), settings["layout"]
    free = layout == "NCT" or (layout in (None, "ND") and inputs[0].ndim == 2)
    if given is not None or not free or any(part.dtype.kind != "f" for part in inputs):
        return given, []
    if all((part >= 0).all() and (part <= 1).all() for part in inputs):
        return None, []
    return Box.around(*inputs, names=settings["feature_names"]), [BOX_NOTE]


BOX_NOTE = "box: the range of all samples in each feature, widened by a tenth of it on each side"


def _check_lengths(x: np.ndarray, y: np.ndarray) -> None:
    if y.ndim != 1 or len(x) != len(y):
        raise ValueError(
            f"expected x [N, ...] and y [N], got x {list(x.shape)} and y {y.dtype} {list(y.shape)}"
        )


def _check_counted(y: np.ndarray) -> None:
    """Integer labels without names are class numbers, so that every file means the same by them."""
    if y.dtype.kind not in "iu" or not y.size:
        return
    found = np.unique(y)
    if int(found[0]) < 0 or int(found[-1]) >= len(found):
        lacking = sorted({*range(min(int(found[-1]), 10**6))} - {*found.tolist()})[:5]
        raise ValueError(
            f"labels must count 0, 1, 2, ...; got {int(found[0])}..{int(found[-1])}, "
            f"no sample of {', '.join(map(str, lacking)) or 'class 0'}: renumber them, or name the "
            "classes by text"
        )


def _named(path: Path, error: ValueError) -> ValueError:
    text = str(error)
    return ValueError(text if text.startswith(str(path)) else f"{path}: {text}")
