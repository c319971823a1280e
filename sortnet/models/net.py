"""Networks as configs: SortNet, l-inf-distance nets, and the families they are compared with.

Every model is a `CertifiedNet`: an ordered chain of layers from pixels in [0, 1] to logits, which
export, certificates and the theory read layer by layer.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sortnet.nn import (
    GroupSort,
    LipschitzLinear,
    MeanShift,
    Morphology2d,
    Negate,
    Normalize,
    PiecewiseLinear,
    SortConv2d,
    SortLinear,
)
from sortnet.nn.functional import linear_bounds

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


class Abs(nn.Module):
    """|x|, elementwise."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


class CertifiedNet(nn.Module):
    """A chain of layers from images in [0, 1] to logits.

    Shape:
        Input [N, C, H, W] float32, output [N, classes].

    Attributes:
        config: what it was built from.
        layers: the chain, an nn.Sequential.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(*_chain(config))

    def draw_masks(
        self, batch: int, generator: torch.Generator | None = None
    ) -> dict[int, Tensor | None]:
        """Random input subsets of a training step: position in `layers` of each SortLinear -> mask.

        Args:
            batch: number of samples.
            generator: source of randomness; None is torch's default.
        """
        return {
            position: layer.draw_mask(batch, generator)
            for position, layer in enumerate(self.layers)
            if isinstance(layer, SortLinear)
        }

    def forward(self, x: Tensor, masks: dict[int, Tensor | None] | None = None) -> Tensor:
        """Logits. Training draws masks where none are given; evaluation uses none."""
        return self.head(self.body(x, masks))

    @property
    def head(self) -> nn.Sequential:
        """The layers from the MLP head on; empty in networks without one."""
        return self.layers[self._body_length() :]

    def body(self, x: Tensor, masks: dict[int, Tensor | None] | None = None) -> Tensor:
        """What enters `head`: [N, width] with an MLP head (1-Lipschitz), else the logits."""
        if x.ndim != 4 or x.shape[1:] != self.config.input_shape:
            raise ValueError(
                f"expected images [N, {', '.join(map(str, self.config.input_shape))}], "
                f"got {list(x.shape)}"
            )
        if not self.training:
            masks = {}
        elif masks is None:
            masks = self.draw_masks(len(x))
        wanted = self._wanted_outputs(masks)
        for position, layer in enumerate(self.layers[: self._body_length()]):
            if isinstance(layer, SortLinear):
                x = layer(x, masks.get(position), wanted.get(position))
            elif isinstance(layer, MeanShift) and position - 1 in wanted:
                x = layer(x, wanted[position - 1])
            else:
                x = layer(x)
        return x

    def _body_length(self) -> int:
        return len(self.layers) - (0 if self.config.hidden is None else 3)

    def _wanted_outputs(self, masks: dict[int, Tensor | None]) -> dict[int, Tensor]:
        """Outputs of each SortLinear that the next one reads: the others need not be computed."""
        wanted = {}
        for position, mask in masks.items():
            previous = position - 2
            shifted = isinstance(self.layers[position - 1], MeanShift)
            if mask is not None and shifted and isinstance(self.layers[previous], SortLinear):
                wanted[previous] = mask
        return wanted

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Interval bounds of the logits for inputs in [lower, upper], each [N, classes]."""
        for layer in self.layers:
            lower, upper = layer_bounds(layer, lower, upper)
        return lower, upper


def _chain(config: ModelConfig) -> Iterator[nn.Module]:
    yield Normalize(config.mean, config.std)
    if config.family in ("sortnet", "linf-dist"):
        yield from _distance_chain(config)
    else:
        yield from _affine_chain(config)


