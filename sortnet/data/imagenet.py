"""Tiny ImageNet and ImageNet 64 x 64."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from .arrays import read_npz
from .folder import from_files, image_paths, load_folder
from .split import DataSet, Split


def load_tinyimagenet(root: Path) -> DataSet:
    """As published, or with `val` already sorted into class folders like `train`."""
    if (root / "tiny-imagenet-200").is_dir():
        root = root / "tiny-imagenet-200"
    if (root / "train").is_dir() and not (root / "val" / "images").is_dir():
        return load_folder("tinyimagenet", root)
    for needed in ("wnids.txt", "train", "val/images", "val/val_annotations.txt"):
        if not (root / needed).exists():
            raise FileNotFoundError(
                f"tinyimagenet: {root / needed} is missing; expected wnids.txt, "
                "train/WNID/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt"
            )
    wnids = sorted((root / "wnids.txt").read_text().split())
    number = {wnid: label for label, wnid in enumerate(wnids)}
    train = [(p, number[w]) for w in wnids for p in image_paths(root / "train" / w)]
    test = []
    with open(root / "val" / "val_annotations.txt", newline="") as annotations:
        for row in csv.reader(annotations, delimiter="\t"):
            if len(row) < 2 or row[1] not in number:
                raise ValueError(f"{annotations.name}: expected FILE<tab>WNID<tab>..., got {row!r}")
            test.append((root / "val" / "images" / row[0], number[row[1]]))
    return from_files("tinyimagenet", train, test, len(wnids))


def load_imagenet64(root: Path) -> DataSet:
    """The npz release (`train_data_batch_1..10.npz`, `val_data.npz`) or folders of classes."""
    parts = [root / f"train_data_batch_{i}.npz" for i in range(1, 11)]
    if not parts[0].is_file():
        return load_folder("imagenet64", root)
    missing = [p.name for p in (*parts, root / "val_data.npz") if not p.is_file()]
    if missing:
        raise FileNotFoundError(f"imagenet64: {root} lacks {', '.join(missing)}")

    def read(files: list[Path]) -> Split:
        images, labels = [], []
        for file in files:
            arrays = read_npz(file, ("data", "labels"))
            data, y = arrays["data"], arrays["labels"]
            if data.dtype != np.uint8 or data.shape != (len(y), 3 * 64 * 64):
                raise ValueError(
                    f"{file}: expected uint8 data [N, 12288], got {data.dtype} {data.shape}"
                )
            images.append(data.reshape(-1, 3, 64, 64))
            labels.append(np.asarray(y, np.int64) - 1)  # the release counts from 1
        return Split(np.concatenate(images), np.concatenate(labels))

    train, test = read(parts), read([root / "val_data.npz"])
    return DataSet("imagenet64", train, test, _class_count(train, test))


def _class_count(train: Split, test: Split) -> int:
    lowest = min(train.labels.min(), test.labels.min())
    if lowest < 0:
        raise ValueError(f"labels must be >= 0, got {lowest}")
    return int(max(train.labels.max(), test.labels.max())) + 1
