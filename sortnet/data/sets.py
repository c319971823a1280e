"""Data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from .arrays import load_npz
from .cifar import load_cifar
from .folder import load_folder
from .idx import load_idx_set
from .imagenet import load_imagenet64, load_tinyimagenet
from .split import DataSet, Split

__all__ = ["NAMES", "DataSet", "Split", "load", "load_npz", "user_folder"]

NAMES = (
    "digits",
    "mnist",
    "fashion-mnist",
    "cifar10",
    "cifar100",
    "tinyimagenet",
    "imagenet64",
)
"""Names that `load` knows, beside `folder:PATH`."""

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def load(name: str, root: str | Path | None = None, download: bool = False) -> DataSet:
    """Load a data set.

    Args:
        name: one of `NAMES`, or `folder:PATH` for `PATH/train/CLASS/*` and `PATH/test/CLASS/*`
            (or `val`), all images of one size.
        root: the folder that holds the files; needed by all but digits, `folder:` and (where
            Debian's package dataset-fashion-mnist is installed) fashion-mnist.
        download: fetch MNIST, Fashion-MNIST or CIFAR into `root` with torchvision if missing.

    Raises:
        ValueError: unknown name, or files that are not what the format promises.
        FileNotFoundError: files missing; says which were expected where.
    """
    if name.startswith("folder:"):
        return load_folder(name, Path(name.removeprefix("folder:")))
    if name not in _LOADERS:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(NAMES)}, folder:PATH")
    if name == "digits":
        return _load_digits()
    if root is None:
        if name == "fashion-mnist" and DEBIAN_FASHION_MNIST.is_dir():
            root = DEBIAN_FASHION_MNIST
        else:
            raise FileNotFoundError(f"data set {name!r} needs the folder of its files: --root DIR")
    root = Path(root)
    try:
        if not root.is_dir():
            raise FileNotFoundError(f"data folder {root} does not exist")
        return _LOADERS[name](root)
    except FileNotFoundError:
        if not download:
            raise
    _download(name, root)
    return _LOADERS[name](root)


def user_folder(name: str, root: Path | None) -> Path | None:
    """The folder that `load(name, root)` reads, where the user named one."""
    return Path(name.removeprefix("folder:")) if name.startswith("folder:") else root


def _load_digits() -> DataSet:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = digits.images.astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, random_state=0, stratify=labels
    )
    whole = Split(images, labels, levels=16)
    return DataSet("digits", whole.take(np.sort(train)), whole.take(np.sort(test)), 10)


def _download(name: str, root: Path) -> None:
    from torchvision import datasets

    kinds = {
        "mnist": datasets.MNIST,
        "fashion-mnist": datasets.FashionMNIST,
        "cifar10": datasets.CIFAR10,
        "cifar100": datasets.CIFAR100,
    }
    if name not in kinds:
        raise ValueError(f"{name} cannot be downloaded here; get it from its publisher")
    try:
        kinds[name](str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise OSError(f"download of {name} into {root} failed: {error}") from None


_LOADERS: dict[str, Callable[[Path], DataSet]] = {
    "digits": lambda _: _load_digits(),
    "mnist": load_idx_set("mnist", "MNIST"),
    "fashion-mnist": load_idx_set("fashion-mnist", "FashionMNIST"),
    "cifar10": load_cifar("cifar10", 10),
    "cifar100": load_cifar("cifar100", 100),
    "tinyimagenet": load_tinyimagenet,
    "imagenet64": load_imagenet64,
}
