"""Distance layers over patches of signals and images, shaped like `nn.Conv1d` and `nn.Conv2d`."""

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sortnet.certificate.operations import (
    Bias,
    Flatten,
    Operation,
    Shape,
    SortConv,
    SortNeuron,
    SpecError,
)
from sortnet.certificate.rounding import Array

from . import functional as F
from .arguments import per_dimension, positive
from .distance import Distance
from .layer import array
from .linear import SortTwin


def patch_indices(
    shape: Shape, kernel_size: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
) -> Array:
    """Where each entry of each patch of `functional.unfold_patches` lies in one flat sample.

    Args:
        shape: of one sample, (C, T) or (C, H, W).
        kernel_size, stride, padding: per dimension.

    Returns:
        int64 [P, C k] or [P, C kh kw]; the size of the sample stands for the zeros around it.

    Raises:
        SpecError: the kernel does not fit in.
    """
    if min(F.patch_grid(shape[1:], kernel_size, stride, padding)) < 1:
        raise SpecError(f"kernel {kernel_size} does not fit into {shape} padded by {padding}")
    size, spatial = math.prod(shape), tuple(range(1, len(shape)))
    sample = np.arange(size, dtype=np.int64).reshape(shape)
    around = ((0, 0), *((pad, pad) for pad in padding))
    padded = np.pad(sample, around, constant_values=size)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel_size, axis=spatial)
    steps = (slice(None), *(slice(None, None, step) for step in stride))
    windows = windows[steps]  # [C, *grid, *kernel]
    patches = windows.transpose(*spatial, 0, *range(len(shape), windows.ndim))
    return np.ascontiguousarray(patches.reshape(-1, shape[0] * math.prod(kernel_size)))


def check_channels(name: str, shape: Shape, channels: int, dimensions: int) -> None:
    """Make sure that samples of `shape` are what a layer over patches takes.

    Raises:
        SpecError: another number of dimensions or channels.
    """
    if len(shape) != dimensions + 1 or shape[0] != channels:
        sizes = ("T",) if dimensions == 1 else ("H", "W")
        wanted = ", ".join(map(str, (channels, *sizes)))
        raise SpecError(f"{name} expects samples of shape ({wanted}), got {shape}")


class _SortConv(Distance):
    """SortNet neuron over zero-padded patches; `_dimensions` is 1 for signals, 2 for images."""

    _dimensions: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        keep: float = 0.7,
        top_k: int = 10,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.in_channels = positive("in_channels", in_channels)
        self.out_channels = positive("out_channels", out_channels)
        self.kernel_size = per_dimension("kernel_size", kernel_size, self._dimensions, 1)
        self.stride = per_dimension("stride", stride, self._dimensions, 1)
        self.padding = per_dimension("padding", padding, self._dimensions, 0)
        fan_in = self.in_channels * math.prod(self.kernel_size)
        super().__init__(fan_in, self.out_channels, keep, top_k, bias, device, dtype)

    def _unfold(self, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        return F.unfold_patches(x, self.kernel_size, self.stride, self.padding)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, ...] -> [N, O, ...]."""
        patches, grid = self._unfold(x)
        mask = self.draw_mask(patches.shape[0] * patches.shape[1]) if self.training else None
        return F.fold_outputs(self._neurons(patches, mask, None), grid)

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of the evaluation output for x in [lower, upper], each [N, O, ...]."""
        (low, grid), (high, _) = self._unfold(lower), self._unfold(upper)
        below, above = self._neuron_bounds(low, high)
        return F.fold_outputs(below, grid), F.fold_outputs(above, grid)

    def smoothed(self, x: Tensor, p: float) -> Tensor:
        """l_p distances in place of order statistics: gradients for every input."""
        patches, grid = self._unfold(x)
        return F.fold_outputs(F.lp_distance(patches, self.weight, p), grid)

    def operations(self, shape: Shape) -> Iterator[Operation]:
        check_channels(type(self).__name__, shape, self.in_channels, self._dimensions)
        patches = patch_indices(shape, self.kernel_size, self.stride, self.padding)
        yield Flatten()
        yield SortConv(patches, SortNeuron(array(self.weight), self.rho, self.k))
        if self.bias is not None:
            yield Bias(np.repeat(array(self.bias), len(patches)))

    def output_shape(self, shape: Shape) -> Shape:
        grid = F.patch_grid(shape[1:], self.kernel_size, self.stride, self.padding)
        return self.out_channels, *grid

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, {super().extra_repr()}"
        )


class SortConv2d(_SortConv):
    """SortNet neuron over zero-padded image patches, shaped like nn.Conv2d; 1-Lipschitz.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size, stride, padding: one or two integers, as in nn.Conv2d.
        keep, top_k, bias: as in SortLinear; a random subset is drawn per `group` patches.

    Shape:
        Input [N, C, H, W], output [N, O, H', W'].

    Attributes:
        weight: [O, C kh kw], patches flattened channel first.
    """

    _dimensions = 2


class SortConv1d(_SortConv):
    """SortNet neuron over zero-padded windows of a signal, shaped like nn.Conv1d; 1-Lipschitz.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size, stride, padding: an integer each, as in nn.Conv1d.
        keep, top_k, bias: as in SortLinear; a random subset is drawn per `group` windows.

    Shape:
        Input [N, C, T], output [N, O, T'].

    Attributes:
        weight: [O, C k], windows flattened channel first.
    """

    _dimensions = 1


class LInfDistConv2d(SortConv2d):
    """l-inf distance over image patches: SortConv2d with keep = 1.

    Shape:
        Input [N, C, H, W], output [N, O, H', W'].
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, 1.0, 1, bias, device, dtype
        )


class LInfDistConv1d(SortConv1d):
    """l-inf distance over windows of a signal: SortConv1d with keep = 1.

    Shape:
        Input [N, C, T], output [N, O, T'].
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, 1.0, 1, bias, device, dtype
        )


class ConvTwin(nn.Module):
    def __init__(self, op: SortConv) -> None:
        super().__init__()
        self.neuron = SortTwin(op.neuron)
        self.patches = torch.from_numpy(op.patches)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.neuron(self._rows(x))
        return y.transpose(1, 2).flatten(1)

    def smoothed(self, x: Tensor, p: float) -> Tensor:
        """As `sortnet.nn.SortConv2d.smoothed`."""
        return self.neuron.smoothed(self._rows(x), p).transpose(1, 2).flatten(1)

    def _rows(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (0, 1))[:, self.patches]
