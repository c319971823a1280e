"""Minima of windows of chosen maps: openings and closings behind dilations and erosions."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sortnet.certificate.operations import Flatten, Operation, RankFilter, Shape
from sortnet.certificate.rounding import Array

from . import functional as F
from .arguments import integer, positive
from .conv import check_channels
from .layer import Layer


class MinimumMap(NamedTuple):
    """One map of `WindowMinima2d`.

    Attributes:
        channel: which map of the input, from 0.
        side: odd side of the window; 1 takes the entry itself.
        stride: rows and columns from one window to the next, the first around entry (0, 0).
    """

    channel: int
    side: int = 1
    stride: int = 1


class WindowMinima2d(Layer):
    """The smallest entry of each window of chosen maps, as one vector; 1-Lipschitz in l-inf.

    Windows are cut at the border. Behind `Morphology2d`, whose erosions are negated (high - x), the
    minimum over a dilation is a closing and that over an erosion an opening, negated as well; a
    window of one entry hands a map on, with a stride above 1 at a lower resolution. It is one rank
    filter, whose shorter windows repeat their entries.

    Args:
        channels: C.
        maps: at least one; see `MinimumMap`.

    Shape:
        Input [N, C, H, W], output [N, F]: map after map, ceil(H / stride) ceil(W / stride) each.

    Raises:
        ValueError: an argument out of its range; an input of another shape.
    """

    def __init__(self, channels: int, maps: Sequence[MinimumMap | tuple[int, int, int]]) -> None:
        super().__init__()
        self.in_channels = positive("channels", channels)
        if not isinstance(maps, Sequence) or not maps:
            raise ValueError(f"expected a sequence of at least one map, got {maps!r}")
        strange = [each for each in maps if not isinstance(each, tuple) or not 1 <= len(each) <= 3]
        if strange:
            raise ValueError(f"a map is (channel, side, stride), got {strange[0]!r}")
        self.maps = tuple(MinimumMap(*map(integer, each)) for each in maps)  # type: ignore[arg-type]
        for each, given in zip(self.maps, maps, strict=True):
            if (
                None in each
                or not 0 <= each.channel < self.in_channels
                or each.side < 1
                or each.side % 2 == 0
                or each.stride < 1
            ):
                raise ValueError(
                    f"a map is a channel below {self.in_channels}, an odd side and a stride of at "
                    f"least 1, got {tuple(given)!r}"
                )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, F]."""
        if x.ndim != 4 or x.shape[1] != self.in_channels or 0 in x.shape[2:]:
            raise ValueError(f"expected images [N, {self.in_channels}, H, W], got {list(x.shape)}")
        return torch.cat([self._minima(x[:, each.channel, None], each) for each in self.maps], 1)

    def _minima(self, x: Tensor, each: MinimumMap) -> Tensor:
        if each.side == 1:
            return x[..., :: each.stride, :: each.stride].flatten(1)
        padded = nn.functional.pad(-x, (each.side // 2,) * 4, value=-math.inf)
        largest = F.running_max(padded, (each.side, each.side))
        return -largest[..., :: each.stride, :: each.stride].flatten(1)

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Exact: minima are monotone in every entry."""
        return self(lower), self(upper)

    def smoothed(self, x: Tensor, p: float) -> Tensor:
        """The mean of each window: gradients for every entry, whatever p is."""
        patches = torch.from_numpy(self._patches(tuple(x.shape[1:]))).to(x.device)
        return x.flatten(1)[:, patches].mean(2)

    @property
    def lipschitz(self) -> float:
        return 1.0

    def _patches(self, shape: Shape) -> Array:
        """int64 [F, entries]: where the entries of each window lie, repeated to fill a row."""
        _, height, width = shape
        sample = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
        entries = max(each.side for each in self.maps) ** 2
        rows = []
        for channel, side, stride in self.maps:
            reach = side // 2
            for row in range(0, height, stride):
                for column in range(0, width, stride):
                    window = sample[
                        channel,
                        max(0, row - reach) : row + reach + 1,
                        max(0, column - reach) : column + reach + 1,
                    ]
                    rows.append(np.resize(window, entries))
        return np.stack(rows)

    def operations(self, shape: Shape) -> Iterator[Operation]:
        check_channels(type(self).__name__, shape, self.in_channels, 2)
        patches = self._patches(shape)
        yield Flatten()
        yield RankFilter(patches, patches.shape[1])

    def output_shape(self, shape: Shape) -> Shape:
        _, height, width = shape
        return (sum(-(-height // e.stride) * -(-width // e.stride) for e in self.maps),)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, maps={[tuple(each) for each in self.maps]}"
