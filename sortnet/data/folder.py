"""Folders of images, one subfolder a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .images import IMAGE_SUFFIXES, ImageFiles, image_shape
from .split import DataSet, Images, Split

MEMORY_LIMIT = 4 << 30  # image folders up to this size (bytes, decoded) are held in memory


def load_folder(name: str, root: Path) -> DataSet:
    held = next((root / n for n in ("test", "val") if (root / n).is_dir()), None)
    if not (root / "train").is_dir() or held is None:
        raise FileNotFoundError(
            f"{name}: expected {root}/train/CLASS/*.png and {root}/test/CLASS/*.png (or val/)"
        )
    classes = sorted(p.name for p in (root / "train").iterdir() if p.is_dir())
    number = {c: label for label, c in enumerate(classes)}
    strangers = sorted(p.name for p in held.iterdir() if p.is_dir() and p.name not in number)
    if strangers:
        raise ValueError(f"{name}: {held} has classes that train lacks: {', '.join(strangers)}")
    if len(classes) < 2:
        raise ValueError(f"{name}: {root / 'train'} holds {len(classes)} class folders, need >= 2")

    def listing(folder: Path) -> list[tuple[Path, int]]:
        return [(p, number[c]) for c in classes for p in image_paths(folder / c)]

    return from_files(name, listing(root / "train"), listing(held), len(classes))


def image_paths(folder: Path) -> list[Path]:
    if (folder / "images").is_dir():
        folder = folder / "images"
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def from_files(
    name: str, train: list[tuple[Path, int]], test: list[tuple[Path, int]], classes: int
) -> DataSet:
    if not train or not test:
        raise ValueError(f"{name}: found {len(train)} training and {len(test)} test images")
    shape = image_shape(train[0][0])

    def split(items: list[tuple[Path, int]]) -> Split:
        images: Images = ImageFiles([p for p, _ in items], shape)
        if len(items) * int(np.prod(shape)) <= MEMORY_LIMIT:
            images = images[:]
        return Split(images, np.asarray([label for _, label in items], np.int64))

    return DataSet(name, split(train), split(test), classes)
