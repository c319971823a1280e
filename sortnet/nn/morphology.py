"""A signal or an image, its dilations and its erosions."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sortnet.certificate.coefficients import to_float32
from sortnet.certificate.operations import Flatten, Operation, Shape, SortConv, SortNeuron

from . import functional as F
from .arguments import integer, positive
from .conv import check_channels, patch_indices
from .layer import Layer, array

Window = int | tuple[int, ...]
"""The odd side of a square window, or its rows and columns."""


def _odd_window(window: object, dimensions: int) -> Window | None:
    """A window in its one form: a square by its side; None where it is no window."""
    if dimensions == 1 or not isinstance(window, Sequence):
        side = integer(window)
        return side if side is not None and side >= 3 and side % 2 else None
    sides = [integer(side) for side in window]
    odd = tuple(side for side in sides if side is not None and side >= 1 and side % 2)
    if len(odd) != len(sides) or len(odd) != dimensions or max(odd) < 3:
        return None
    return odd[0] if len(set(odd)) == 1 else odd


class _Morphology(Layer):
    """See `Morphology2d`; `_dimensions` is 1 for signals, 2 for images."""

    _dimensions: ClassVar[int]

    def __init__(
        self,
        channels: int,
        windows: Sequence[Window],
        below: float,
        above: float,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.in_channels = positive("channels", channels)
        given = list(windows) if isinstance(windows, Sequence) else []
        odd = [_odd_window(window, self._dimensions) for window in given]
        checked = tuple(window for window in odd if window is not None)
        if not checked or len(checked) != len(given):
            pairs = " or pairs of odd ones (rows, columns)" if self._dimensions == 2 else ""
            raise ValueError(f"windows must be odd integers of at least 3{pairs}, got {windows!r}")
        if not -math.inf < below <= 0 <= above < math.inf or below == above:
            raise ValueError(f"need finite below <= 0 <= above, not equal; got {below}, {above}")
        self.windows = checked
        self.stride = positive("stride", stride)
        # Every entry of a block is one neuron's, so the neurons must see all of it.
        if self.stride - 1 > min(side // 2 for side in self._patching[0]):
            raise ValueError(
                f"a stride of {stride} needs windows of at least {2 * self.stride - 1} entries a "
                f"side, got {windows!r}"
            )
        self.out_channels = self.in_channels * (self.stride**self._dimensions + 2 * len(checked))
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
        state.setdefault("stride", 1)
        super().__setstate__(state)  # type: ignore[no-untyped-call]

    @property
    def _patching(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Kernel, stride and padding of the neurons."""
        sides = tuple(map(max, zip(*map(self._sides, self.windows), strict=True)))
        return sides, (self.stride,) * self._dimensions, tuple(side // 2 for side in sides)

    def _sides(self, window: Window) -> tuple[int, ...]:
        """Of a window, one per dimension."""
        return (window,) * self._dimensions if isinstance(window, int) else window

    def _offsets(self) -> Iterator[tuple[int, ...]]:
        """The places in a block of stride entries a side, in row-major order."""
        return itertools.product(range(self.stride), repeat=self._dimensions)

    def weights(self, like: Tensor | None = None) -> Tensor:
        """The weights as l-inf-distance neurons: [O, C side] or [O, C side side].

        Neutral outside a neuron's window, beyond the range inside it. They follow from the
        arguments, so that no cast of the module changes them.

        Args:
            like: has their dtype and device; float32 on the CPU without it.
        """
        sides, channels = self._patching[0], self.in_channels
        own = torch.eye(channels, dtype=torch.bool).view(channels, channels, *(1,) * len(sides))
        neutral = torch.full((channels, channels, *sides), self.middle, dtype=torch.float32)

        origin, one = (0,) * len(sides), (1,) * len(sides)

        def neuron(
            window: tuple[int, ...], value: float, offset: tuple[int, ...] = origin
        ) -> Tensor:
            inside = torch.ones(sides, dtype=torch.bool)
            for axis, (side, length, past) in enumerate(zip(sides, window, offset, strict=True)):
                near = (torch.arange(side) - side // 2 - past).abs() <= length // 2
                inside &= near.view(-1, *(1,) * (len(sides) - 1 - axis))
            return neutral.masked_fill(own & inside, value)

        neurons = [neuron(one, self.low, offset) for offset in self._offsets()]
        for window in map(self._sides, self.windows):
            neurons += [neuron(window, self.low), neuron(window, self.high)]
        weights = torch.cat(neurons).flatten(1)
        return weights if like is None else weights.to(like.device, like.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, ...] -> [N, out_channels, ...], in training and evaluation."""
        what, sizes = (("signals", "T"), ("images", "H, W"))[self._dimensions - 1]
        if x.ndim != self._dimensions + 2 or x.shape[1] != self.in_channels or 0 in x.shape[2:]:
            raise ValueError(
                f"expected {what} [N, {self.in_channels}, {sizes}], got {list(x.shape)}"
            )
        if x.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"expected float32 or float64 {what}, got {x.dtype}")
        rest = [past for size in reversed(x.shape[2:]) for past in (0, -size % self.stride)]
        whole = nn.functional.pad(x, rest) - self.low
        maps = [whole[self._grid(offset)] for offset in self._offsets()]
        corner = self._grid((0,) * self._dimensions)
        for window in map(self._sides, self.windows):
            room = [side // 2 for side in reversed(window) for _ in range(2)]
            padded = nn.functional.pad(x, room)
            maps.append(F.running_max(padded, window)[corner] - self.low)
            maps.append(F.running_max(-padded, window)[corner] + self.high)
        return torch.cat(maps, 1)

    def _grid(self, offset: tuple[int, ...]) -> tuple[slice, ...]:
        """Every stride-th entry along each dimension, from `offset`."""
        return (slice(None), slice(None), *(slice(past, None, self.stride) for past in offset))

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
        return self.out_channels, *(-(-size // self.stride) for size in shape[1:])

    def extra_repr(self) -> str:
        return f"{self.in_channels}, windows={self.windows}, stride={self.stride}"


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
        windows: at least one; the odd side of a square, at least 3, or the odd numbers of its rows
            and columns, such as (1, 9) for a line.
        below, above: range of the input, finite, below <= 0 <= above (images are padded with 0).
        stride: s, rows and columns from one window to the next, the first around pixel (0, 0); at
            most as far as the largest windows reach, and 1.

    Shape:
        Input [N, C, H, W] with values in [below, above], output
        [N, C (s s + 2 len(windows)), ceil(H / s), ceil(W / s)]: the image, with a stride its
        pixels (0, 0), (0, 1) ... of each block of s x s, then a dilation and an erosion for each
        window, C channels each.

    Raises:
        ValueError: an argument out of its range; an input of another shape or dtype.
    """

    _dimensions = 2


class Morphology1d(_Morphology):
    """The signal, its dilations and its erosions: the running maxima and minima of windows.

    As `Morphology2d`, over windows of a signal.

    Args:
        channels: C.
        windows: odd lengths of the windows, at least one, each at least 3.
        below, above: range of the input, finite, below <= 0 <= above (signals are padded with 0).
        stride: s, entries from one window to the next, as for `Morphology2d`.

    Shape:
        Input [N, C, T] with values in [below, above], output
        [N, C (s + 2 len(windows)), ceil(T / s)]: the signal, with a stride the entries 0, 1 ... of
        each block of s, then a dilation and an erosion for each window, C channels each.

    Raises:
        ValueError: an argument out of its range; an input of another shape or dtype.
    """

    _dimensions = 1
