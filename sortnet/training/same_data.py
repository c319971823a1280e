"""Whether a run's data is still what it was begun on; scores of rows trained on are no scores."""

from __future__ import annotations

import warnings
from pathlib import Path

from sortnet.data.fingerprint import DataRows
from sortnet.data.sets import DataSet

from .runs import RunConfig, RunError

_RESTORE = "bring the data back as it was"


class UnknownRowsWarning(UserWarning):
    """A run of an older version kept no fingerprint: nobody can tell whether its rows changed."""


class ChangedRowsWarning(UserWarning):
    """The training samples of a run's data changed since, though a test split is of its own."""


def check_training_rows(folder: Path, config: RunConfig, now: DataRows, name: str) -> None:
    """Refuse to train on with other rows; a test split of its own is free to differ.

    Args:
        folder, config: of the run as it was begun.
        now: of the data as it is loaded now. name: of that data.

    Raises:
        RunError: the rows differ; says how.
    """
    before = config.data_rows
    if before is None:
        warn_unknown(folder, name)
        return
    changed = before.difference(now, test=before.parted or now.parted)
    if changed is not None:
        raise RunError(
            f"{folder} was begun on other rows than {name} gives now: {changed}; {_RESTORE}, or "
            "train a new run in another --out"
        )


def check_test_rows(folder: Path, config: RunConfig, data: DataSet) -> None:
    """Refuse to score a run on its own data where rows that it was trained on may be among them.

    A test split of its own may change: whoever changed it said what is to be scored. Where its
    training split changed, rows may have gone from the one to the other: warns with
    `ChangedRowsWarning`. The splits of data that is parted here depend on every row.

    Args:
        folder, config: of the run. data: as the run uses it, loaded anew.

    Raises:
        RunError: names, classes, features or rows differ; says how.
    """
    check_schema(folder, config, data)
    before = config.data_rows
    if before is None:
        if data.parted:
            warn_unknown(folder, data.name)
        return
    parted = before.parted or data.parted
    changed = before.difference(DataRows.of(data), test=parted)
    if changed is not None and not parted:
        warnings.warn(
            f"{folder} was trained on other rows than {data.name} gives now: {changed}. Its test "
            "split is scored as it is: whether the run learned from some of it cannot be told",
            ChangedRowsWarning,
            stacklevel=2,
        )
    elif changed is not None:
        raise RunError(
            f"{folder} was trained on other rows than {data.name} gives now: {changed}. It is "
            f"parted anew at each load, so rows that were trained on would be scored: {_RESTORE}, "
            "or put rows that the run has not seen into a file of their own (--data FILE)"
        )


def check_compared_rows(folder: Path, config: RunConfig, now: DataRows, name: str) -> bool:
    """Refuse to put a run into one table with runs on other training or test rows.

    Returns:
        Whether the run keeps a fingerprint at all.

    Raises:
        RunError: the rows differ; says how.
    """
    before = config.data_rows
    changed = None if before is None else before.difference(now, test=True)
    if changed is not None:
        raise RunError(
            f"{folder} holds a run on other rows than {name} gives now: {changed}; {_RESTORE}, or "
            "give another --out"
        )
    return before is not None


def check_schema(folder: Path, config: RunConfig, data: DataSet) -> None:
    """Refuse data whose classes, features or pixels mean something else than the run's.

    The box is no part of it: it may be drawn around the test split too.

    Raises:
        RunError: names the first difference.
    """
    before, now = config.schema, data.schema
    if before is None:
        return
    for what in ("input_shape", "classes", "levels", "class_names", "feature_names"):
        old, new = getattr(before, what), getattr(now, what)
        if old != new:
            raise RunError(
                f"{folder} learned from data with {what.replace('_', ' ')} {_shown(old)}, "
                f"{data.name} has {_shown(new)} now: {_RESTORE}"
            )


def _shown(value: object) -> str:
    if value is None:
        return "unset"
    if isinstance(value, tuple):
        return ", ".join(map(str, value[:10])) + (", ..." if len(value) > 10 else "")
    return str(value)


def warn_unknown(folder: Path, name: str) -> None:
    """Say once that the rows of a run cannot be compared."""
    warnings.warn(
        f"{folder} was begun by a version that kept no fingerprint of its rows: whether {name} "
        "still parts and holds them as then cannot be told",
        UnknownRowsWarning,
        stacklevel=3,
    )
