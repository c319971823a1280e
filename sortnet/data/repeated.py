"""Test samples that are training samples too: they tell nothing about unseen ones."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from .fingerprint import value_bytes
from .split import DataSet


def count_repeated(data: DataSet) -> int:
    """How many test samples have the very values of some training sample, whatever their labels.

    Of images too many to be held in memory it is 0: they are not read for it.
    """
    train, test = data.train.inputs, data.test.inputs
    if not (isinstance(train, np.ndarray) and isinstance(test, np.ndarray)):
        return 0
    known = {_digest(row) for row in train}  # not the rows: they may fill half of the memory
    return sum(_digest(row) in known for row in test)


def _digest(row: np.ndarray) -> bytes:
    return hashlib.blake2b(value_bytes(row), digest_size=16).digest()


def with_repeated_noted(data: DataSet) -> DataSet:
    """The data set, with a note if some test samples are training samples too."""
    count = count_repeated(data)
    if not count:
        return data
    note = (
        f"{count} of {len(data.test)} test samples have the values of training samples: results "
        "say less about unseen ones"
    )
    return replace(data, notes=(*data.notes, note))
