"""Samples from `.npz` files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from .split import Split


def load_npz(path: str | Path) -> Split:
    """Samples from an `.npz` with `x` [N, ...] (uint8, or float in [0, 1]) and `y` [N] (integers).

    Images [N, H, W] get a channel axis; other ranks stay. Float data is kept as float32.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an npz, `x` or `y` missing or of wrong kind, values outside [0, 1].
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    arrays = read_npz(path, ("x", "y"))
    x, y = arrays["x"], arrays["y"]
    if y.ndim != 1 or y.dtype.kind not in "iu" or x.ndim < 2 or len(x) != len(y):
        raise ValueError(
            f"{path}: expected x [N, ...] and integer y [N], "
            f"got x {list(x.shape)} and y {y.dtype} {list(y.shape)}"
        )
    if x.ndim == 3:
        x = x[:, None]
    # A label beyond int64 stays a label that no network has.
    labels = np.minimum(y, np.iinfo(np.int64).max).astype(np.int64)
    if x.dtype == np.uint8:
        return Split(x, labels)
    if x.dtype.kind != "f":
        raise ValueError(f"{path}: x must be uint8 or float in [0, 1], got {x.dtype}")
    if x.size and not (np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1):
        raise ValueError(f"{path}: float x must be finite, in [0, 1] (bytes 0..255 go in as uint8)")
    return Split(x.astype(np.float32), labels, levels=1)


def read_npz(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("not a zip archive")
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            missing = [n for n in names if n not in file.files]
            if missing:
                raise ValueError(f"no array {missing[0]!r} (has: {', '.join(file.files)})")
            return {n: file[n] for n in names}
    except Exception as error:  # zipfile, zlib, numpy and its parser raise a dozen kinds on damage
        raise ValueError(
            f"{path}: not a readable .npz with {' and '.join(names)}: {error}"
        ) from None
