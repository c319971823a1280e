"""MNIST and Fashion-MNIST: four idx files."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
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
            splits.append(Split(images[:, None], labels.astype(np.int64)))
        return DataSet(name, splits[0], splits[1], 10)

    return loader


def _read_idx(path: Path) -> np.ndarray:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise ValueError(f"{path}: not a readable gzip file ({error})") from None
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: not an idx file of unsigned bytes")
    header = 4 + 4 * raw[3]
    shape = struct.unpack(f">{raw[3]}I", raw[4:header]) if len(raw) >= header else ()
    if not shape or len(raw) != header + int(np.prod(shape)):
        raise ValueError(f"{path}: truncated idx file")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)
