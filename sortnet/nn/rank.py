"""Rank filters: order statistics of windows, channel by channel."""

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sortnet.certificate.operations import Flatten, Operation, RankFilter, Shape, SpecError

from . import functional as F
from .arguments import per_dimension, positive
from .conv import patch_indices
from .layer import Layer


class _RankFilter(Layer):
    """The k-th largest entry of each window; `_dimensions` is 1 for signals, 2 for images."""

    _dimensions: ClassVar[int]

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        k: int,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
    ) -> None:
        super().__init__()
        self.kernel_size = per_dimension("kernel_size", kernel_size, self._dimensions, 1)
        self.stride = per_dimension("stride", stride, self._dimensions, 1)
        self.padding = per_dimension("padding", padding, self._dimensions, 0)
        self.k = positive("k", k)
        if self.k > math.prod(self.kernel_size):
            raise ValueError(
                f"k must be at most the {math.prod(self.kernel_size)} entries, got {k}"
            )

    def _windows(self, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """[N, C, ...] -> [N C, P, entries], and the grid of the P windows."""
        single = x.flatten(0, 1).unsqueeze(1) if x.ndim == self._dimensions + 2 else x
        return F.unfold_patches(single, self.kernel_size, self.stride, self.padding)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, ...] -> [N, C, ...]."""
        windows, grid = self._windows(x)
        return windows.topk(self.k, dim=2).values[..., -1].reshape(*x.shape[:2], *grid)

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Exact: order statistics are monotone in every entry."""
        return self(lower), self(upper)

    def smoothed(self, x: Tensor, p: float) -> Tensor:
        """The mean of each window: gradients for every entry, whatever p is."""
        windows, grid = self._windows(x)
        return windows.mean(2).reshape(*x.shape[:2], *grid)

    @property
    def lipschitz(self) -> float:
        return 1.0

    def operations(self, shape: Shape) -> Iterator[Operation]:
        if len(shape) != self._dimensions + 1:
            raise SpecError(
                f"{type(self).__name__} expects samples of {self._dimensions + 1} dimensions, "
                f"got {shape}"
            )
        one = patch_indices((1, *shape[1:]), self.kernel_size, self.stride, self.padding)
        size, channels = math.prod(shape[1:]), np.arange(shape[0])[:, None, None]
        patches = np.where(one == size, math.prod(shape), one + size * channels)
        yield Flatten()
        yield RankFilter(patches.reshape(-1, one.shape[1]), self.k)

    def output_shape(self, shape: Shape) -> Shape:
        return shape[0], *F.patch_grid(shape[1:], self.kernel_size, self.stride, self.padding)

    def extra_repr(self) -> str:
        return f"{self.kernel_size}, k={self.k}, stride={self.stride}, padding={self.padding}"


class RankFilter2d(_RankFilter):
    """The k-th largest pixel of each window of each channel; 1-Lipschitz in l-inf.

    k = 1 is a dilation, k = kh kw an erosion, the middle a median filter.

    Args:
        kernel_size, stride, padding: one or two integers, as in nn.MaxPool2d; zeros lie around.
        k: which pixel, in [1, kh kw].

    Shape:
        Input [N, C, H, W], output [N, C, H', W'].

    Raises:
        ValueError: an argument out of its range; an input of another shape.
    """

    _dimensions = 2


class RankFilter1d(_RankFilter):
    """The k-th largest sample of each window of each channel; see `RankFilter2d`.

    Args:
        kernel_size, stride, padding: integers, as in nn.MaxPool1d; zeros lie around.
        k: which sample, in [1, kernel_size].

    Shape:
        Input [N, C, T], output [N, C, T'].

    Raises:
        ValueError: an argument out of its range; an input of another shape.
    """

    _dimensions = 1


class RankFilterTwin(nn.Module):
    """A rank filter on flat samples, by the patches of its operation."""

    def __init__(self, op: RankFilter) -> None:
        super().__init__()
        self.patches = torch.from_numpy(op.patches)
        self.k = op.k

    def _windows(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (0, 1))[:, self.patches]

    def forward(self, x: Tensor) -> Tensor:
        return self._windows(x).topk(self.k, dim=2).values[..., -1]

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """As `RankFilter2d.bounds`."""
        return self(lower), self(upper)

    def smoothed(self, x: Tensor, p: float) -> Tensor:
        """As `RankFilter2d.smoothed`."""
        return self._windows(x).mean(2)
