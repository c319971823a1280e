"""Samples in folders of Parquet files, read one row group at a time (extra `tables`).

A row is a sample: a column `x` with its values or its picture, or one column a feature; a column
of labels and one of keys, where there are such. A row group is the unit of work: whoever deals
them out to machines names them by `Part`, which is small and picklable.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import refuse_open_levels
from .convert import as_inputs, as_labels, encode_labels
from .images import read_image
from .lake_files import files
from .schema import Schema
from .split import Split
from .tables import column_numbers, column_target


@dataclass(frozen=True)
class Part:
    """One row group of a file.

    Attributes:
        file: absolute path. group: number of the row group in it.
        first: number of its first row in the file, from 0. rows: how many it has.
    """

    file: str
    group: int
    first: int
    rows: int


@dataclass(frozen=True, eq=False)
class Rows:
    """Samples of a row group.

    Attributes:
        inputs: float32 [n, ...] as the network takes them.
        labels: int64 [n] (float64 for a regression), or None where there is no such column.
        keys: an Arrow column [n] of any type, or None where there is no such column.
    """

    inputs: npt.NDArray[np.float32]
    labels: npt.NDArray[Any] | None
    keys: Any | None


def parts(path: str | Path) -> list[Part]:
    """All row groups of a Parquet file, or of the files in a folder and its subfolders, in order.

    Hidden files and those that begin with an underscore (`_SUCCESS`, `_metadata`) are passed over.

    Raises:
        FileNotFoundError: no such file, or no `.parquet` file in the folder.
        ValueError: a damaged file; names it.
        ImportError: pyarrow is not installed.
    """
    out = []
    for file in files(path):
        metadata = _open(file).metadata
        first = 0
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            out.append(Part(str(file.absolute()), group, first, rows))
            first += rows
    return out


def read_part(
    part: Part, schema: Schema, *, target: str | None = "y", key: str | None = "key"
) -> Rows:
    """The samples of a row group, for a network that learned from data of this schema.

    Only the columns that are needed are read.

    Raises:
        FileNotFoundError: the file is gone.
        ValueError: damaged, or what `rows_of` refuses; names file and row.
    """
    file = _open(Path(part.file))
    have = file.schema_arrow.names
    wanted = [*(schema.feature_names or ("x",)), target, key]
    refuse_twice(have, wanted, part.file)
    try:
        table = file.read_row_group(part.group, columns=[name for name in wanted if name in have])
    except Exception as error:  # Arrow's decoders raise a dozen kinds on damage
        raise ValueError(
            f"{part.file}: row group {part.group} is damaged ({_line(error)})"
        ) from None
    if table.num_rows != part.rows:
        raise ValueError(f"{part.file}: the file has changed")
    try:
        return rows_of(table, schema, target=target, key=key, first=part.first)
    except ValueError as error:
        raise ValueError(f"{part.file}: {error}") from None


def part_tables(part: Part, columns: Sequence[str], rows: int) -> Iterator[Any]:
    """A row group as Arrow tables of at most so many rows, for those that do not fit into memory.

    One without rows is one table without rows.

    Args:
        columns: those to read; what the file lacks is left out.

    Raises:
        FileNotFoundError: the file is gone.
        ValueError: damaged, changed since `parts`, or two columns of one name that is asked for;
            names file and row group. Tables that came before it are not to be trusted with being
            all.
    """
    file = _open(Path(part.file))
    refuse_twice(file.schema_arrow.names, columns, part.file)
    done = 0
    try:
        if part.group < file.metadata.num_row_groups:
            have = file.schema_arrow.names
            wanted = [name for name in columns if name in have]
            for batch in file.iter_batches(
                rows, row_groups=[part.group], columns=wanted, use_threads=False
            ):
                done += batch.num_rows
                yield _table(batch)
            if not done:
                yield file.schema_arrow.empty_table().select(wanted)
    except GeneratorExit:
        raise
    except Exception as error:  # Arrow's decoders raise a dozen kinds on damage
        raise ValueError(
            f"{part.file}: row group {part.group} is damaged ({_line(error)})"
        ) from None
    finally:
        file.close()
    if done != part.rows:
        raise ValueError(f"{part.file}: the file has changed")


def rows_of(
    table: Any,
    schema: Schema,
    *,
    target: str | None = "y",
    key: str | None = "key",
    first: int = 0,
) -> Rows:
    """The samples of an Arrow table.

    Args:
        table: with the columns of `schema.feature_names`, where it has names; else with a column
            `x` of one of these types: lists of integers 0..levels or of floats, as long as a sample
            has values, row by row and channel by channel, or nested as the sample's axes are (grey
            images without the axis of channels too); binary PNG, JPEG, ... files, plain or as the
            field `bytes` of a struct.
        schema: of the data that the network learned from.
        target, key: names of the columns of labels and keys; they may be missing. A column of the
            input is neither.
        first: number of the first row, for errors.

    Raises:
        ValueError: a column is missing, twice there or of another type, a missing value, a sample
            of another size, NaN or a value out of range, an unseen class; names the row.
    """
    names: Sequence[str] | None = schema.feature_names
    have = table.column_names
    target, key = (None if name in (names or ("x",)) else name for name in (target, key))
    refuse_twice(have, [*(names or ("x",)), target, key])
    values: np.ndarray
    if names is not None:
        lacking = [name for name in names if name not in have]
        if lacking:
            raise ValueError(f"features {', '.join(map(repr, lacking[:5]))} are missing")
        columns = [column_numbers(table.column(name), name, first) for name in names]
        values = np.stack(columns, axis=1)
    elif "x" in have:
        values = _samples(table.column("x"), schema, first)
    else:
        raise ValueError(f"no column 'x'; it has {', '.join(map(repr, have[:20]))}")
    values = values.reshape(len(values), *schema.input_shape)
    layout = {1: "ND", 2: "NCT", 3: "NCHW"}[len(schema.input_shape)]
    levels = schema.levels if values.dtype.kind in "iu" and schema.box is None else None
    if levels == 1 and len(schema.input_shape) != 3:  # pixels can be 0 and 1
        raise ValueError("column 'x' has integers, but the network learned from floats")
    inputs, levels = as_inputs(values, levels, schema.box, layout, names, first)  # type: ignore[arg-type]
    floats = inputs.astype(np.float32)
    labels = None
    if target is not None and target in have:
        labels = column_target(table.column(target), target, first)
        if schema.regression:
            labels = as_labels(labels).astype(np.float64)
        else:
            labels, _ = encode_labels(labels, schema.labels)
    return Rows(
        floats if levels == 1 else floats / np.float32(levels),
        labels,
        table.column(key) if key is not None and key in have else None,
    )


def columns_aside(schema: Schema, target: str | None, key: str | None) -> list[str | None]:
    """The names of the columns of labels and keys; None where there is none.

    Args:
        target, key: as the user named them; None is `y` and `key`, unless these are features or
            the other one.

    Raises:
        ValueError: the user named a column of the input, of which labels would be made.
    """
    inputs = schema.feature_names or ("x",)
    out: list[str | None] = []
    for what, given, usual in (("target", target, "y"), ("key", key, "key")):
        if given in inputs:
            raise ValueError(
                f"the {what} {given!r} is an input of the network; name another column"
            )
        out.append(given or (None if usual in (*inputs, target, key) else usual))
    return out


def largest_integer(table: Any, schema: Schema) -> int | None:
    """The largest integer in lists of a column `x`, of pixels; None where there are none."""
    from pyarrow import compute, types

    if schema.feature_names or schema.box is not None or "x" not in table.column_names:
        return None
    flat = table.column("x")
    while _is_list(flat.type):
        flat = compute.list_flatten(flat)
    if not types.is_integer(flat.type):
        return None
    most = compute.max(flat).as_py()
    return None if most is None else int(most)


def lake_samples(
    path: str | Path, schema: Schema, target: str | None = None, levels: int | None = None
) -> Split:
    """All samples of a lake that fits into memory, which has labels.

    Samples are named by the column `key`, where there is one, else FILE:ROW.

    Args:
        target: column of labels; by default `y`.
        levels: the integer that means 1. By default that of the schema; where it has none, 255,
            unless the pixels of a row group leave it open.

    Raises:
        FileNotFoundError, ValueError, ImportError: as `parts` and `read_part`; no labels.
    """
    target, key = columns_aside(schema, target, None)
    filled = [part for part in parts(path) if part.rows]
    if schema.box is None and len(schema.input_shape) == 3:
        if levels is None and schema.levels == 1:
            for part in filled:
                refuse_dark_part(part, schema)
        schema = replace(schema, levels=levels or (255 if schema.levels == 1 else schema.levels))
    elif levels is not None:
        raise ValueError(f"levels={levels} is for pixels, the network takes none")
    read = [read_part(part, schema, target=target, key=key) for part in filled]
    labels = [rows.labels for rows in read if rows.labels is not None]
    if not read or len(labels) < len(read):
        raise ValueError(f"{path}: no rows" if not read else f"{path}: no column {target or 'y'!r}")
    names: list[str] = []
    root = Path(path).absolute()
    for part, rows in zip(filled, read, strict=True):
        keys = [None] * part.rows if rows.keys is None else rows.keys.to_pylist()
        file = Path(part.file).relative_to(root).as_posix() if root.is_dir() else root.name
        names += [f"{file}:{part.first + i}" if k is None else str(k) for i, k in enumerate(keys)]
    return Split(
        np.concatenate([rows.inputs for rows in read]),
        np.concatenate(labels),
        box=schema.box,
        layout={1: "ND", 2: "NCT", 3: "NCHW"}[len(schema.input_shape)],  # type: ignore[arg-type]
        names=names,
    )


def refuse_dark(most: int | None, part: Part | None = None) -> None:
    """Refuse pixels of which nobody knows whether the largest one is white or dark.

    A file of another scale than the rest would be taken for black images, which are certified well.

    Args:
        most: the largest integer of those that are read at once, as `largest_integer` gives it.
        part: the row group that they are, for the message.

    Raises:
        ValueError: it lies below 128; names the row group.
    """
    try:
        refuse_open_levels(most or 0, "pass levels={0} (--levels {0})", "pass")
    except ValueError as error:
        if part is None:
            raise
        raise ValueError(f"{part.file}: row group {part.group}: {error}") from None


def refuse_dark_part(part: Part, schema: Schema) -> None:
    """`refuse_dark` of a whole row group, of which only the column `x` is read.

    Raises:
        FileNotFoundError, ValueError: as `part_tables` and `refuse_dark`.
    """
    if schema.feature_names or schema.box is not None:
        return  # no pixels
    found = [largest_integer(table, schema) for table in part_tables(part, ["x"], 4096)]
    refuse_dark(max((one for one in found if one is not None), default=None), part)


def refuse_twice(have: Sequence[str], wanted: Sequence[str | None], file: str = "") -> None:
    """Refuse two columns of one name, if it is wanted.

    Raises:
        ValueError: names the column, and the file.
    """
    if twice := [name for name in wanted if name is not None and have.count(name) > 1]:
        raise ValueError(f"{file}: ".lstrip(": ") + f"two columns have the name {twice[0]!r}")


def _samples(column: Any, schema: Schema, first: int) -> np.ndarray:
    """The column `x` as an array [n, values of a sample]."""
    import pyarrow
    from pyarrow import compute, types

    if types.is_struct(column.type):
        fields = [column.type.field(i).name for i in range(column.type.num_fields)]
        if "bytes" not in fields:
            raise ValueError(f"column 'x' is {column.type}; expected a field 'bytes' in it")
        column = compute.struct_field(column, "bytes")
    missing = np.flatnonzero(column.is_null().to_numpy())
    if len(missing):
        raise ValueError(f"row {first + int(missing[0])}: x is missing")
    if types.is_binary(column.type) or types.is_large_binary(column.type):
        return _pictures(column, schema, first)
    size = int(np.prod(schema.input_shape))
    kind = column.type
    if not _is_list(kind):
        raise ValueError(f"column 'x' is {kind}; expected lists of numbers, or binary images")
    # Of a part, without the rows of the chunk that a slice hides.
    flat = column.combine_chunks()
    flat = flat.combine_chunks() if isinstance(flat, pyarrow.ChunkedArray) else flat
    count = len(flat)
    shape: list[int] = []
    while _is_list(flat.type):
        if types.is_fixed_size_list(flat.type):
            shape.append(flat.type.list_size)
        else:
            lengths = compute.list_value_length(flat).fill_null(-1).to_numpy(zero_copy_only=False)
            odd = np.flatnonzero(lengths != lengths[:1])
            if len(odd):
                row = first + int(odd[0]) * count // len(flat)
                raise ValueError(
                    f"row {row}: x has a list of {lengths[odd[0]]} values where row {first} has "
                    f"{lengths[0]}"
                )
            shape += [int(length) for length in lengths[:1]]
        flat = flat.flatten()
    wanted = schema.input_shape
    # Lists that lie otherwise, channels last for one, can have as many values.
    if count and len(shape) > 1 and tuple(shape) not in (wanted, wanted[wanted[0] == 1 :]):
        raise ValueError(
            f"row {first}: x has lists of shape {shape}, the network takes {list(wanted)}: nest "
            "them so, or give one flat list in that order"
        )
    if len(flat) != count * size:
        got = len(flat) // max(1, count)
        raise ValueError(f"x has {got} values a row, the network takes {list(schema.input_shape)}")
    if not (types.is_integer(flat.type) or types.is_floating(flat.type)):
        raise ValueError(f"column 'x' has lists of {flat.type}; expected numbers")
    if flat.null_count:
        row = int(np.flatnonzero(flat.is_null().to_numpy(zero_copy_only=False))[0]) // size
        raise ValueError(f"row {first + row}: a value of x is missing")
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(count, size)


def _pictures(column: Any, schema: Schema, first: int) -> np.ndarray:
    if len(schema.input_shape) != 3 or schema.levels != 255:
        raise ValueError(
            f"column 'x' has binary images, the network takes {list(schema.input_shape)} with "
            f"{schema.levels} levels"
        )
    channels, height, width = schema.input_shape
    if channels not in (1, 3):
        raise ValueError(f"column 'x' has binary images, the network takes {channels} channels")
    out = np.empty((len(column), *schema.input_shape), np.uint8)
    for row, value in enumerate(column):
        name = f"row {first + row}"
        out[row] = read_image(
            io.BytesIO(value.as_py()), None, (channels, height, width), name, True
        )
    return out


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    # `is_nested` did not know lists of a fixed size in pyarrow 15.
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _open(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise ImportError(
            f"{path}: Parquet needs pyarrow: pip install 'sortnet[tables]'", name="pyarrow"
        ) from None
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        # Checksums are verified where the writer left some.
        return parquet.ParquetFile(path, page_checksum_verification=True)
    except Exception as error:
        raise ValueError(f"{path}: not a readable Parquet file ({_line(error)})") from None


def _table(batch: Any) -> Any:
    import pyarrow

    return pyarrow.Table.from_batches([batch])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
