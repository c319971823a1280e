"""Data sets as splits, their loaders, augmentation and batches. See docs/data.md."""

from .arrays import load_npz
from .box import Box
from .convert import encode_labels
from .images import ImageFiles
from .partition import folds, stratified_split
from .schema import Schema
from .sets import BUNDLED, NAMES, load, load_samples, resolve
from .split import DataSet, Split

__all__ = [
    "BUNDLED",
    "NAMES",
    "Box",
    "DataSet",
    "ImageFiles",
    "Schema",
    "Split",
    "encode_labels",
    "folds",
    "load",
    "load_npz",
    "load_samples",
    "resolve",
    "stratified_split",
]
