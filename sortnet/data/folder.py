"""Folders of images, one subfolder a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .arrays import split_note
from .images import IMAGE_SUFFIXES, Colour, ImageFiles, read_image
from .partition import stratified_split
from .split import DataSet, Inputs, Split

MEMORY_LIMIT = 4 << 30  # image folders up to this size (bytes, decoded) are held in memory

_SYSTEM = ("__macosx", "__pycache__", "@eadir", "$recycle.bin", "#recycle", "lost+found")
# Pictures of kinds that are not read: to pass over them would lose samples without a word.
_OTHER_IMAGES = (".gif", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".exr", ".hdr", ".pfm", ".dcm")

Files = list[tuple[Path, int]]


def load_folder(
    name: str,
    root: Path,
    *,
    colour: Colour | None = None,
    seed: int = 0,
    test_fraction: float = 0.2,
) -> DataSet:
    """`root/train/CLASS/*` with `root/test/CLASS/*` (or `val`); or one split, then parted.

    One split is `root/train/CLASS/*` alone or `root/CLASS/*`. Hidden and system files and folders
    are passed over. Classes are numbered by name; `DataSet.class_names` keeps them.

    Args:
        name: for titles and errors.
        root: the folder.
        colour: "grey" or "rgb" converts; by default all images must be of one kind.
        seed, test_fraction: of the split, where there is one only.

    Raises:
        FileNotFoundError: no such folder, or no folders of classes in it.
        ValueError: fewer than two classes, a class without images, a test class that train lacks,
            folders inside of a class, images outside of all, other folders beside train where a
            split is missing, files that are no images, images of several sizes or kinds.
    """
    place, held = _places(name, root)
    classes = [folder.name for folder in _folders(place)]
    if not classes:
        raise FileNotFoundError(
            f"{name}: no folders of classes in {place}; expected {root}/train/CLASS/*.png and "
            f"{root}/test/CLASS/*.png (or val/), or {root}/CLASS/*.png"
        )
    if len(classes) < 2:
        raise ValueError(f"{name}: {place} holds one class folder, {classes[0]!r}; need >= 2")
    files = _listing(place, classes)
    refuse_empty_classes(name, place, classes, files)
    if held is None:
        labels = np.array([label for _, label in files])
        first, second = stratified_split(labels, test_fraction, seed, classes)
        train, test = [files[i] for i in first], [files[i] for i in second]
        notes = [split_note(len(train), len(test), seed, regression=False)]
    else:
        _refuse_strangers(name, held, classes)
        train, test, notes = files, _listing(held, classes), []
        if held.name == "test" and (root / "val").is_dir():
            notes.append("val/ is left alone: test/ is the test split")
        absent = sorted({*range(len(classes))} - {label for _, label in test})
        if absent and test:
            shown = ", ".join(repr(classes[label]) for label in absent)
            notes.append(f"no test image of class {shown}")
    parted = held is None
    return from_files(name, root, train, test, classes, colour, notes, parted)


def folder_samples(
    name: str, root: Path, classes: Sequence[str] | None = None, colour: Colour | None = None
) -> Split:
    """The images of `root/test` (or `val`), or all where there is one split only.

    Args:
        name, root, colour: as for `load_folder`.
        classes: those that a network learned, in order; by default those of the folders. Not all
            of them need images here.

    Raises:
        FileNotFoundError, ValueError: as `load_folder`; no images, a class that is not learned.
    """
    place, held = _places(name, root)
    known = [folder.name for folder in _folders(place)] if classes is None else classes
    place = place if held is None else held
    _refuse_strangers(name, place, known)
    files = _listing(place, known)
    if not files:
        raise ValueError(f"{name}: no images in the folders of classes of {place}")
    return _split(root, files, read_image(files[0][0], colour).shape, colour)


def from_files(
    name: str,
    root: Path,
    train: Files,
    test: Files,
    classes: Sequence[str],
    colour: Colour | None,
    notes: Sequence[str] = (),
    parted: bool = False,
) -> DataSet:
    """A data set of image files, all of the first one's size; held in memory if small enough.

    Samples are named by their paths below `root`.
    """
    if not train or not test:
        raise ValueError(f"{name}: found {len(train)} training and {len(test)} test images")
    shape = read_image(train[0][0], colour).shape
    return DataSet(
        name,
        _split(root, train, shape, colour),
        _split(root, test, shape, colour),
        len(classes),
        tuple(classes),
        notes=tuple(notes),
        parted=parted,
    )


def _split(root: Path, items: Files, shape: tuple[int, ...], colour: Colour | None) -> Split:
    channels, height, width = shape
    inputs: Inputs = ImageFiles([p for p, _ in items], (channels, height, width), colour)
    if len(items) * channels * height * width <= MEMORY_LIMIT:
        inputs = inputs[:]
    names = [path.relative_to(root).as_posix() for path, _ in items]
    return Split(inputs, np.asarray([label for _, label in items], np.int64), names=names)


def image_paths(folder: Path) -> list[Path]:
    """The image files directly in a folder, sorted; hidden and system files are passed over.

    Raises:
        ValueError: the folder holds folders, or images of a kind that is not read.
    """
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.iterdir()):
        if is_hidden(path.name):
            continue
        if path.is_dir():
            raise ValueError(
                f"{path}: a folder inside of a class; its images would be lost: move them"
            )
        if path.suffix.lower() in IMAGE_SUFFIXES:
            found.append(path)
        elif path.suffix.lower() in _OTHER_IMAGES:
            raise ValueError(f"{path}: {path.suffix} images are not read; convert them to PNG")
    return found


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of the user's: a dot file or a system's leftovers."""
    return name.startswith(".") or name.lower() in _SYSTEM


