"""Data sets by what users write after `--data`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from sortnet.base.names import did_you_mean

from .arrays import load_npz, load_npz_set
from .bundled import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_vibration,
    load_wine,
)
from .cifar import load_cifar
from .convert import Layout
from .folder import folder_samples, load_folder
from .idx import load_idx_set
from .imagenet import load_imagenet64, load_tinyimagenet
from .images import Colour
from .lake import lake_samples
from .repeated import with_repeated_noted
from .schema import Schema
from .split import DataSet, Split
from .tables import SUFFIXES, load_table, table_samples

__all__ = [
    "BUNDLED",
    "NAMES",
    "DataSet",
    "Split",
    "load",
    "load_npz",
    "load_samples",
    "resolve",
    "user_folder",
]

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")

_BUNDLED: dict[str, Callable[[], DataSet]] = {
    "digits": load_digits,
    "wine": load_wine,
    "breast-cancer": load_breast_cancer,
    "diabetes": load_diabetes,
    "vibration": load_vibration,
}
_WITH_FILES: dict[str, Callable[[Path], DataSet]] = {
    "mnist": load_idx_set("mnist", "MNIST"),
    "fashion-mnist": load_idx_set("fashion-mnist", "FashionMNIST"),
    "cifar10": load_cifar("cifar10", 10),
    "cifar100": load_cifar("cifar100", 100),
    "tinyimagenet": load_tinyimagenet,
    "imagenet64": load_imagenet64,
}
BUNDLED = tuple(_BUNDLED)
"""Names that need no files."""
NAMES = (*_BUNDLED, *_WITH_FILES)
"""Names that `load` knows."""
_KINDS = ("folder", "npz", "table", "parquet")
_OWN = "folder:PATH, npz:FILE, table:FILE, parquet:DIR"


def resolve(spec: str, root: str | Path | None = None) -> tuple[str, str | None]:
    """What a stored run keeps: the same data, whatever the working directory is.

    Args:
        spec: one of `NAMES`, `folder:PATH`, `npz:FILE`, `table:FILE`, `parquet:DIR`, or the path of
            an .npz, .csv, .tsv or .parquet file. A relative path lies under `root`, by default
            under the working directory.
        root: the folder that holds the files of a named set, or that a relative path starts from.

    Returns:
        (spec, root) with absolute paths, for `load`; root is None where spec says it all.

    Raises:
        ValueError: an unknown name, or a root that would have no meaning.
    """
    kind, path = _parsed(spec)
    if not kind:
        if spec in _BUNDLED and root is not None:
            raise ValueError(f"{spec} comes with the packages: a root folder has no meaning here")
        return spec, None if root is None else os.path.abspath(Path(root).expanduser())
    place = Path(path).expanduser()
    if root is not None:
        if place.is_absolute():
            raise ValueError(f"{spec} says where it is: a root folder has no meaning here")
        place = Path(root).expanduser() / place
    return f"{kind}:{os.path.abspath(place)}", None


def _parsed(spec: str) -> tuple[str, str]:
    """(kind, path) of the user's own data; kind is empty for a known name."""
    kind, colon, path = spec.partition(":")
    if colon and kind in _KINDS:
        if not path:
            raise ValueError(f"{spec}: a path is missing")
        return kind, path
    if spec in NAMES:
        return "", ""
    near = did_you_mean(f"{kind}:", [f"{known}:" for known in _KINDS]) if colon else ""
    suffix = Path(spec).suffix.lower()
    if suffix == ".npz" and not near:
        return "npz", spec
    if suffix in SUFFIXES and not near:
        return "table", spec
    if os.path.isdir(spec):
        hint = f"; {spec} is a folder: folder:{spec}"
    else:
        hint = near or did_you_mean(spec, NAMES)
    raise ValueError(f"unknown data set {spec!r}{hint} (known: {', '.join(NAMES)}, {_OWN})")


def load(
    spec: str,
    root: str | Path | None = None,
    download: bool = False,
    *,
    target: str | None = None,
    regression: bool | None = None,
    seed: int = 0,
    test_fraction: float = 0.2,
    colour: Colour | None = None,
    levels: int | None = None,
    layout: Layout | None = None,
    drop: Sequence[str] = (),
) -> DataSet:
    """Load a data set.

    Args:
        spec, root: as for `resolve`; root is needed by the named sets that are not `BUNDLED` and
            not fashion-mnist where Debian's package dataset-fashion-mnist is installed.
        download: fetch MNIST, Fashion-MNIST or CIFAR into `root` with torchvision if missing.
        target, drop: the target column of a table, and columns to leave out; see `load_table`.
        regression: predict numbers, not classes; see `load_table` and `load_npz_set`.
        seed, test_fraction: of the stratified split where the data has one split only.
        colour: of image folders; see `load_folder`.
        levels, layout: of arrays; see `load_npz_set`.

    Raises:
        ValueError: unknown name, files that are not what the format promises, or an argument that
            has no meaning for this data.
        FileNotFoundError: files missing; says which were expected where.
        ImportError: a table without pyarrow.
        OSError: the download failed.
    """
    spec, root = resolve(spec, root)
    kind, path = _parsed(spec)
    _check_arguments(spec, kind, target, regression, colour, levels, layout, drop)
    if kind == "parquet":
        raise ValueError(
            f"{spec} is for certifying; to learn from, name a table: table:FILE.parquet"
        )
    if kind == "folder":
        folder = Path(path)
        data = load_folder(spec, folder, colour=colour, seed=seed, test_fraction=test_fraction)
    elif kind == "npz":
        data = load_npz_set(
            path,
            regression=regression,
            seed=seed,
            test_fraction=test_fraction,
            levels=levels,
            layout=layout,
        )
    elif kind == "table":
        data = load_table(
            path,
            target,
            regression=regression,
            seed=seed,
            test_fraction=test_fraction,
            drop=drop,
        )
    if kind:
        return with_repeated_noted(data)
    if spec in _BUNDLED:
        return _BUNDLED[spec]()
    return _with_files(spec, root, download)


