"""Networks as typed configurations."""

import math
from typing import Literal

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from sortnet.certificate.network import InputSpec

Family = Literal["sortnet", "linf-dist", "groupsort", "maxmin", "standard", "relu"]

Numbers = float | tuple[float, ...]
"""One number for all features, or one for each in row-major order; float32 where it matters."""

Window = int | tuple[int, int]
"""The odd side of a square window, or its rows and columns."""

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class BoxConfig:
    """The box of a network's inputs and the unit of radii, feature by feature.

    Attributes:
        low, high: ends of the box, finite.
        unit: the ball of radius r holds every x' in the box with |x'_i - x_i| <= r unit_i; 0 where
            nobody can change feature i.
    """

    low: Numbers = 0.0
    high: Numbers = 1.0
    unit: Numbers = 1.0


@dataclass(frozen=True, config=_STRICT)
class StemConfig:
    """A strided convolutional first layer (the paper's -2x ImageNet systems)."""

    channels: int = Field(gt=0)
    kernel_size: int = Field(gt=0)
    stride: int = Field(gt=0)
    padding: int = Field(default=0, ge=0)


@dataclass(frozen=True, config=_STRICT)
class ModelConfig:
    """What `build_model` builds.

    Attributes:
        family: "sortnet" (SortLinear), "linf-dist" (keep = 1), "groupsort" and "maxmin"
            (LipschitzLinear + GroupSort), "standard" (LipschitzLinear + activation), "relu"
            (nn.Linear + ReLU, not 1-Lipschitz: interval certificates only).
        input_shape: of one sample: (C, H, W) of images, (C, T) of signals, (D,) of tables.
        classes: number of logits, at least 2; 1 for a regression, whose one output is a value.
        depth: distance or affine layers before the head, at least 1; a stem counts as one.
        width: units of each hidden layer.
        keep: q, probability that training keeps an input (sortnet).
        keep_pixels: the same for the first layer; 1 as in the reference (sortnet).
        identity: start with w[i, i mod n] = -identity in every linear distance layer (the
            reference's MNIST nets use 10), or None for normal weights only.
        top_k: order statistics used in evaluation (sortnet).
        hidden: units of the MLP head Linear -> tanh -> Linear after the distance layers, or None
            for a plain network whose last distance layer gives the logits.
        mean, std: normalisation inside the model, numbers for all features or one for each.
        box: of the inputs, and the unit of radii; None for images in [0, 1] with radii in pixels.
        scale, offset: of the value of a regression, which is offset + scale times a function that
            is 1-Lipschitz in the normalised input; scale > 0.
        stem: convolutional first layer (distance families), or None. The hidden layers after it are
            the same at every position (1 x 1 convolutions), flattened before logits or head.
        first_std: standard deviation of the first distance layer's random weights.
        morphology: windows of the dilations and erosions that the first layer sees beside the image
            (fixed l-inf-distance neurons), each the odd side of a square or (rows, columns); none
            for the image alone.
        morphology_stride: s, rows and columns from one window to the next; the image is still seen
            whole, as s x s maps of every s-th row and column.
        group: group size of "groupsort".
        activation: of "standard".
    """

    family: Family
    input_shape: tuple[int, ...]
    classes: int = Field(ge=1)
    depth: int = Field(ge=1)
    width: int = Field(gt=0)
    keep: float = Field(default=0.7, gt=0, le=1)
    keep_pixels: float = Field(default=1.0, gt=0, le=1)
    identity: float | None = None
    top_k: int = Field(default=10, ge=1)
    hidden: int | None = Field(default=None, gt=0)
    mean: Numbers = 0.0
    std: Numbers = 1.0
    box: BoxConfig | None = None
    scale: float = Field(default=1.0, gt=0)
    offset: float = 0.0
    stem: StemConfig | None = None
    first_std: float = Field(default=1.0, gt=0)
    morphology: tuple[Window, ...] = ()
    morphology_stride: int = Field(default=1, ge=1)
    group: int = Field(default=5, ge=1)
    activation: Literal["relu", "abs", "piecewise-linear"] = "relu"

    @model_validator(mode="after")
    def _consistent(self) -> "ModelConfig":
        if not self.input_shape or any(size < 1 for size in self.input_shape):
            raise ValueError(
                "input_shape must be positive (C, H, W), (C, T) or (D,), "
                f"got {tuple(self.input_shape)}"
            )
        for name, numbers in self._numbers():
            if not isinstance(numbers, float) and len(numbers) != math.prod(self.input_shape):
                raise ValueError(
                    f"{name} has {len(numbers)} numbers for {math.prod(self.input_shape)} features"
                )
            if not np.isfinite(numbers).all():
                raise ValueError(f"{name} must be finite")
        if not (np.asarray(self.std) > 0).all():
            raise ValueError("std must be above 0")
        if len(self.input_shape) != 3 and (self.stem is not None or self.morphology):
            raise ValueError("a stem and morphology read images (C, H, W)")
        if self.classes > 1 and (self.scale, self.offset) != (1, 0):
            raise ValueError("scale and offset are of a regression (classes = 1)")
        if self.regression and (self.hidden is not None or self.family == "relu"):
            raise ValueError("a regression has neither an MLP head nor the family 'relu'")
        distance = self.family in ("sortnet", "linf-dist")
        if not distance and (self.hidden is not None or self.stem is not None):
            raise ValueError(f"family {self.family!r} has neither an MLP head nor a stem")
        if self.morphology:
            if not distance or self.stem is not None:
                raise ValueError("morphology needs a distance family without a stem")
            for window in self.morphology:
                sides = (window,) if isinstance(window, int) else window
                if max(sides) < 3 or any(side < 1 or side % 2 == 0 for side in sides):
                    raise ValueError(
                        f"morphology needs odd sides of at least 3, or pairs of odd sides such as "
                        f"(1, 9), got {self.morphology}"
                    )
            largest = [
                window if isinstance(window, tuple) else (window,) * 2 for window in self.morphology
            ]
            widest = 1 + min(max(sides) for sides in zip(*largest, strict=True)) // 2
            if self.morphology_stride > widest:
                raise ValueError(
                    f"windows of {self.morphology} allow a morphology_stride of at most {widest}, "
                    f"got {self.morphology_stride}"
                )
            if self.box is not None or not isinstance(self.mean, float | int):
                raise ValueError("morphology reads images in [0, 1] with one mean for all pixels")
            if not isinstance(self.std, float | int):
                raise ValueError("morphology reads images with one std for all pixels")
            if not 0 <= self.mean <= 1:
                raise ValueError(f"morphology needs a mean in [0, 1], got {self.mean}")
        elif self.morphology_stride != 1:
            raise ValueError("morphology_stride has no meaning without morphology")
        if self.first_std != 1 and not distance:
            raise ValueError("first_std is of distance families")
        if self.stem is not None and self.depth < 2:
            raise ValueError("a stem needs a depth of at least 2")
        if self.family == "linf-dist" and (self.keep != 1 or self.keep_pixels != 1):
            raise ValueError(
                f"family 'linf-dist' means keep = 1, got {self.keep} and {self.keep_pixels}"
            )
        if self.sorting_group and self.depth > 1 and self.width % self.sorting_group:
            raise ValueError(
                f"a group size of {self.sorting_group} does not divide the width {self.width}"
            )
        return self

    def _numbers(self) -> list[tuple[str, Numbers]]:
        numbers = [("mean", self.mean), ("std", self.std)]
        if self.box is not None:
            numbers += [
                (f"box.{name}", getattr(self.box, name)) for name in ("low", "high", "unit")
            ]
        return numbers

    @property
    def regression(self) -> bool:
        """Whether the network's one output is a value instead of logits."""
        return self.classes == 1

    @property
    def input(self) -> InputSpec:
        """Shape, box and unit of the inputs.

        Raises:
            SpecError: the box is empty, or numbers are not float32.
        """
        if self.box is None:
            return InputSpec(self.input_shape)
        return InputSpec(
            self.input_shape,
            *(
                arranged(getattr(self.box, name), self.input_shape)
                for name in ("low", "high", "unit")
            ),
        )

    @property
    def sorting_group(self) -> int | None:
        """Units sorted together after each affine layer, or None for the other families."""
        return {"groupsort": self.group, "maxmin": 2}.get(self.family)


def arranged(numbers: Numbers, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of a configuration as a float32 array: a scalar, or of the shape of a sample."""
    array = np.asarray(numbers, np.float32)
    return array if array.ndim == 0 else array.reshape(shape)
