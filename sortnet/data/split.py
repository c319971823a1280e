"""A data set as a training and a test split of integer pixels.

A pixel is an unsigned byte `v`; the networks see `v / levels` in [0, 1] (levels is 255, but 16
for scikit-learn's digits), so an epsilon of 0.1 is a tenth of the range from black to white.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .images import ImageFiles

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