def refuse_empty_classes(name: str, place: Path, classes: Sequence[str], files: Files) -> None:
    """Every class needs training images: without them it counts as a class and is none."""
    empty = sorted({*range(len(classes))} - {label for _, label in files})
    if empty:
        shown = ", ".join(repr(classes[label]) for label in empty[:10])
        raise ValueError(f"{name}: no images of class {shown} in {place}")


def _places(name: str, root: Path) -> tuple[Path, Path | None]:
    """The folder of the training classes, and that of the test classes if there is one."""
    if not root.is_dir():
        what = "is a file" if root.exists() else "no such folder"
        raise FileNotFoundError(f"{name}: {root}: {what}; expected a folder of classes")
    held = next((root / n for n in ("test", "val") if (root / n).is_dir()), None)
    place = root / "train" if (root / "train").is_dir() else root
    if held is not None and place is root:
        raise FileNotFoundError(f"{name}: {held} exists, but {root / 'train'} does not")
    for folder in (place, held):
        _refuse_strays(name, folder)
    if place is not root and held is None and (others := _folders(root)) != [place]:
        found = ", ".join(other.name for other in others if other != place)
        raise ValueError(
            f"{name}: beside train/ there is {found}; the other split is test/ or val/"
        )
    return place, held


def _refuse_strangers(name: str, place: Path, classes: Sequence[str]) -> None:
    strangers = [folder.name for folder in _folders(place) if folder.name not in classes]
    if strangers:
        raise ValueError(f"{name}: {place} has classes that train lacks: {', '.join(strangers)}")


def _refuse_strays(name: str, folder: Path | None) -> None:
    """Images beside the folders of classes are of no class: they would be lost."""
    strays = [] if folder is None else [p for p in folder.iterdir() if not is_hidden(p.name)]
    images = sorted(p for p in strays if p.suffix.lower() in IMAGE_SUFFIXES and not p.is_dir())
    if images:
        raise ValueError(f"{name}: {images[0]} lies beside the folders of classes, in none of them")


def _folders(place: Path) -> list[Path]:
    return sorted(p for p in place.iterdir() if p.is_dir() and not is_hidden(p.name))


def _listing(place: Path, classes: Sequence[str]) -> Files:
    folders = [place / name for name in classes]
    if all(_is_wrapped(folder) for folder in folders if folder.is_dir()):
        folders = [folder / "images" for folder in folders]
    return [(path, label) for label, folder in enumerate(folders) for path in image_paths(folder)]


def _is_wrapped(folder: Path) -> bool:
    """Tiny ImageNet's layout: CLASS/images holds the images, CLASS itself none."""
    entries = [path for path in folder.iterdir() if not is_hidden(path.name)]
    inner = [path.name for path in entries if path.is_dir()]
    images = [path for path in entries if path.suffix.lower() in IMAGE_SUFFIXES]
    return inner == ["images"] and not images
