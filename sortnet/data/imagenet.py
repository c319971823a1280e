"""Tiny ImageNet and ImageNet 64 x 64."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from .arrays import read_npz
from .convert import as_labels
from .folder import from_files, image_paths, load_folder, refuse_empty_classes
from .split import DataSet, Split


def load_tinyimagenet(root: Path) -> DataSet:
    """As published, or with `val` already sorted into class folders like `train`."""
    if (root / "tiny-imagenet-200").is_dir():
        root = root / "tiny-imagenet-200"
    if (root / "train").is_dir() and not (root / "val" / "images").is_dir():
        return load_folder("tinyimagenet", root, colour="rgb")  # some of its files are grey
    for needed in ("wnids.txt", "train", "val/images", "val/val_annotations.txt"):
        if not (root / needed).exists():
            raise FileNotFoundError(
                f"tinyimagenet: {root / needed} is missing; expected wnids.txt, "
                "train/WNID/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt"
            )
    wnids = sorted(_read_text(root / "wnids.txt").split())
    number = {wnid: label for label, wnid in enumerate(wnids)}
    if len(number) < len(wnids):
        raise ValueError(f"{root / 'wnids.txt'}: a class is named twice")
    train = []
    for wnid in wnids:
        folder = root / "train" / wnid
        folder = folder / "images" if (folder / "images").is_dir() else folder
        train += [(path, number[wnid]) for path in image_paths(folder)]
    refuse_empty_classes("tinyimagenet", root / "train", wnids, train)
    annotations = root / "val" / "val_annotations.txt"
    test = []
    for row in csv.reader(_read_text(annotations).splitlines(), delimiter="\t"):
        if len(row) < 2 or row[1] not in number:
            raise ValueError(f"{annotations}: expected FILE<tab>WNID<tab>..., got {row!r}")
        test.append((root / "val" / "images" / row[0], number[row[1]]))
    return from_files("tinyimagenet", root, train, test, wnids, "rgb")


def _read_text(path: Path) -> str:
    """Text as UTF-8, with or without the mark that some editors put first."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file in UTF-8") from None


def load_imagenet64(root: Path) -> DataSet:
    """The npz release (`train_data_batch_1..10.npz`, `val_data.npz`) or folders of classes."""
    parts = [root / f"train_data_batch_{i}.npz" for i in range(1, 11)]
    if not parts[0].is_file():
        return load_folder("imagenet64", root, colour="rgb")
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
            labels.append(as_labels(y) - 1)  # the release counts from 1
        return Split(np.concatenate(images), np.concatenate(labels), layout="NCHW")

    train, test = read(parts), read([root / "val_data.npz"])
    return DataSet("imagenet64", train, test, _class_count(train, test))


def _class_count(train: Split, test: Split) -> int:
    lowest = min(train.labels.min(), test.labels.min())
    if lowest < 0:
        raise ValueError(f"labels must be >= 0, got {lowest}")
    return int(max(train.labels.max(), test.labels.max())) + 1
