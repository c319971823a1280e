"""CIFAR-10 and CIFAR-100."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from .split import DataSet, Split


def load_cifar(name: str, classes: int) -> Callable[[Path], DataSet]:
    """CIFAR's binary version (read here), or its python version (torchvision checks the MD5)."""
    train = [f"data_batch_{i}.bin" for i in range(1, 6)] if classes == 10 else ["train.bin"]
    test = ["test_batch.bin"] if classes == 10 else ["test.bin"]
    binary = "cifar-10-batches-bin" if classes == 10 else "cifar-100-binary"
    python = "cifar-10-batches-py" if classes == 10 else "cifar-100-python"
    label_bytes = 1 if classes == 10 else 2  # CIFAR-100 puts the coarse label first

    def read(folder: Path, files: list[str]) -> Split:
        records = []
        for file in files:
            if not (folder / file).is_file():
                raise FileNotFoundError(f"{name}: {folder / file} is missing")
            raw = np.fromfile(folder / file, np.uint8)
            if raw.size == 0 or raw.size % (3072 + label_bytes):
                raise ValueError(
                    f"{folder / file}: size {raw.size} is no multiple of {3072 + label_bytes}: "
                    "truncated, or not CIFAR's binary version"
                )
            records.append(raw.reshape(-1, 3072 + label_bytes))
        table = np.concatenate(records)
        labels = table[:, label_bytes - 1].astype(np.int64)
        if labels.max() >= classes:
            raise ValueError(f"{folder}: label {labels.max()} is not below {classes}")
        return Split(table[:, label_bytes:].reshape(-1, 3, 32, 32), labels, layout="NCHW")

    def loader(root: Path) -> DataSet:
        for folder in (root / binary, root):
            if (folder / train[0]).is_file():
                return DataSet(name, read(folder, train), read(folder, test), classes)
        if not (root / python).is_dir():
            raise FileNotFoundError(
                f"{name}: neither {binary}/ nor {python}/ found in {root} "
                "(sortnet train --download fetches the latter)"
            )
        return _torchvision_cifar(name, root, classes)

    return loader


def _torchvision_cifar(name: str, root: Path, classes: int) -> DataSet:
    from torchvision import datasets

    kind = datasets.CIFAR10 if classes == 10 else datasets.CIFAR100
    splits = []
    for train in (True, False):
        try:
            part = kind(str(root), train=train, download=False)
        except RuntimeError:
            raise ValueError(
                f"{name}: the files in {root / kind.base_folder} are missing or damaged "
                "(their MD5 sums do not match)"
            ) from None
        splits.append(Split(part.data, part.targets, layout="NHWC"))
    return DataSet(name, splits[0], splits[1], classes)
