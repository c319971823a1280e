"""Which rows a data set has, in a few bytes: whether it is still the one that was trained on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from .images import ImageFiles
from .split import DataSet, Split

CHUNK = 4096  # samples hashed at a time


@dataclass(frozen=True)
class Fingerprint:
    """Of one split.

    Attributes:
        rows: number of samples.
        sha256: of values and labels in their order, as hexadecimal digits.
    """

    rows: int
    sha256: str


@dataclass(frozen=True)
class DataRows:
    """Of both splits of a data set.

    Attributes:
        parted: whether the splits were made of one, so that each depends on all rows
            (`DataSet.parted`).
        train, test: the splits.
    """

    parted: bool
    train: Fingerprint
    test: Fingerprint

    @classmethod
    def of(cls, data: DataSet) -> DataRows:
        """Those of `data`."""
        return cls(data.parted, fingerprint(data.train), fingerprint(data.test))

    def difference(self, now: DataRows, test: bool) -> str | None:
        """What tells `now` from these, in words; None where nothing does.

        Args:
            test: compare the test splits too.
        """
        pairs = [("training", self.train, now.train)]
        pairs += [("test", self.test, now.test)] if test else []
        said = []
        for name, old, new in pairs:
            if old.rows != new.rows:
                said.append(f"{old.rows} {name} samples then, {new.rows} now")
            elif old != new:
                said.append(f"{old.rows} {name} samples of other values, labels or order")
        return "; ".join(said) or None


def fingerprint(split: Split) -> Fingerprint:
    """The fingerprint of a split: the same on every machine and wherever its files lie.

    Values are hashed as they are kept, little endian: bytes with their levels, or float32, -0.0 as
    0.0. Of images too many to be held in memory, the files' bytes are.

    Raises:
        OSError: an image file cannot be read.
    """
    inputs, labels = split.inputs, split.labels
    kind = "files" if isinstance(inputs, ImageFiles) else inputs.dtype.name
    head = [kind, list(inputs.shape), split.levels, labels.dtype.name]
    found = hashlib.sha256(json.dumps(head).encode())
    if isinstance(inputs, ImageFiles):
        for path in inputs.paths:
            content = path.read_bytes()
            found.update(len(content).to_bytes(8, "little"))
            found.update(content)
    else:
        for start in range(0, len(inputs), CHUNK):
            found.update(value_bytes(inputs[start : start + CHUNK]))
    found.update(value_bytes(labels))
    return Fingerprint(len(split), found.hexdigest())


def value_bytes(array: np.ndarray) -> memoryview:
    """Its values, little endian: equal ones have equal bytes."""
    if array.dtype.kind == "f":
        array = array + array.dtype.type(0)  # -0.0 equals 0.0
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return plain.reshape(-1).view(np.uint8).data
