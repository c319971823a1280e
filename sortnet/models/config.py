"""Networks as typed configurations."""

from typing import Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

Family = Literal["sortnet", "linf-dist", "groupsort", "maxmin", "standard", "relu"]

_STRICT = ConfigDict(extra="forbid")


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
        input_shape: (C, H, W) of images in [0, 1].
        classes: number of logits, at least 2.
        depth: distance or affine layers before the head, at least 1; a stem counts as one.
        width: units of each hidden layer.
        keep: q, probability that training keeps an input (sortnet).
        keep_pixels: the same for the first layer; 1 as in the reference (sortnet).
        identity: start with w[i, i mod n] = -identity in every linear distance layer (the
            reference's MNIST nets use 10), or None for normal weights only.
        top_k: order statistics used in evaluation (sortnet).
        hidden: units of the MLP head Linear -> tanh -> Linear after the distance layers, or None
            for a plain network whose last distance layer gives the logits.
        mean, std: scalar normalisation inside the model.
        stem: convolutional first layer (distance families), or None. The hidden layers after it are
            the same at every position (1 x 1 convolutions), flattened before logits or head.
        morphology: window sides of the dilations and erosions that the first layer sees beside the
            image (fixed l-inf-distance neurons); none for the image alone.
        group: group size of "groupsort".
        activation: of "standard".
    """

    family: Family
    input_shape: tuple[int, int, int]
    classes: int = Field(ge=2)
    depth: int = Field(ge=1)
    width: int = Field(gt=0)
    keep: float = Field(default=0.7, gt=0, le=1)
    keep_pixels: float = Field(default=1.0, gt=0, le=1)
    identity: float | None = None
    top_k: int = Field(default=10, ge=1)
    hidden: int | None = Field(default=None, gt=0)
    mean: float = 0.0
    std: float = Field(default=1.0, gt=0)
    stem: StemConfig | None = None
    morphology: tuple[int, ...] = ()
    group: int = Field(default=5, ge=1)
    activation: Literal["relu", "abs", "piecewise-linear"] = "relu"

    @model_validator(mode="after")
    def _consistent(self) -> "ModelConfig":
        if any(size < 1 for size in self.input_shape):
            raise ValueError(f"input_shape must be positive (C, H, W), got {self.input_shape}")
        distance = self.family in ("sortnet", "linf-dist")
        if not distance and (self.hidden is not None or self.stem is not None):
            raise ValueError(f"family {self.family!r} has neither an MLP head nor a stem")
        if self.morphology:
            if not distance or self.stem is not None:
                raise ValueError("morphology needs a distance family without a stem")
            if any(side < 3 or side % 2 == 0 for side in self.morphology):
                raise ValueError(f"morphology needs odd sides of at least 3, got {self.morphology}")
            if not 0 <= self.mean <= 1:
                raise ValueError(f"morphology needs a mean in [0, 1], got {self.mean}")
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

    @property
    def sorting_group(self) -> int | None:
        """Units sorted together after each affine layer, or None for the other families."""
        return {"groupsort": self.group, "maxmin": 2}.get(self.family)
