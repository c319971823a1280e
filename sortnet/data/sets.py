"""Data sets as integer pixels, loaded with numpy alone wherever the format allows it.

A pixel is an unsigned byte `v`; the networks see `v / levels` in [0, 1] (levels is 255, but 16
for scikit-learn's digits), so an epsilon of 0.1 is a tenth of the range from black to white.
"""

from __future__ import annotations

import csv
import gzip
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

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
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp", ".tif", ".tiff")
MEMORY_LIMIT = 4 << 30  # image folders up to this size (bytes, decoded) are held in memory


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


Images = np.ndarray | ImageFiles


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, C, H, W] (pixel value v means v / levels) with labels int64 [N]."""

    images: Images
    labels: np.ndarray
    levels: int = 255

    def __len__(self) -> int:
        return len(self.labels)

    def floats(self, index: slice | np.ndarray = slice(None)) -> np.ndarray:
        """The chosen images as float32 [n, C, H, W] in [0, 1]."""
        return self.images[index].astype(np.float32) / np.float32(self.levels)

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All samples in order as (float32 [<= size, C, H, W] in [0, 1], int64 [<= size])."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield self.floats(part), self.labels[part]

    def check(self, input_shape: tuple[int, ...], classes: int) -> None:
        """Check that a network for images `input_shape` and `classes` labels can take this split.

        Raises:
            ValueError: images of another shape, or a label outside 0..classes-1.
        """
        shape = tuple(self.images.shape[1:])
        if shape != tuple(input_shape):
            raise ValueError(
                f"the network takes images {list(input_shape)}, the data has {list(shape)}"
            )
        strange = np.flatnonzero((self.labels < 0) | (self.labels >= classes))
        if len(strange):
            raise ValueError(
                f"the network has {classes} classes, so labels must be in 0..{classes - 1}; "
                f"{len(strange)} are not, e.g. {self.labels[strange[0]]} of sample {strange[0]}"
            )

    def take(self, index: np.ndarray) -> Split:
        """The samples at `index` (int64 [n]), in that order."""
        images = (
            ImageFiles([self.images.paths[i] for i in index], self.images.image_shape)
            if isinstance(self.images, ImageFiles)
            else self.images[index]
        )
        return replace(self, images=images, labels=self.labels[index])


@dataclass(frozen=True)
class DataSet:
    """A training and a test split with `classes` labels 0..classes-1."""

    name: str
    train: Split
    test: Split
    classes: int

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def statistics(self) -> tuple[tuple[float, ...], float]:
        """Mean per channel and one scalar standard deviation of the training pixels in [0, 1].

        One scalar, not one per channel, so that a ball in pixels stays a ball. At most the first
        20,000 images of a fixed shuffle are read.
        """
        sample = np.random.default_rng(0).permutation(len(self.train))[:20_000]
        x = self.train.floats(np.sort(sample)).astype(np.float64)
        mean = x.mean(axis=(0, 2, 3))
        std = float(np.sqrt(((x - mean[:, None, None]) ** 2).mean()))
        return tuple(round(float(m), 6) for m in mean), round(max(std, 1e-3), 6)

    def hold_out(self, fraction: float, seed: int = 0) -> DataSet:
        """The same set with a part of the training split in place of the test split.

        For choosing models and recipes: the test split plays no part in it.
        """
        if not 0 < fraction < 1:
            raise ValueError(f"held-out fraction must lie in (0, 1), got {fraction}")
        order = np.random.default_rng(seed).permutation(len(self.train))
        cut = max(1, round(fraction * len(order)))
        return replace(
            self,
            name=f"{self.name} (held out {fraction:g} of training)",
            train=self.train.take(np.sort(order[cut:])),
            test=self.train.take(np.sort(order[:cut])),
        )


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
        return _load_folder(name, Path(name.removeprefix("folder:")))
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
    arrays = _read_npz(path, ("x", "y"))
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


def _load_idx_set(name: str, folder_name: str) -> Callable[[Path], DataSet]:
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


def _load_cifar(name: str, classes: int) -> Callable[[Path], DataSet]:
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
        return Split(table[:, label_bytes:].reshape(-1, 3, 32, 32), labels)

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
        images = np.ascontiguousarray(part.data.transpose(0, 3, 1, 2))
        splits.append(Split(images, np.asarray(part.targets, np.int64)))
    return DataSet(name, splits[0], splits[1], classes)


def _load_tinyimagenet(root: Path) -> DataSet:
    """As published, or with `val` already sorted into class folders like `train`."""
    if (root / "tiny-imagenet-200").is_dir():
        root = root / "tiny-imagenet-200"
    if (root / "train").is_dir() and not (root / "val" / "images").is_dir():
        return _load_folder("tinyimagenet", root)
    for needed in ("wnids.txt", "train", "val/images", "val/val_annotations.txt"):
        if not (root / needed).exists():
            raise FileNotFoundError(
                f"tinyimagenet: {root / needed} is missing; expected wnids.txt, "
                "train/WNID/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt"
            )
    wnids = sorted((root / "wnids.txt").read_text().split())
    number = {wnid: label for label, wnid in enumerate(wnids)}
    train = [(p, number[w]) for w in wnids for p in _image_paths(root / "train" / w)]
    test = []
    with open(root / "val" / "val_annotations.txt", newline="") as annotations:
        for row in csv.reader(annotations, delimiter="\t"):
            if len(row) < 2 or row[1] not in number:
                raise ValueError(f"{annotations.name}: expected FILE<tab>WNID<tab>..., got {row!r}")
            test.append((root / "val" / "images" / row[0], number[row[1]]))
    return _from_files("tinyimagenet", train, test, len(wnids))


def _load_imagenet64(root: Path) -> DataSet:
    """The npz release (`train_data_batch_1..10.npz`, `val_data.npz`) or folders of classes."""
    parts = [root / f"train_data_batch_{i}.npz" for i in range(1, 11)]
    if not parts[0].is_file():
        return _load_folder("imagenet64", root)
    missing = [p.name for p in (*parts, root / "val_data.npz") if not p.is_file()]
    if missing:
        raise FileNotFoundError(f"imagenet64: {root} lacks {', '.join(missing)}")

    def read(files: list[Path]) -> Split:
        images, labels = [], []
        for file in files:
            arrays = _read_npz(file, ("data", "labels"))
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


def _load_folder(name: str, root: Path) -> DataSet:
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
        return [(p, number[c]) for c in classes for p in _image_paths(folder / c)]

    return _from_files(name, listing(root / "train"), listing(held), len(classes))


def _image_paths(folder: Path) -> list[Path]:
    if (folder / "images").is_dir():
        folder = folder / "images"
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def _from_files(
    name: str, train: list[tuple[Path, int]], test: list[tuple[Path, int]], classes: int
) -> DataSet:
    if not train or not test:
        raise ValueError(f"{name}: found {len(train)} training and {len(test)} test images")
    shape = _image_shape(train[0][0])

    def split(items: list[tuple[Path, int]]) -> Split:
        images: Images = ImageFiles([p for p, _ in items], shape)
        if len(items) * int(np.prod(shape)) <= MEMORY_LIMIT:
            images = images[:]
        return Split(images, np.asarray([label for _, label in items], np.int64))

    return DataSet(name, split(train), split(test), classes)


def _image_shape(path: Path) -> tuple[int, int, int]:
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


def _class_count(train: Split, test: Split) -> int:
    lowest = min(train.labels.min(), test.labels.min())
    if lowest < 0:
        raise ValueError(f"labels must be >= 0, got {lowest}")
    return int(max(train.labels.max(), test.labels.max())) + 1


def _read_npz(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
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
    "mnist": _load_idx_set("mnist", "MNIST"),
    "fashion-mnist": _load_idx_set("fashion-mnist", "FashionMNIST"),
    "cifar10": _load_cifar("cifar10", 10),
    "cifar100": _load_cifar("cifar100", 100),
    "tinyimagenet": _load_tinyimagenet,
    "imagenet64": _load_imagenet64,
}
