"""Tables: one row a sample, from CSV and Parquet files through pyarrow (extra `tables`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import BOX_NOTE, split_note
from .box import Box
from .convert import encode_labels
from .partition import stratified_split
from .schema import Schema
from .split import DataSet, Split

SUFFIXES = (".csv", ".tsv", ".parquet")
WITHOUT_HEADER = " (rows count from 0, without a header)"
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, eq=False)
class Columns:
    """A table's features, float64 [N, D], their D names, and its target [N], of any kind."""

    features: npt.NDArray[np.float64]
    names: tuple[str, ...]
    target: np.ndarray
    notes: tuple[str, ...] = ()


def load_table(
    path: str | Path,
    target: str | None,
    *,
    regression: bool | None = None,
    seed: int = 0,
    test_fraction: float = 0.2,
    drop: Sequence[str] = (),
) -> DataSet:
    """A data set from a table, split by a seed, each class in proportion.

    Features are all columns but `target` and `drop`, as float32 in a box around the data of both
    splits (`Box.around`). Class names and feature names are kept.

    Args:
        path: a .csv, .tsv or .parquet file with named columns.
        target: the column of classes, or of the numbers to be predicted.
        regression: the target is a number to be predicted; by default if some value of it is no
            whole number.
        seed, test_fraction: of the split.
        drop: columns to leave out.

    Raises:
        FileNotFoundError: no such file.
        ImportError: pyarrow is not installed.
        ValueError: a damaged file, an unknown column, text or missing values among the features, a
            constant feature, one class only; names the file and the column.
    """
    path = Path(path)
    columns = read_table(path, target, drop=drop)
    try:
        y = columns.target
        if regression is None:
            regression = y.dtype.kind == "f" and not (y == np.round(y)).all()
        if regression and y.dtype.kind not in "biuf":
            raise ValueError(f"target {target!r} is no column of numbers")
        names = None
        if regression:
            labels = y.astype(np.float64)
        else:
            labels, names = encode_labels(y)
        box = Box.around(columns.features, names=columns.names)
        first, second = stratified_split(labels, test_fraction, seed, names)
        return DataSet.of(
            path.name,
            (columns.features[first], y[first]),
            (columns.features[second], y[second]),
            regression=regression,
            class_names=names,
            feature_names=columns.names,
            box=box,
            notes=[
                split_note(len(first), len(second), seed, regression),
                BOX_NOTE,
                *columns.notes,
            ],
            names=([str(row) for row in first], [str(row) for row in second]),
            parted=True,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def table_samples(
    path: str | Path, target: str | None, like: Schema, *, widen: bool = False
) -> Split:
    """All rows of a table, for a network that learned from data like that.

    Columns are found by name, in whatever order; further ones are left alone.

    Args:
        widen: as for `Split`.

    Raises:
        FileNotFoundError: no such file.
        ImportError: pyarrow is not installed.
        ValueError: as `load_table`; a feature is missing, a class is unseen, a value lies outside
            the box.
    """
    path = Path(path)
    if like.feature_names is None:
        raise ValueError(f"{path}: a table, but the network learned from no features with names")
    if target in like.feature_names:
        raise ValueError(
            f"{path}: {target!r} is a feature that the network takes, so it cannot be the target"
        )
    columns = read_table(path, target, keep=like.feature_names)
    try:
        y: Any = columns.target
        if not like.regression:
            y, _ = encode_labels(y, like.labels)
        elif y.dtype.kind not in "biuf":
            raise ValueError(f"target {target!r} is no column of numbers")
        else:
            y = y.astype(np.float64)
        names = columns.names
        return Split(columns.features, y, box=like.box, feature_names=names, widen=widen)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_table(
    path: Path,
    target: str | None,
    *,
    drop: Sequence[str] = (),
    keep: Sequence[str] | None = None,
) -> Columns:
    """Read the features (all, all but `drop`, or those named in `keep`, in its order) and target.

    Raises:
        FileNotFoundError: no such file.
        ImportError: pyarrow is not installed.
        ValueError: another suffix, a damaged file, wrong columns or values.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: a table is a {', '.join(SUFFIXES)} file")
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    table = _read(path, target)
    have = list(table.column_names)
    try:
        _check_names(have, target, drop, keep)
        chosen = [n for n in have if n != target and n not in drop] if keep is None else list(keep)
        if not chosen:
            raise ValueError("no feature columns are left")
        if not table.num_rows:
            raise ValueError("no rows")
        text = [n for n in chosen if not _is_number(table.column(n).type)]
        if text:
            kinds = ", ".join(f"{n!r} ({table.column(n).type})" for n in text[:5])
            raise ValueError(f"features must be numbers; drop or encode {kinds}")
        features = np.empty((table.num_rows, len(chosen)), np.float64)
        for place, name in enumerate(chosen):
            features[:, place] = column_numbers(table.column(name), name)
        large = [
            name
            for place, name in enumerate(chosen)
            if str(table.column(name).type).lstrip("u").startswith("int")
            and np.abs(features[:, place]).max() > 1 << 24
        ]
        notes = [f"{n!r}: integers beyond 2^24 are rounded to float32" for n in large]
        assert target is not None
        return Columns(
            features, tuple(chosen), column_target(table.column(target), target), tuple(notes)
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _read(path: Path, target: str | None) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise ImportError(
            f"{path}: tables need pyarrow: pip install 'sortnet[tables]'", name="pyarrow"
        ) from None
    try:
        if path.suffix.lower() == ".parquet":
            from pyarrow import parquet

            return parquet.ParquetFile(path).read()
        from pyarrow import csv

        options = csv.ParseOptions(delimiter=_delimiter(path))
        # Text is text: a class named "NA" or "null" is no missing value.
        convert = csv.ConvertOptions(strings_can_be_null=False)
        table = csv.read_csv(path, parse_options=options, convert_options=convert)
        return _with_classes_as_written(table, path, target, options)
    except (pyarrow.ArrowException, ValueError, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: not a readable table ({reason})") from None


def _with_classes_as_written(table: Any, path: Path, target: str | None, options: Any) -> Any:
    """The table of a CSV file, its target as text where numbers would merge "01" and "1"."""
    import pyarrow
    from pyarrow import csv

    if target not in table.column_names or not pyarrow.types.is_integer(table[target].type):
        return table
    convert = csv.ConvertOptions(
        include_columns=[target], column_types={target: pyarrow.string()}, strings_can_be_null=False
    )
    written = csv.read_csv(path, parse_options=options, convert_options=convert)[target]
    if all(
        text in ("", str(number))
        for text, number in zip(written.to_pylist(), table[target].to_pylist(), strict=True)
    ):
        return table
    return table.set_column(table.column_names.index(target), target, written)


def _delimiter(path: Path) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    with open(path, encoding="utf-8-sig") as file:
        header = file.readline(1 << 20)
    return max(_DELIMITERS, key=header.count)  # the comma where there is none


def _check_names(
    have: list[str], target: str | None, drop: Sequence[str], keep: Sequence[str] | None
) -> None:
    shown = ", ".join(map(repr, have[:20])) + (", ..." if len(have) > 20 else "")
    twice = sorted({name for name in have if have.count(name) > 1})
    if twice:
        raise ValueError(f"two columns have the name {twice[0]!r}")
    index = [name for name in have if not name or name.startswith(("Unnamed: ", "__index_level_"))]
    if keep is None and (index := [name for name in index if name not in (*drop, target)]):
        raise ValueError(f"column {index[0]!r} looks like a saved index; drop it, or name it")
    if have and all(_is_float(name) for name in have):
        raise ValueError(f"the first line must name the columns, got {shown}")
    if target is None:
        raise ValueError(f"which column is the target? (--target COLUMN); it has {shown}")
    for name, what in ((target, "target"), *((n, "column to drop") for n in drop)):
        if name not in have:
            raise ValueError(f"no {what} {name!r}; it has {shown}")
    missing = [name for name in keep or () if name not in have]
    if missing:
        raise ValueError(
            f"features {', '.join(map(repr, missing[:5]))} are missing; it has {shown}"
        )


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_decimal(kind)
    )


def column_numbers(column: Any, name: str, first: int = 0) -> npt.NDArray[np.float64]:
    """An Arrow column as numbers, the rows being counted from `first`.

    Raises:
        ValueError: no numbers, a missing value, NaN or infinity; names column and row.
    """
    import pyarrow

    if not _is_number(column.type):
        raise ValueError(f"column {name!r} is {column.type}; expected numbers")
    missing = _first(column.is_null().to_numpy())
    if missing is not None:
        raise ValueError(f"column {name!r}: missing value in row {first + missing}{WITHOUT_HEADER}")
    if pyarrow.types.is_decimal(column.type) or pyarrow.types.is_boolean(column.type):
        values = np.array([float(value) for value in column.to_pylist()], np.float64)
    else:
        values = column.to_numpy().astype(np.float64)
    strange = _first(~np.isfinite(values))
    if strange is not None:
        kind = "NaN" if np.isnan(values[strange]) else "infinity"
        raise ValueError(f"column {name!r}: {kind} in row {first + strange}{WITHOUT_HEADER}")
    return values


def column_target(column: Any, name: str, first: int = 0) -> np.ndarray:
    """An Arrow column of numbers, booleans or text, the rows being counted from `first`.

    Raises:
        ValueError: of another type, a missing value or empty text; names column and row.
    """
    import pyarrow

    kind = column.type
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    missing = _first(column.is_null().to_numpy())
    if missing is not None:
        raise ValueError(f"target {name!r}: missing value in row {first + missing}{WITHOUT_HEADER}")
    if pyarrow.types.is_boolean(kind):
        return np.array(column.to_pylist(), np.bool_)
    if pyarrow.types.is_integer(kind):
        return np.asarray(column.to_numpy())
    if _is_number(kind):
        return column_numbers(column, name, first)
    if kind in (pyarrow.string(), pyarrow.large_string()):
        values = np.array(column.to_pylist(), np.str_)
        empty = _first(values == "")
        if empty is not None:
            raise ValueError(
                f"target {name!r}: missing value in row {first + empty}{WITHOUT_HEADER}"
            )
        return values
    raise ValueError(f"target {name!r} is {kind}; expected text or numbers")


def _first(flags: np.ndarray) -> int | None:
    """Place of the first true flag."""
    return int(np.argmax(flags)) if flags.any() else None
