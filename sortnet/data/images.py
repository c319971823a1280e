"""Image files that are decoded when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp", ".tif", ".tiff")


class ImageFiles:
    """Image files decoded when asked for; indexed like an array uint8 [N, C, H, W].

    Args:
        paths: the N files.
        shape: (C, H, W) that every image must have; C is 1 (grey) or 3 (RGB), other modes are
            converted.

    Raises:
        ValueError: on indexing, if a file is no image or has another size; names the file.
    """

    def __init__(self, paths: Sequence[Path], shape: tuple[int, int, int]) -> None:
        self.paths = list(paths)
        self.image_shape = shape

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return (len(self.paths), *self.image_shape)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        chosen = (
            self.paths[index]
            if isinstance(index, slice)
            else [self.paths[i] for i in np.asarray(index)]
        )
        out = np.empty((len(chosen), *self.image_shape), np.uint8)

        def decode(job: tuple[int, Path]) -> None:
            out[job[0]] = _decode(job[1], self.image_shape)

        # Decoding releases the interpreter lock, so two threads use two cores.
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(decode, enumerate(chosen)))
        return out


def image_shape(path: Path) -> tuple[int, int, int]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            grey = image.mode in ("1", "L", "I", "I;16", "F", "LA")
            return (1 if grey else 3, image.height, image.width)
    except (OSError, UnidentifiedImageError):
        raise ValueError(f"{path}: not a readable image") from None


def _decode(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L" if shape[0] == 1 else "RGB"))
    except (OSError, UnidentifiedImageError):
        raise ValueError(f"{path}: not a readable image") from None
    if pixels.shape[:2] != shape[1:]:
        raise ValueError(
            f"{path}: size {pixels.shape[1]}x{pixels.shape[0]}, but the first image has "
            f"{shape[2]}x{shape[1]}; all images must have one size"
        )
    return pixels[None] if shape[0] == 1 else pixels.transpose(2, 0, 1)
