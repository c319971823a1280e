"""A certifier that travels to other processes: a file's path, its hash and options."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from sortnet.base.units import MAX_UNITS_OF_RADIUS, parse_eps
from sortnet.data.lake import largest_integer, refuse_dark, refuse_twice, rows_of
from sortnet.data.schema import Schema

from ..schema import schema_of
from ..session import BoolArray, CertifiedSession, FloatArray, Prediction, reopen
from ..wire import RefusedError, read_bytes

_LEFT_BEHIND: list[CertifiedSession] = []
"""Sessions of a parent process: freeing them in its child would wait for threads that it lacks."""


class BatchCertifier:
    """Labels and certificates of batches, in whatever process it is called.

    Pickled, copied or forked it is a path and a hash: each process opens its session at the first
    call, verifies the file again and refuses another one. Needs pyarrow (extra `tables`).

    Args:
        path: an exported classifier, which every process must find there.
        eps: one radius or several, in input units, as for `CertifiedSession.certify`.
        threads: of one process; one for each is right where processes share a machine.
        providers, library: as for `CertifiedSession`.
        levels: the integer that means 1 in a column `x` of integers; by default 255, where one of
            128 and above is among them.
        strict: raise on a row that cannot be certified, instead of saying so in its row.

    Attributes:
        sha256: hash of the file when this was made.
        eps: the radii as text, in the order given. levels: with the default filled in.
        levels_given: whether they were said.

    Raises:
        OSError, ValueError: the file cannot be read, a bad eps, or threads below 1.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        eps: str | float | Fraction | Sequence[str | float | Fraction],
        threads: int | None = 1,
        *,
        providers: str | Sequence[str] | None = None,
        library: bool = True,
        levels: int | None = None,
        strict: bool = False,
    ) -> None:
        several: list[str | float | Fraction] = (
            [eps] if isinstance(eps, str | float | int | Fraction | np.number) else list(eps)
        )
        self.eps = tuple(dict.fromkeys(str(one) for one in several))
        if not self.eps:
            raise ValueError("expected at least one radius")
        for one in several:
            parse_eps(one, MAX_UNITS_OF_RADIUS)
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        self.levels_given = levels is not None
        levels = 255 if levels is None else levels
        if not 1 <= levels <= 255:
            raise ValueError(f"levels must lie in 1..255, got {levels}")
        try:
            self.sha256 = hashlib.sha256(read_bytes(path)).hexdigest()
        except RefusedError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from None
        self.path = os.path.abspath(path)
        self.threads, self.library, self.levels, self.strict = threads, library, levels, strict
        self.providers = (
            providers if providers is None or isinstance(providers, str) else [*providers]
        )
        self._opened: tuple[int, CertifiedSession] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    @property
    def session(self) -> CertifiedSession:
        """The session of this process, opened when first asked for.

        Raises:
            NotProvedError: the file does not prove its certificates, or is another one than when
                this was made. And what `CertifiedSession` raises.
        """
        # Without a lock, which a fork could leave locked: two threads may both open one.
        if self._opened is not None and self._opened[0] == os.getpid():
            return self._opened[1]
        if self._opened is not None:
            _LEFT_BEHIND.append(self._opened[1])
        session = reopen(self.path, self.sha256, self.providers, self.library, self.threads)
        if session.network.regression:
            raise ValueError(f"{self.path} is a regression, which has no labels to certify")
        self._opened = (os.getpid(), session)
        return session

    @property
    def schema(self) -> Schema:
        """How columns become inputs of the network."""
        return schema_of(self.session, self.levels)

    def __call__(self, batch: Any, first: int = 0, *, look: bool = True) -> Any:
        """Certify a batch of N rows.

        Args:
            batch: an Arrow table, or a mapping of columns to arrays [N, ...]. It has the input: a
                column for each feature that the file names; else `x`, in Arrow as
                `sortnet.data.lake.rows_of` says, as an array float or uint8 [N, *shape], [N, D],
                or N binary images.
            first: number of the first row, for messages.
            look: whether integers that are all below 128 are refused until `levels` says what is
                white; False where the caller looks at more rows than these.

        Returns:
            The same kind: the other columns as they were, then `label` int64, `radius` float32, for
            each eps `certified@EPS` bool, `error` text or null, `model_sha256`. A row that cannot
            be certified (NaN, out of the box, no image, ...) has label -1, radius 0, no flag, and
            its `error` says why.

        Raises:
            ValueError: columns missing or of other types; integers that leave open which of them
                is white; with `strict`, the first bad row.
            NotProvedError, OSError: as `session`.
        """
        import pyarrow

        schema = self.schema
        inputs = schema.feature_names or ("x",)
        arrow = isinstance(batch, pyarrow.Table)
        if not arrow and not isinstance(batch, Mapping):
            raise ValueError(
                f"expected an Arrow table or a dict of arrays, got {type(batch).__name__}"
            )
        if arrow:
            refuse_twice(batch.column_names, inputs)
        others = [name for name in (batch.column_names if arrow else batch) if name not in inputs]
        table = (
            batch.select([n for n in batch.column_names if n in inputs])
            if arrow
            else _as_table(batch, inputs, schema)
        )
        if look and not self.levels_given:
            refuse_dark(largest_integer(table, schema))
        found = self._columns(table, schema, first)
        if taken := [name for name in found if name in others]:
            raise ValueError(f"the batch has a column {taken[0]!r} already")
        if not arrow:
            return {**{name: batch[name] for name in others}, **found}
        kinds = dict.fromkeys(("error", "model_sha256"), pyarrow.string())
        # By place: columns that do not matter may share a name.
        out = batch.select([i for i, name in enumerate(batch.column_names) if name not in inputs])
        for name, values in found.items():
            values = values.tolist() if values.dtype == object else values
            out = out.append_column(name, pyarrow.array(values, kinds.get(name)))
        return out

    def _columns(self, table: Any, schema: Schema, first: int) -> dict[str, np.ndarray]:
        rows_of(table.slice(0, 0), schema, target=None, key=None)  # columns, before any row
        size = table.num_rows
        label, radius = np.full(size, -1, np.int64), np.zeros(size, np.float32)
        certified = {eps: np.zeros(size, np.bool_) for eps in self.eps}
        errors = np.full(size, None, object)
        for start, stop, found in _good_ranges(table, schema, first):
            part = slice(start, stop)
            if isinstance(found, str):
                if self.strict:
                    raise ValueError(found)
                errors[part] = found
                continue
            prediction = self.session.predict(found)
            label[part], radius[part] = prediction.label, prediction.radius
            for eps, flags in self._flags(found, prediction).items():
                certified[eps][part] = flags
        hashes = np.full(size, self.sha256, object)
        named = {f"certified@{eps}": values for eps, values in certified.items()}
        return {"label": label, "radius": radius, **named, "error": errors, "model_sha256": hashes}

    def _flags(self, x: FloatArray, prediction: Prediction) -> dict[str, np.ndarray]:
        """Whether each row is certified at each eps; at one radius is at every smaller one."""
        proved: BoolArray = np.zeros(len(x), np.bool_)
        flags = {}
        for eps in sorted(self.eps, key=lambda e: parse_eps(e, MAX_UNITS_OF_RADIUS), reverse=True):
            rest = np.flatnonzero(~proved)
            if len(rest) == len(x):
                proved = self.session.certify(x, eps, prediction)
            elif len(rest):
                some = Prediction(
                    prediction.label[rest], prediction.radius[rest], prediction.logits[rest]
                )
                proved[rest] = self.session.certify(x[rest], eps, some)
            flags[eps] = proved.copy()
        return flags


