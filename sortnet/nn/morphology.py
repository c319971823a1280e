"""A signal or an image, its dilations and its erosions."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sortnet.certificate.coefficients import to_float32
from sortnet.certificate.operations import Flatten, Operation, Shape, SortConv, SortNeuron

from . import functional as F
from .arguments import integer, positive
from .conv import check_channels, patch_indices
from .layer import Layer, array


class _Morphology(Layer):
    """See `Morphology2d`; `_dimensions` is 1 for signals, 2 for images."""

    _dimensions: ClassVar[int]
    _max_pool: ClassVar[Callable[..., Tensor]]

    def __init__(self, channels: int, windows: Sequence[int], below: float, above: float) -> None:
        super().__init__()
        self.in_channels = positive("channels", channels)
        sides = list(map(integer, windows)) if isinstance(windows, Sequence) else []
        odd = tuple(side for side in sides if side is not None and side >= 3 and side % 2 == 1)
        if not odd or len(odd) != len(sides):
            raise ValueError(f"windows must be odd integers of at least 3, got {windows!r}")
        if not -math.inf < below <= 0 <= above < math.inf or below == above:
            raise ValueError(f"need finite below <= 0 <= above, not equal; got {below}, {above}")
        self.windows = odd
        self.out_channels = self.in_channels * (1 + 2 * len(odd))
        # Neutral terms stay neutral up to 1/16 of the range beyond it; see `check_ranges`.
        self.input_range = (float(below), float(above))
        # Beyond half the range, so that neutral terms stay smaller after rounding too.
        room = 0.625 * above - 0.625 * below
        # Float32, so that `forward` and the weights agree in float64 as well.
        self.low, self.high = to_float32(below - room), to_float32(above + room)
        self.middle = to_float32((below + above) / 2)
        if not -math.inf < self.low < self.middle < self.high < math.inf:
            raise ValueError(f"the range {below} to {above} is too narrow or wide for float32")

    def __setstate__(self, state: dict[str, Any]) -> None:
        state["_buffers"].pop("weight", None)  # of version 0.1
        if "input_range" not in state:
            room = (state["high"] - state["low"]) * (5 / 18)  # 5/8 of the range, which is 4/9 of it
            state["input_range"] = (state["low"] + room, state["high"] - room)
        super().__setstate__(state)  # type: ignore[no-untyped-call]

    @property
    def _patching(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Kernel, stride and padding of the neurons."""
        side, count = max(self.windows), self._dimensions
        return (side,) * count, (1,) * count, (side // 2,) * count

    def weights(self, like: Tensor | None = None) -> Tensor:
        """The weights as l-inf-distance neurons: [O, C side] or [O, C side side].

        Neutral outside a neuron's window, beyond the range inside it. They follow from the
        arguments, so that no cast of the module changes them.

        Args:
            like: has their dtype and device; float32 on the CPU without it.
        """
        side, channels = max(self.windows), self.in_channels
        offset = (torch.arange(side) - side // 2).abs()
        # How far from the centre each entry of a patch lies: [side] or [side, side].
        reach = torch.maximum(offset[:, None], offset) if self._dimensions == 2 else offset
        own = torch.eye(channels, dtype=torch.bool).view(channels, channels, *(1,) * reach.ndim)
        neutral = torch.full((channels, channels, *reach.shape), self.middle, dtype=torch.float32)
        kinds = [(0, self.low)]
        for window in self.windows:
            kinds += [(window // 2, self.low), (window // 2, self.high)]
        neurons = [neutral.masked_fill(own & (reach <= limit), value) for limit, value in kinds]
        weights = torch.cat(neurons).flatten(1)
        return weights if like is None else weights.to(like.device, like.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, ...] -> [N, C (1 + 2 len(windows)), ...], in training and evaluation."""
        what, sizes = (("signals", "T"), ("images", "H, W"))[self._dimensions - 1]
        if x.ndim != self._dimensions + 2 or x.shape[1] != self.in_channels or 0 in x.shape[2:]:
            raise ValueError(
                f"expected {what} [N, {self.in_channels}, {sizes}], got {list(x.shape)}"
            )
        if x.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"expected float32 or float64 {what}, got {x.dtype}")
        maps = [x - self.low]
        for window in self.windows:
            padded = nn.functional.pad(x, (window // 2,) * (2 * self._dimensions))
            maps.append(self._max_pool(padded, window, 1) - self.low)
            maps.append(self._max_pool(-padded, window, 1) + self.high)
        return torch.cat(maps, 1)

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of the output for x in [lower, upper], those of the distance neurons."""
        (low, grid), (high, _) = (F.unfold_patches(x, *self._patching) for x in (lower, upper))
        below, above = F.lp_distance_bounds(low, high, self.weights(lower))
        return F.fold_outputs(below, grid), F.fold_outputs(above, grid)

    def smoothed(self, x: Tensor, p: float) -> Tensor:
        """l_p distances in place of extremes: gradients for every input."""
        patches, grid = F.unfold_patches(x, *self._patching)
        return F.fold_outputs(F.lp_distance(patches, self.weights(x), p), grid)

    @property
    def lipschitz(self) -> float:
        return 1.0

    def operations(self, shape: Shape) -> Iterator[Operation]:
        check_channels(type(self).__name__, shape, self.in_channels, self._dimensions)
        yield Flatten()
        patches = patch_indices(shape, *self._patching)
        yield SortConv(patches, SortNeuron(array(self.weights()), 0.0, 1))

    def output_shape(self, shape: Shape) -> Shape:
        return self.out_channels, *shape[1:]

    def extra_repr(self) -> str:
        return f"{self.in_channels}, windows={self.windows}"


class Morphology2d(_Morphology):
    """The image, its dilations and its erosions: fixed l-inf-distance neurons over patches.

    A dilation is the largest pixel of a window around each pixel, an erosion the smallest. They
    tell the layers after them what is bright or dark "somewhere near", which a distance neuron
    over pixels cannot say: it is an OR over pixels, a dilated image brings the OR of an OR. Each
    output is |x - w| at the extreme of its window, since all other terms of its neuron are
    smaller: x - low for the image and dilations, high - x for erosions, where low and high lie
    5/8 of the range beyond `below` and `above`. It has no parameters and no state.

    Args:
        channels: C.
        windows: odd sides of the windows, at least one, each at least 3.
        below, above: range of the input, finite, below <= 0 <= above (images are padded with 0).

    Shape:
        Input [N, C, H, W] with values in [below, above], output [N, C (1 + 2 len(windows)), H, W]:
        the image, then a dilation and an erosion for each window, C channels each.

    Raises:
        ValueError: an argument out of its range; an input of another shape or dtype.
    """

    _dimensions = 2
    _max_pool = staticmethod(nn.functional.max_pool2d)


class Morphology1d(_Morphology):
    """The signal, its dilations and its erosions: the running maxima and minima of windows.

    As `Morphology2d`, over windows of a signal.

    Args:
        channels: C.
        windows: odd lengths of the windows, at least one, each at least 3.
        below, above: range of the input, finite, below <= 0 <= above (signals are padded with 0).

    Shape:
        Input [N, C, T] with values in [below, above], output [N, C (1 + 2 len(windows)), T]: the
        signal, then a dilation and an erosion for each window, C channels each.

    Raises:
        ValueError: an argument out of its range; an input of another shape or dtype.
    """

    _dimensions = 1
    _max_pool = staticmethod(nn.functional.max_pool1d)
