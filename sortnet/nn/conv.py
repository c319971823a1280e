"""Distance layers over image patches, shaped like `nn.Conv2d`."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from sortnet.certificate.network import Array, Bias, Flatten, Op, Shape, SortConv

from . import functional as F
from .arguments import pair, positive
from .distance import Distance
from .layer import array


class SortConv2d(Distance):
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

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        keep: float = 0.7,
        top_k: int = 10,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.in_channels = positive("in_channels", in_channels)
        self.out_channels = positive("out_channels", out_channels)
        self.kernel_size = pair("kernel_size", kernel_size, 1)
        self.stride = pair("stride", stride, 1)
        self.padding = pair("padding", padding, 0)
        fan_in = in_channels * math.prod(self.kernel_size)
        super().__init__(fan_in, out_channels, keep, top_k, bias, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, O, H', W']."""
        patches, grid = F.unfold_patches(x, self.kernel_size, self.stride, self.padding)
        mask = self.draw_mask(math.prod(patches.shape[:2])) if self.training else None
        return F.fold_outputs(self._neurons(patches, mask, None), grid)

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of the evaluation output for x in [lower, upper], each [N, O, H', W']."""
        low, grid = F.unfold_patches(lower, self.kernel_size, self.stride, self.padding)
        high, _ = F.unfold_patches(upper, self.kernel_size, self.stride, self.padding)
        below, above = self._neuron_bounds(low, high)
        return F.fold_outputs(below, grid), F.fold_outputs(above, grid)

    def smoothed(self, x: Tensor, p: float) -> Tensor:
        """l_p distances in place of order statistics: gradients for every input."""
        patches, grid = F.unfold_patches(x, self.kernel_size, self.stride, self.padding)
        return F.fold_outputs(F.lp_distance(patches, self.weight, p), grid)

    def operations(self, shape: Shape) -> Iterator[Op]:
        yield Flatten()
        yield SortConv(self._patches(shape), self._neuron())
        if self.bias is not None:
            yield Bias(np.repeat(array(self.bias), math.prod(self.output_shape(shape)[1:])))

    def output_shape(self, shape: Shape) -> Shape:
        rows, columns = (
            (size + 2 * pad - kernel) // stride + 1
            for size, kernel, stride, pad in zip(
                shape[1:], self.kernel_size, self.stride, self.padding, strict=True
            )
        )
        return self.out_channels, rows, columns

    def _patches(self, shape: Shape) -> Array:
        """Indices of each patch into the flat image, channel first; its size stands for padding."""
        size = math.prod(shape)
        image = np.arange(size, dtype=np.int64).reshape(shape)
        (top, left), (down, right) = self.padding, self.stride
        padded = np.pad(image, ((0, 0), (top, top), (left, left)), constant_values=size)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.kernel_size, axis=(1, 2))
        windows = windows[:, ::down, ::right]  # [C, H', W', kh, kw]
        patches = windows.transpose(1, 2, 0, 3, 4)
        return np.ascontiguousarray(patches.reshape(-1, self.weight.shape[1]))

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, {super().extra_repr()}"
        )


class LInfDistConv2d(SortConv2d):
    """l-inf distance over image patches: SortConv2d with keep = 1.

    Shape:
        Input [N, C, H, W], output [N, O, H', W'].
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, 1.0, 1, bias, device, dtype
        )