def _good_ranges(
    table: Any, schema: Schema, first: int
) -> Iterator[tuple[int, int, FloatArray | str]]:
    """(start, stop, inputs) of rows that can be read, (row, row + 1, reason) of the others.

    A batch that is refused is halved until the rows are found: few are bad, where any is.
    """
    todo = [(0, table.num_rows)]
    while todo:
        start, stop = todo.pop()
        if start == stop:
            continue
        try:
            rows = rows_of(
                table.slice(start, stop - start), schema, target=None, key=None, first=first + start
            )
        except ValueError as error:
            if stop - start == 1:
                yield start, stop, str(error)
            else:
                middle = (start + stop) // 2
                todo += [(middle, stop), (start, middle)]
            continue
        yield start, stop, rows.inputs


def _as_table(batch: Mapping[str, Any], inputs: Sequence[str], schema: Schema) -> Any:
    """The columns of the input as an Arrow table; numbers are not copied."""
    import pyarrow

    columns: dict[str, Any] = {}
    for name in inputs:
        if name not in batch:
            continue  # said by `rows_of`
        values = np.asarray(batch[name])
        if name != "x" or values.dtype == object or values.ndim < 2:
            columns[name] = pyarrow.array(values.tolist() if values.dtype == object else values)
            continue
        size = int(np.prod(schema.input_shape))
        if values.shape[1:] not in (schema.input_shape, (size,)):
            wanted = ", ".join(map(str, schema.input_shape))
            raise ValueError(f"x is {list(values.shape)}, expected [N, {wanted}]")
        flat = pyarrow.array(np.ascontiguousarray(values).reshape(-1))
        columns[name] = pyarrow.FixedSizeListArray.from_arrays(flat, size)
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError("the columns have different numbers of rows")
    return pyarrow.table(columns)
