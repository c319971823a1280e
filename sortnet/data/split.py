"""Samples with labels: a split, and a data set of two.

Images are bytes: a pixel `v` means `v / levels` in [0, 1] (levels is 255, but 16 for scikit-learn's
digits), so an epsilon of 0.1 is a tenth of the range from black to white. Everything else is
float32 in the box of its features.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sortnet.base.names import FROM_ZERO

from .box import Box
from .convert import Layout, as_inputs, as_labels, encode_labels
from .images import ImageFiles
from .schema import Schema

Inputs = np.ndarray | ImageFiles


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Split:
    """N samples with their labels, checked and converted.

    Args:
        inputs: `ImageFiles`, or array-like: integer pixels in 0..levels, or floats in the box.
            Kept as uint8 or float32 [N, C, H, W], [N, C, T] or [N, D]; floats are never divided.
        labels: array-like [N]: integers of any kind (kept as int64), or floats (float64), which are
            targets of a regression.
        levels: the integer that means 1, in 1..255; 255 by default. 1 for floats.
        box: of one sample; without it all values lie in [0, 1].
        layout: "NCHW", "NHWC" (channels are moved), "NHW" (gets a channel), "NCT" or "ND"; see
            `convert.as_inputs` for what is assumed without it.
        feature_names: for errors; those of a frame are known.
        names: of the N samples, for reports; those of `ImageFiles` are their paths unless said.
        widen: take floats outside of the box too: the split's own box is then wide enough to hold
            them. For samples that a network is asked about: `inside` says which it can answer for.

    Raises:
        ValueError: samples, labels or names of different lengths, or what `convert.as_inputs` and
            `convert.as_labels` refuse.
    """

    inputs: Inputs
    labels: npt.NDArray[Any]
    levels: int
    box: Box | None
    names: tuple[str, ...] | None

    def __init__(
        self,
        inputs: Any,
        labels: Any,
        levels: int | None = None,
        box: Box | None = None,
        layout: Layout | None = None,
        *,
        feature_names: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        widen: bool = False,
    ) -> None:
        numbers = as_labels(labels)
        samples: Inputs
        if isinstance(inputs, ImageFiles):
            if levels not in (None, 255) or box is not None or layout is not None:
                raise ValueError("image files have 255 levels, no box and no layout")
            samples, levels = inputs, 255
            names = [str(path) for path in inputs.paths] if names is None else names
        else:
            columns = getattr(inputs, "columns", None) if feature_names is None else feature_names
            columns = None if columns is None else [str(name) for name in columns]
            samples, levels = as_inputs(inputs, levels, box, layout, columns, outside=widen)
            if widen and samples.dtype == np.float32:
                box = _widened(box, samples)
        if len(samples) != len(numbers):
            raise ValueError(f"{len(samples)} samples, but {len(numbers)} labels")
        held = None if names is None else tuple(map(str, names))
        if held is not None and len(held) != len(samples):
            raise ValueError(f"{len(samples)} samples, but {len(held)} names")
        fields = {"inputs": samples, "labels": numbers, "levels": levels, "box": box, "names": held}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        values = f"pixels 0..{self.levels}" if self.levels != 1 else "floats"
        values += " in a box" if self.box is not None else ""
        told = "targets" if self.regression else "labels"
        ends = f" {self.labels.min():g}..{self.labels.max():g}" if len(self) else ""
        shape = list(self.inputs.shape[1:])
        return f"<Split: {len(self)} samples {shape}, {values}, {told}{ends}>"

    @property
    def images(self) -> Inputs:
        """The inputs of a split of images."""
        return self.inputs

    @property
    def sample_names(self) -> tuple[str, ...]:
        """What each sample is called: its name, else its number in the arrays it came in."""
        return tuple(map(str, range(len(self)))) if self.names is None else self.names

    @property
    def regression(self) -> bool:
        """Whether the labels are numbers to be predicted."""
        return bool(self.labels.dtype.kind == "f")

    def floats(self, index: slice | np.ndarray = slice(None)) -> npt.NDArray[np.float32]:
        """The chosen samples as float32 [n, ...] in the box, a copy."""
        floats: npt.NDArray[np.float32] = self.inputs[index].astype(np.float32)
        if self.levels != 1:
            floats /= np.float32(self.levels)
        return floats

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All samples in order as (float32 [<= size, ...], labels [<= size])."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield self.floats(part), self.labels[part]

    def check(
        self,
        input_shape: tuple[int, ...],
        classes: int,
        low: np.ndarray | float = 0.0,
        high: np.ndarray | float = 1.0,
    ) -> None:
        """Check that a network can take this split.

        Args:
            input_shape: of one sample. classes: number of labels; 0 for a regression.
            low, high: the box of the network's inputs.

        Raises:
            ValueError: samples of another shape or outside the box, a label outside 0..classes-1,
                classes where numbers are to be predicted or the other way round.
        """
        shape = tuple(self.inputs.shape[1:])
        if shape != tuple(input_shape):
            what = "images" if len(input_shape) == 3 else "samples"
            raise ValueError(
                f"the network takes {what} {list(input_shape)}, the data has {list(shape)}"
            )
        if self.regression != (classes == 0):
            kinds = ("classes", "numbers (a regression)")
            raise ValueError(
                f"the network predicts {kinds[classes == 0]}, the labels are "
                f"{kinds[self.regression]}"
            )
        self._check_box(low, high)
        if self.regression:
            return
        strange = np.flatnonzero((self.labels < 0) | (self.labels >= classes))
        if len(strange):
            raise ValueError(
                f"the network has {classes} classes, so labels must be in 0..{classes - 1}; "
                f"{len(strange)} are not, e.g. {self.labels[strange[0]]} of sample {strange[0]}"
                + FROM_ZERO
            )

    def certifiable(
        self,
        input_shape: tuple[int, ...],
        classes: int,
        low: np.ndarray | float,
        high: np.ndarray | float,
    ) -> npt.NDArray[np.bool_]:
        """`check`, but samples outside of the box may be there: bool [N], which lie inside.

        The others have radius 0 and count as not certified, wherever a split is judged.

        Raises:
            ValueError: as `check`; no sample lies inside, which is no stray sample, but other units
                or other data.
        """
        self.check(input_shape, classes, -np.inf, np.inf)
        inside = self.inside(low, high)
        if not inside.any():
            self.check(input_shape, classes, low, high)
        return inside

    def inside(self, low: np.ndarray | float, high: np.ndarray | float) -> npt.NDArray[np.bool_]:
        """Which samples lie in a box: bool [N].

        Args:
            low, high: its ends, numbers or of a sample's shape.
        """
        mine = (0.0, 1.0) if self.box is None else (self.box.low, self.box.high)
        if np.all(mine[0] >= np.asarray(low)) and np.all(mine[1] <= np.asarray(high)):
            return np.ones(len(self), np.bool_)  # decodes no image file
        found = np.empty(len(self), np.bool_)
        for start in range(0, len(self), 4096):
            part = self.floats(slice(start, start + 4096))
            held = (part >= low) & (part <= high)
            found[start : start + len(part)] = held.reshape(len(part), -1).all(axis=1)
        return found

    def _check_box(self, low: np.ndarray | float, high: np.ndarray | float) -> None:
        mine = (0.0, 1.0) if self.box is None else (self.box.low, self.box.high)
        if not len(self) or (np.all(mine[0] >= np.asarray(low)) and np.all(mine[1] <= high)):
            return
        for start in range(0, len(self), 4096):
            part = self.floats(slice(start, start + 4096))
            outside = ((part < low) | (part > high)).reshape(len(part), -1)
            if outside.any():
                sample, at = (int(i) for i in np.argwhere(outside)[0])
                ends = [np.broadcast_to(end, part.shape[1:]).flat[at] for end in (low, high)]
                bytes_like = ends == [0, 1] and part.min() >= 0 and 1.5 < part.max() <= 255
                raise ValueError(
                    "the network takes values in [{:g}, {:g}], ".format(*ends)
                    + f"sample {start + sample} has {part[sample].flat[at]:g} in feature {at}"
                    + ("; divide by 255, or give bytes as uint8" if bytes_like else "")
                    + FROM_ZERO
                )

    def take(self, index: slice | np.ndarray) -> Split:
        """The samples at `index` (a slice, integers or a mask), in that order.

        They keep their names; of samples without names, their numbers become their names.
        """
        chosen = copy.copy(self)  # checked already
        held = self.inputs
        inputs = held.take(index) if isinstance(held, ImageFiles) else held[index]
        object.__setattr__(chosen, "inputs", inputs)
        object.__setattr__(chosen, "labels", self.labels[index])
        all_names = self.sample_names
        names = tuple(all_names[i] for i in np.arange(len(self))[index])
        object.__setattr__(chosen, "names", names)
        return chosen


def _widened(box: Box | None, samples: npt.NDArray[np.float32]) -> Box | None:
    if box is not None:
        return box.widened(samples)
    if not len(samples) or (samples.min() >= 0 and samples.max() <= 1):
        return None
    ends = np.zeros(samples.shape[1:], np.float32), np.ones(samples.shape[1:], np.float32)
    return Box(*ends).widened(samples)


@dataclass(frozen=True, eq=False, repr=False)
class DataSet:
    """A training and a test split.

    Args:
        name: for titles.
        train, test: of one shape and one box.
        classes: number of classes, labels being 0..classes-1; 0 for a regression.
        class_names: of all classes, in the order of their labels; None where labels have no names.
        feature_names: of the D features of a table; None elsewhere.
        notes: what loading decided, a sentence each: for whoever shows what was done.
        parted: the two splits were made of one, by the order of its rows: if these change, samples
            of one turn up in the other.

    Raises:
        ValueError: splits that do not fit together, labels out of range, or another number of
            names.
    """

    name: str
    train: Split
    test: Split
    classes: int
    class_names: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    parted: bool = False

    def __post_init__(self) -> None:
        shapes = [tuple(split.inputs.shape[1:]) for split in (self.train, self.test)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{self.name}: training samples are {list(shapes[0])}, test samples "
                f"{list(shapes[1])}"
            )
        if self.train.regression != self.test.regression:
            raise ValueError(f"{self.name}: one split has classes, the other has float targets")
        for split in (self.train, self.test):
            labels = split.labels
            if split.regression or not len(labels):
                continue
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high >= self.classes:
                raise ValueError(
                    f"{self.name}: {self.classes} classes have labels 0..{self.classes - 1}, got "
                    f"{low}..{high}"
                )
        if self.class_names is not None and len(self.class_names) != self.classes:
            raise ValueError(f"{len(self.class_names)} class names for {self.classes} classes")
        if self.feature_names is not None and len(self.feature_names) != np.prod(shapes[0]):
            raise ValueError(f"{len(self.feature_names)} feature names for samples {shapes[0]}")

    def __repr__(self) -> str:
        kind = f"{self.classes} classes" if self.classes else "a regression"
        sizes = f"{len(self.train)} training and {len(self.test)} test samples"
        return f"<DataSet {self.name}: {sizes} {list(self.input_shape)}, {kind}>"

    @classmethod
    def of(
        cls,
        name: str,
        train: tuple[Any, Any],
        test: tuple[Any, Any],
        *,
        regression: bool = False,
        class_names: Sequence[str] | None = None,
        feature_names: Sequence[str] | None = None,
        levels: int | None = None,
        box: Box | None = None,
        layout: Layout | None = None,
        notes: Sequence[str] = (),
        names: tuple[Sequence[str], Sequence[str]] | None = None,
        parted: bool = False,
    ) -> DataSet:
        """A data set from arrays, with labels of any kind.

        Args:
            name: for titles.
            train, test: (samples, labels) each; see `Split`.
            regression: labels are numbers to be predicted, not classes.
            class_names: in order; by default those of the training labels: integers 0..K-1 stay as
                they are and have no names, all others are sorted and numbered.
            feature_names: of a table's columns.
            levels, box, layout: as for `Split`.
            notes, parted: as for the class.
            names: of the samples of train and of test, for reports.

        Raises:
            ValueError: one class only, a class without training samples, a test class that
                training lacks, or what `Split` refuses.
        """
        (x, y), (x_test, y_test) = train, test
        if regression:
            numbers = [np.asarray(as_labels(part), np.float64) for part in (y, y_test)]
            classes, labelled = 0, None
            if len(numbers[0]) and np.ptp(numbers[0]) == 0:
                raise ValueError(f"all training targets are {numbers[0][0]:g}")
        else:
            codes, labelled = encode_labels(y, class_names)
            classes = len(labelled)
            numbers = [codes, encode_labels(y_test, labelled)[0]]
            empty = np.setdiff1d(np.arange(classes), codes)
            if len(empty):
                lacking = ", ".join(repr(labelled[label]) for label in empty)
                raise ValueError(f"{name}: no training sample of class {lacking}")
            if classes < 2:
                found = f"only the class {labelled[0]!r}" if labelled else "no label"
                raise ValueError(f"{name}: {found}; a classifier needs two classes")
            if class_names is None and labelled == tuple(map(str, range(classes))):
                labelled = None
        first, second = (None, None) if names is None else names
        return cls(
            name,
            Split(x, numbers[0], levels, box, layout, feature_names=feature_names, names=first),
            Split(
                x_test, numbers[1], levels, box, layout, feature_names=feature_names, names=second
            ),
            classes,
            labelled,
            None if feature_names is None else tuple(map(str, feature_names)),
            tuple(notes),
            parted,
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of a sample: (C, H, W), (C, T) or (D,)."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def box(self) -> Box | None:
        """Of a sample; None is [0, 1] in every feature."""
        return self.train.box

    @property
    def regression(self) -> bool:
        """Whether the labels are numbers to be predicted."""
        return self.train.regression

    @property
    def schema(self) -> Schema:
        """What a network that learns from this must remember."""
        return Schema(
            self.input_shape,
            self.classes,
            self.train.levels,
            self.class_names,
            self.feature_names,
            self.box,
        )

    def statistics(self) -> tuple[tuple[float, ...], float]:
        """Mean per channel and one scalar standard deviation of the training samples.

        One scalar, not one per channel, so that a ball in pixels stays a ball. The channel of a
        sample is its first axis: of a table, the feature. At most the first 20,000 samples of a
        fixed shuffle are read.
        """
        x = self._sample()
        mean = x.mean(axis=(0, *range(2, x.ndim)))
        std = float(np.sqrt(((x - mean.reshape(-1, *[1] * (x.ndim - 2))) ** 2).mean()))
        return tuple(round(float(m), 6) for m in mean), round(max(std, 1e-3), 6)

    def feature_statistics(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Mean and standard deviation of every single feature, of a sample's shape.

        Read from the same samples as `statistics`.
        """
        x = self._sample()
        return x.mean(axis=0).astype(np.float32), x.std(axis=0).astype(np.float32)

    def _sample(self) -> npt.NDArray[np.float64]:
        chosen = np.random.default_rng(0).permutation(len(self.train))[:20_000]
        return self.train.floats(np.sort(chosen)).astype(np.float64)

    def hold_out(self, fraction: float, seed: int = 0) -> DataSet:
        """The same set with a part of the training split in place of the test split.

        For choosing models and recipes: the test split plays no part in it.

        Raises:
            ValueError: a fraction out of range, or one that leaves no training sample, or none of
                some class.
        """
        if not 0 < fraction < 1:
            raise ValueError(f"held-out fraction must lie in (0, 1), got {fraction}")
        order = np.random.default_rng(seed).permutation(len(self.train))
        cut = max(1, round(fraction * len(order)))
        left = self.train.labels[order[cut:]]
        lost = np.setdiff1d(self.train.labels, left)
        if not len(left) or (not self.regression and len(lost)):
            which = f" of class {', '.join(self.schema.labels[i] for i in lost[:5])}"
            raise ValueError(
                f"{self.name}: holding {fraction:g} of {len(order)} training samples out leaves "
                f"none{which if len(left) else ''} to learn from; hold less out"
            )
        return replace(
            self,
            name=f"{self.name} (held out {fraction:g} of training)",
            train=self.train.take(np.sort(order[cut:])),
            test=self.train.take(np.sort(order[:cut])),
            parted=True,
        )
