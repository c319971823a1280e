"""The image, its dilations and its erosions."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sortnet.certificate.coefficients import to_float32

from .arguments import positive
from .conv import LInfDistConv2d


class Morphology2d(LInfDistConv2d):
    """The image, its dilations and its erosions: fixed l-inf-distance neurons over patches.

    A dilation is the largest pixel of a window around each pixel, an erosion the smallest. They
    tell the layers after them what is bright or dark "somewhere near", which a distance neuron
    over pixels cannot say: it is an OR over pixels, a dilated image brings the OR of an OR. Each
    output is |x - w| at the extreme of its window, since all other terms of its neuron are
    smaller: x - low for the image and dilations, high - x for erosions, where low and high lie
    5/8 of the range beyond `below` and `above`.

    Args:
        channels: C.
        windows: odd sides of the windows, at least one, each at least 3.
        below, above: range of the input, finite, below <= 0 <= above (images are padded with 0).

    Shape:
        Input [N, C, H, W] with values in [below, above], output [N, C (1 + 2 len(windows)), H, W]:
        the image, then a dilation and an erosion for each window, C channels each.

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(
        self,
        channels: int,
        windows: Sequence[int],
        below: float,
        above: float,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        positive("channels", channels)
        if (
            not isinstance(windows, Sequence)
            or not windows
            or any(
                isinstance(side, bool) or not isinstance(side, int) or side < 3 or side % 2 == 0
                for side in windows
            )
        ):
            raise ValueError(f"windows must be odd integers of at least 3, got {windows!r}")
        if not -math.inf < below <= 0 <= above < math.inf or below == above:
            raise ValueError(f"need finite below <= 0 <= above, not equal; got {below}, {above}")
        self.windows = tuple(windows)
        # Beyond half the range, so that neutral terms stay smaller after rounding too.
        room = 0.625 * above - 0.625 * below
        # Float32, so that `forward` and the weights agree in float64 as well.
        self.low, self.high = to_float32(below - room), to_float32(above + room)
        self.middle = to_float32((below + above) / 2)
        if not -math.inf < self.low < self.middle < self.high < math.inf:
            raise ValueError(f"the range {below} to {above} is too narrow or wide for float32")
        side = max(windows)
        outputs = channels * (1 + 2 * len(windows))
        super().__init__(channels, outputs, side, 1, side // 2, device=device, dtype=dtype)
        weight = self.weight.detach()
        del self.weight
        self.register_buffer("weight", weight, persistent=False)  # follows from the arguments

    def reset_parameters(self) -> None:
        """The fixed weights: neutral outside a neuron's window, beyond the range inside it."""
        side = max(self.windows)
        centre = side // 2
        with torch.no_grad():
            neurons = self.weight.view(-1, self.in_channels, self.in_channels, side, side)
            neurons.fill_(self.middle)
            own = torch.arange(self.in_channels)
            neurons[0, own, own, centre, centre] = self.low
            for index, window in enumerate(self.windows):
                inside = slice(centre - window // 2, centre + window // 2 + 1)
                neurons[2 * index + 1, own, own, inside, inside] = self.low
                neurons[2 * index + 2, own, own, inside, inside] = self.high

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C (1 + 2 len(windows)), H, W], in training and evaluation."""
        if x.ndim != 4 or x.shape[1] != self.in_channels or 0 in x.shape[2:]:
            raise ValueError(f"expected images [N, {self.in_channels}, H, W], got {list(x.shape)}")
        maps = [x - self.low]
        for window in self.windows:
            pad = (window // 2,) * 4
            padded = nn.functional.pad(x, pad)
            maps.append(nn.functional.max_pool2d(padded, window, 1) - self.low)
            maps.append(nn.functional.max_pool2d(-padded, window, 1) + self.high)
        return torch.cat(maps, 1)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, windows={self.windows}"
