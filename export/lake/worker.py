"""What every engine does with a row group: read, certify, write one file whole or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sortnet.base.files import atomic_write
from sortnet.data.convert import encode_labels
from sortnet.data.lake import largest_integer, part_tables, refuse_dark, refuse_dark_part
from sortnet.data.schema import Schema
from sortnet.data.tables import column_target

from .certifier import BatchCertifier
from .plan import FOOTER, Task

_BYTES = 2**25
"""Of the float32 inputs that are read at a time, about."""
_ROWS = 4096
NAMED = 20
"""Bad rows that are named in counts; all are in the results."""


class JobError(RuntimeError):
    """Why a job cannot go on: a full disk, another model file."""


@dataclass(frozen=True)
class Outcome:
    """Of a task: done, or why its row group was left out, or why the job cannot go on."""

    task: int
    failed: str = ""
    fatal: str = ""


@dataclass
class Worker:
    """Picklable; what each engine calls in its processes.

    Args:
        certifier: with the job's file and radii.
        target, key: names of the columns of labels and keys, which may be missing; None where the
            usual name is a feature's.
    """

    certifier: BatchCertifier
    target: str | None = "y"
    key: str | None = "key"

    def __call__(self, number: int, task: Task) -> Outcome:
        """Certify a row group, where it is not done; never raises for what the data holds."""
        import pyarrow

        # A pool of threads for each process would be one for each core.
        pyarrow.set_cpu_count(1)
        try:
            self.certifier.session  # noqa: B018  what stands in its way stands in that of all
        except (ValueError, OSError, RuntimeError) as error:
            return Outcome(number, fatal=str(error))
        try:
            if task.done() is None:
                table, counts = self._certified(task)
                self._write(table, counts, task)
        except (ImportError, JobError) as error:
            return Outcome(number, fatal=str(error))
        except (ValueError, FileNotFoundError) as error:
            return Outcome(number, failed=str(error))
        except OSError as error:
            return Outcome(number, failed=f"{task.part.file}: {error.strerror or error}")
        return Outcome(number)

    def first_rows(self, task: Task, rows: int = 256) -> Any:
        """The results of the first rows of a row group, to see whether anything fits.

        Raises:
            ValueError: as `BatchCertifier`; all integers of the row group leave open which of them
                is white.
        """
        schema = self.certifier.schema
        if not self.certifier.levels_given:
            refuse_dark_part(task.part, schema)
        for table in part_tables(task.part, self._wanted(schema), rows):
            inputs = table.select(self._inputs(table))
            return self.certifier(inputs, task.part.first, look=False)
        return None

    def _wanted(self, schema: Schema) -> list[str]:
        aside = [name for name in (self.target, self.key) if name is not None]
        return [*(schema.feature_names or ("x",)), *aside]

    def _inputs(self, table: Any) -> list[str]:
        names = self.certifier.schema.feature_names or ("x",)
        return [name for name in names if name in table.column_names]

    def _certified(self, task: Task) -> tuple[Any, dict[str, Any]]:
        """The results of a row group, and what they count."""
        import pyarrow

        schema = self.certifier.schema
        size = int(np.prod(schema.input_shape))
        rows = max(1, min(_ROWS, _BYTES // (4 * size)))
        first, tables, most = task.part.first, [], 0
        counts: dict[str, Any] = {
            **{"stamp": task.stamp, "rows": 0, "errors": 0, "named": [], "labelled": 0},
            **{"right": 0, "certified": dict.fromkeys(self.certifier.eps, 0)},
            "certified_right": dict.fromkeys(self.certifier.eps, 0),
        }
        for table in part_tables(task.part, self._wanted(schema), rows):
            found = self.certifier(table.select(self._inputs(table)), first, look=False)
            if not self.certifier.levels_given:
                most = max(most, largest_integer(table, schema) or 0)
            truth, wrong = self._truths(table, schema, first)
            errors = [
                own or label for own, label in zip(found["error"].to_pylist(), wrong, strict=True)
            ]
            size = table.num_rows
            files = pyarrow.array([task.file] * size, pyarrow.string())
            columns = {"file": files.dictionary_encode()}
            columns["row"] = pyarrow.array(np.arange(first, first + size))
            for shown, name in (("key", self.key), ("y", self.target)):
                if name is not None and name in table.column_names:
                    columns[shown] = table.column(name)
            columns |= {name: found.column(name) for name in found.column_names}
            columns["error"] = pyarrow.array(errors, pyarrow.string())
            columns["model_sha256"] = found.column("model_sha256").dictionary_encode()
            tables.append(pyarrow.table(columns))
            _count(counts, found, truth, errors, first)
            first += size
        if not self.certifier.levels_given:
            refuse_dark(most, task.part)
        return pyarrow.concat_tables(tables).unify_dictionaries(), counts

    def _truths(
        self, table: Any, schema: Schema, first: int
    ) -> tuple[np.ndarray, list[str | None]]:
        """Labels int64 [n], -2 where there is none, and for each row what is wrong with its own."""
        size = table.num_rows
        truth = np.full(size, -2, np.int64)
        reasons: list[str | None] = [None] * size
        if self.target is None or self.target not in table.column_names:
            return truth, reasons
        todo = [(0, size)]
        while todo:
            start, stop = todo.pop()
            column = table.column(self.target).slice(start, stop - start)
            try:
                values = column_target(column, self.target, first + start)
                truth[start:stop] = encode_labels(values, schema.labels)[0]
            except ValueError as error:
                if stop - start == 1:
                    reasons[start] = f"no truth: row {first + start}: {error}"
                elif stop > start:
                    todo += [((start + stop) // 2, stop), (start, (start + stop) // 2)]
        return truth, reasons

    def _write(self, table: Any, counts: dict[str, Any], task: Task) -> None:
        from pyarrow import parquet

        metadata = {FOOTER: json.dumps(counts).encode()}
        path = Path(task.out)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                parquet.write_table(table.replace_schema_metadata(metadata), temporary)
        except OSError as error:
            reason = error.strerror or str(error)
            raise JobError(f"cannot write {path}: {' '.join(reason.split())[:200]}") from None


def _count(
    counts: dict[str, Any], found: Any, truth: np.ndarray, errors: list[str | None], first: int
) -> None:
    bad = [row for row, error in enumerate(errors) if error]
    counts["rows"] += len(errors)
    counts["errors"] += len(bad)
    room = NAMED - len(counts["named"])
    counts["named"] += [[first + row, errors[row]] for row in bad[:room]]
    right = found["label"].to_numpy() == truth
    counts["labelled"] += int((truth != -2).sum())
    counts["right"] += int(right.sum())
    for eps in counts["certified"]:
        flags = found[f"certified@{eps}"].to_numpy()
        counts["certified"][eps] += int(flags.sum())
        counts["certified_right"][eps] += int((flags & right).sum())