def _distance_chain(config: ModelConfig) -> Iterator[nn.Module]:
    inputs, depth = math.prod(config.input_shape), config.depth
    if config.morphology:
        below, above = -config.mean / config.std, (1 - config.mean) / config.std
        morphology = Morphology2d(config.input_shape[0], config.morphology, below, above)
        yield morphology
        yield MeanShift(morphology.out_channels)
        inputs = morphology.out_channels * math.prod(config.input_shape[1:])
    plain = config.hidden is None
    if config.stem is not None:
        stem = config.stem
        conv = SortConv2d(
            config.input_shape[0],
            stem.channels,
            stem.kernel_size,
            stem.stride,
            stem.padding,
            config.keep_pixels,
            config.top_k,
        )
        yield conv
        yield MeanShift(stem.channels)
        sides = [
            (side + 2 * stem.padding - stem.kernel_size) // stem.stride + 1
            for side in config.input_shape[1:]
        ]
        if min(sides) < 1:
            raise ValueError(
                f"a stem kernel of {stem.kernel_size} does not fit into {config.input_shape}"
            )
        channels = stem.channels
        for _ in range(depth - 1 - plain):
            yield SortConv2d(channels, config.width, 1, keep=config.keep, top_k=config.top_k)
            yield MeanShift(config.width)
            channels = config.width
        inputs, depth = channels * math.prod(sides), int(plain)
    yield nn.Flatten()
    for layer in range(depth):
        last = plain and layer == depth - 1
        outputs = config.classes if last else config.width
        first = layer == 0 and config.stem is None
        keep = config.keep_pixels if first else config.keep
        linear = SortLinear(inputs, outputs, keep, config.top_k, bias=last)
        if config.identity is not None:
            rows = torch.arange(outputs)
            with torch.no_grad():
                linear.weight[rows, rows % inputs] = -config.identity
        yield linear
        yield Negate() if last else MeanShift(outputs)
        inputs = outputs
    if config.hidden is not None:
        yield nn.Linear(inputs, config.hidden)
        yield nn.Tanh()
        yield nn.Linear(config.hidden, config.classes)


def _affine_chain(config: ModelConfig) -> Iterator[nn.Module]:
    yield nn.Flatten()
    affine = nn.Linear if config.family == "relu" else LipschitzLinear
    inputs = math.prod(config.input_shape)
    for _ in range(config.depth - 1):
        yield affine(inputs, config.width)
        yield _activation(config)
        inputs = config.width
    yield affine(inputs, config.classes)


def _activation(config: ModelConfig) -> nn.Module:
    if config.sorting_group:
        return GroupSort(config.sorting_group)
    if config.family == "relu" or config.activation == "relu":
        return nn.ReLU()
    return Abs() if config.activation == "abs" else PiecewiseLinear(config.width)


def build_model(config: ModelConfig) -> CertifiedNet:
    """A freshly initialised network (torch's default generator).

    Raises:
        ValueError: the stem does not fit into the image.
    """
    return CertifiedNet(config)


def layer_bounds(layer: nn.Module, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Interval bounds of one layer of a chain.

    Raises:
        TypeError: a layer of an unknown kind.
    """
    if isinstance(layer, nn.Flatten | nn.Tanh | nn.ReLU):
        return layer(lower), layer(upper)
    if isinstance(layer, nn.Linear):
        return linear_bounds(lower, upper, layer.weight, layer.bias)
    if isinstance(layer, Abs):
        least = torch.maximum(lower, -upper).clamp_min(0)
        return least, torch.maximum(lower.abs(), upper.abs())
    bounds = getattr(layer, "bounds", None)
    if bounds is None:
        raise TypeError(f"no interval bounds are known for {type(layer).__name__}")
    return bounds(lower, upper)


def set_p(model: nn.Module, p: float) -> None:
    """Set the exponent of the training relaxation of every distance layer, p in [1, inf]."""
    if not p >= 1:
        raise ValueError(f"p must be in [1, inf], got {p}")
    for layer in _distance_layers(model):
        layer.p = p


def set_dropping(model: nn.Module, share: float) -> None:
    """Set how much of the dropping of inputs takes place in training, share in [0, 1].

    A layer keeps an input with probability 1 - share (1 - keep).
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1], got {share}")
    for layer in _distance_layers(model):
        layer.dropping = share


def _distance_layers(model: nn.Module) -> Iterator[SortLinear | SortConv2d]:
    for module in model.modules():
        if isinstance(module, SortLinear | SortConv2d):
            yield module


@torch.no_grad()
def estimate_means(model: CertifiedNet, batches: Iterable[Tensor]) -> None:
    """Set the running mean of every MeanShift to its mean over `batches`, with sorted sums.

    The model is left in evaluation mode.

    Args:
        model: any chain; without MeanShift nothing happens.
        batches: images [N, C, H, W], each with N >= 1; larger batches estimate better.

    Raises:
        FloatingPointError: a mean is NaN or infinite; names the first such layer. All running means
            are as they were.
    """
    model.eval()
    shifts = {n: layer for n, layer in model.named_modules() if isinstance(layer, MeanShift)}
    if not shifts:
        return
    before = [shift.running_mean.clone() for shift in shifts.values()]
    for shift in shifts.values():
        shift.start_estimate()
    try:
        for batch in batches:
            model(batch)
        for name, shift in shifts.items():
            try:
                shift.finish_estimate()
            except FloatingPointError as error:
                raise FloatingPointError(f"layer {name} (MeanShift): {error}") from None
    except BaseException:
        for shift, mean in zip(shifts.values(), before, strict=True):
            shift.stop_estimate()
            shift.running_mean.copy_(mean)
        raise
