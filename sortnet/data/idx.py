"""MNIST and Fashion-MNIST: four idx files."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Callable
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from .split import DataSet, Split


def load_idx_set(name: str, folder_name: str) -> Callable[[Path], DataSet]:
    """MNIST's format: four idx files, plain or gzipped, in the folder or torchvision's place."""

    def loader(root: Path) -> DataSet:
        places = (root, root / folder_name / "raw", root / "raw")
        stems = (
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte",
        )
        arrays = []
        for stem in stems:
            found = [p / f for p in places for f in (stem, stem + ".gz") if (p / f).is_file()]
            if not found:
                raise FileNotFoundError(
                    f"{name}: {stem}[.gz] not found in {root} or {places[1]}; expected the four "
                    f"files {', '.join(stems)}, plain or .gz"
                )
            arrays.append(_read_idx(found[0]))
        splits = []
        for images, labels in (arrays[:2], arrays[2:]):
            if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
                raise ValueError(
                    f"{name}: {root} holds images {list(images.shape)} and labels "
                    f"{list(labels.shape)}; expected [N, H, W] and [N]"
                )
            splits.append(Split(images, labels, layout="NHW"))
        return DataSet(name, splits[0], splits[1], 10)

    return loader


def _read_idx(path: Path) -> np.ndarray:
    """A file of unsigned bytes; never more of it is unpacked than its header declares."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4)
            if head[:3] != b"\0\0\x08" or len(head) < 4:
                raise ValueError(f"{path}: not an idx file of unsigned bytes")
            sizes = file.read(4 * head[3])
            if not head[3] or len(sizes) < 4 * head[3]:
                raise ValueError(f"{path}: truncated idx file")
            shape = struct.unpack(f">{head[3]}I", sizes)
            count = math.prod(shape)  # of Python's integers: no overflow
            raw = _at_most(file, count + 1)
    except (OSError, EOFError, zlib.error) as error:
        kind = "gzip file" if path.suffix == ".gz" else "file"
        raise ValueError(f"{path}: not a readable {kind} ({error})") from None
    if len(raw) != count:
        problem = "truncated idx file" if len(raw) < count else "idx file with bytes left over"
        raise ValueError(f"{path}: {problem}: its header declares {' x '.join(map(str, shape))}")
    return np.frombuffer(raw, np.uint8).reshape(shape)


def _at_most(file: BufferedIOBase, count: int) -> bytes:
    """Up to `count` bytes, read in parts: a false header must not reserve memory."""
    parts = []
    while count > 0 and (part := file.read(min(count, 1 << 24))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