def load_samples(
    spec: str,
    root: str | Path | None = None,
    *,
    like: Schema | None = None,
    target: str | None = None,
    colour: Colour | None = None,
    levels: int | None = None,
    layout: Layout | None = None,
    widen: bool = False,
) -> Split:
    """The samples to evaluate a finished network on.

    The test split of data that has two; every sample of a file or folder that has one. (Of the file
    that the network learned from, that is the training part too: `load` parts it.)

    Args:
        spec, root, target, colour, levels, layout: as for `load`.
        like: the `DataSet.schema` of what the network learned from. Needed for tables; gives
            names, box and levels.
        widen: take samples outside of the box too (npz, table); see `Split`.

    Raises:
        ValueError, FileNotFoundError, ImportError: as `load`; also unseen classes or features.
    """
    spec, root = resolve(spec, root)
    kind, path = _parsed(spec)
    _check_arguments(spec, kind, target, None, colour, levels, layout, ())
    if kind == "npz":
        return load_npz(path, levels=levels, layout=layout, like=like, widen=widen)
    if kind in ("table", "parquet"):
        if like is None:
            raise ValueError(f"{path}: a table needs the data that the network learned from")
        if kind == "parquet":
            return lake_samples(path, like, target, levels)
        return table_samples(path, target, like, widen=widen)
    if kind == "folder":
        known = None if like is None else like.class_names
        return folder_samples(spec, Path(path), known, colour)
    data = load(spec, root)
    if like is not None and like.class_names and data.class_names != like.class_names:
        raise ValueError(
            f"{spec} has the classes {_shown(data.schema)}, the network learned {_shown(like)}"
        )
    learned = None if like is None else like.feature_names
    if learned and data.feature_names and tuple(data.feature_names) != tuple(learned):
        raise ValueError(
            f"{spec} has the features {', '.join(data.feature_names[:5])} ..., the network learned "
            f"from {', '.join(learned[:5])} ... (in this order)"
        )
    return data.test


def user_folder(spec: str, root: str | Path | None) -> Path | None:
    """The folder that `load(spec, root)` reads, where the user named one; None for a file."""
    kind, _, path = spec.partition(":")
    if kind in ("folder", "parquet"):
        return Path(path) if root is None else Path(root) / path
    if kind in ("npz", "table") or Path(spec).suffix.lower() in (".npz", *SUFFIXES):
        return None
    return None if root is None else Path(root)


def _check_arguments(
    spec: str,
    kind: str,
    target: str | None,
    regression: bool | None,
    colour: Colour | None,
    levels: int | None,
    layout: Layout | None,
    drop: Sequence[str],
) -> None:
    """Refuse what this kind of data would ignore."""
    allowed = {
        "target column": ("table parquet", target),
        "columns to drop": ("table", drop or None),
        "colour": ("folder", colour),
        "levels": ("npz parquet", levels),
        "layout": ("npz", layout),
        "regression": ("table npz", regression),
    }
    for name, (kinds, value) in allowed.items():
        if value is not None and kind not in kinds.split():
            where = " and ".join(f"{k}:" for k in kinds.split())
            raise ValueError(f"{name} {value!r} has no meaning for {spec}, only for {where}")
    if colour not in (None, "grey", "rgb"):
        raise ValueError(f"colour must be 'grey' or 'rgb', got {colour!r}")


def _shown(schema: Schema) -> str:
    names = schema.labels
    return ", ".join(names[:5]) + (f", ... ({len(names)})" if len(names) > 5 else "")


def _with_files(name: str, root: str | None, download: bool) -> DataSet:
    if root is None:
        if name != "fashion-mnist" or not DEBIAN_FASHION_MNIST.is_dir():
            raise FileNotFoundError(f"data set {name!r} needs the folder of its files: --root DIR")
        root = str(DEBIAN_FASHION_MNIST)
    folder = Path(root)
    try:
        if not folder.is_dir():
            raise FileNotFoundError(f"data folder {root} does not exist")
        return _WITH_FILES[name](folder)
    except FileNotFoundError:
        if not download:
            raise
    _download(name, folder)
    return _WITH_FILES[name](folder)


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
    except Exception as error:  # urllib, http, tarfile, gzip and torchvision raise a dozen kinds
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise OSError(
            f"download of {name} into {root} failed: {reason}; the next try goes on with what is "
            "whole"
        ) from None
