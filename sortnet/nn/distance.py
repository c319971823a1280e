"""Distance and order-statistic layers, shaped like `torch.nn`."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sortnet.certificate.coefficients import geometric_coefficients, to_float32

from . import functional as F


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


def _pair(name: str, value: int | tuple[int, int], least: int) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or any(not isinstance(v, int) or v < least for v in pair):
        raise ValueError(f"{name} must be one or two integers of at least {least}, got {value!r}")
    return pair[0], pair[1]


class _Distance(nn.Module):
    """What linear and convolutional sort layers share: weights, training relaxation, sorted sum.

    In training the output is the l_p distance over a random subset of the inputs (each dropped with
    probability `dropping` (1 - keep), one subset per `group` samples), p set by `self.p`; with
    dropping = 1 a maximum over such a subset is an unbiased estimate of the sorted sum (dropout
    identity). In evaluation it is the sorted sum with the truncated geometric coefficients of
    rho = 1 - keep.
    """

    coefficients_buffer: Tensor

    def __init__(
        self,
        fan_in: int,
        outputs: int,
        keep: float,
        top_k: int,
        bias: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        _positive("top_k", top_k)
        if not 0 < keep <= 1:
            raise ValueError(f"keep must be in (0, 1], got {keep!r}")
        self.keep = keep
        self.rho = to_float32(1 - keep)
        self.k = 1 if self.rho == 0 else min(top_k, fan_in)
        self.p = math.inf
        self.dropping = 1.0
        self.group = 32
        self.weight = nn.Parameter(torch.empty(outputs, fan_in, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(outputs, device=device, dtype=dtype)) if bias else None
        values = torch.tensor(geometric_coefficients(self.rho, self.k), device=device, dtype=dtype)
        self.register_buffer("coefficients_buffer", values, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights ~ N(0, 1), bias 0 (paper, training recipe)."""
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def coefficients(self) -> Tensor:
        """Weights of the order statistics in evaluation: [k], their exact sum at most 1."""
        return self.coefficients_buffer

    def draw_mask(self, batch: int, generator: torch.Generator | None = None) -> Tensor | None:
        """Random inputs kept by each `self.group` rows: bool [ceil(batch / group), fan_in].

        None where everything is kept.
        """
        keep = 1 - self.dropping * (1 - self.keep)
        if keep == 1:
            return None
        rows = math.ceil(batch / self.group)
        device = self.weight.device if generator is None else generator.device
        draw = torch.rand(rows, self.weight.shape[1], generator=generator, device=device)
        return (draw < keep).to(self.weight.device)

    def _neurons(self, x: Tensor, in_mask: Tensor | None, out_mask: Tensor | None) -> Tensor:
        if self.training:
            y = F.lp_distance(x, self.weight, self.p, in_mask, out_mask, self.group)
        elif self.k == 1:
            y = F.lp_distance(x, self.weight)
        else:
            y = F.sort_linear(x, self.weight, self.coefficients())
        return y if self.bias is None else y + self.bias

    def _neuron_bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        return F.sort_linear_bounds(lower, upper, self.weight, self.coefficients(), self.bias)

    def extra_repr(self) -> str:
        return f"keep={self.keep}, k={self.k}, bias={self.bias is not None}"


class SortLinear(_Distance):
    """SortNet layer: u_o(x) = sum_k c_k |x - w_o|_(k) (+ bias_o), 1-Lipschitz in l-inf.

    c is the geometric series of rho = 1 - keep, truncated to `top_k` terms and summing to at most 1
    (paper, SortNet, practical form).

    Args:
        in_features: I.
        out_features: O.
        keep: probability that training keeps an input, in (0, 1]; 1 is the l-inf-distance layer.
        top_k: order statistics used in evaluation, at least 1 (capped at I).
        bias: add a learned constant per neuron.

    Shape:
        Input [..., I], output [..., O], float32 or float64.

    Attributes:
        weight: [O, I]. bias: [O] or None.
        p: exponent of the training relaxation, in [1, inf].
        dropping: share of the dropping that takes place in training, in [0, 1]; 1 unless set.
        group: rows of the flattened input that share a random subset in training.

    Raises:
        ValueError: an argument out of its range; an input of another shape.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        keep: float = 0.7,
        top_k: int = 10,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.in_features = _positive("in_features", in_features)
        self.out_features = _positive("out_features", out_features)
        super().__init__(in_features, out_features, keep, top_k, bias, device, dtype)

    def forward(
        self, x: Tensor, in_mask: Tensor | None = None, out_mask: Tensor | None = None
    ) -> Tensor:
        """[..., I] -> [..., O]. Training draws its own `in_mask` where none is given."""
        if self.training and in_mask is None:
            in_mask = self.draw_mask(math.prod(x.shape[:-1]))
        return self._neurons(x, in_mask, out_mask)

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of the evaluation output for x in [lower, upper], each [..., O]."""
        return self._neuron_bounds(lower, upper)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, {super().extra_repr()}"


class LInfDistLinear(SortLinear):
    """l-inf-distance layer: u_o(x) = max_i |x_i - w_oi| (+ bias_o); SortLinear with keep = 1.

    Shape:
        Input [..., I], output [..., O].
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, 1.0, 1, bias, device, dtype)


class SortConv2d(_Distance):
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
        self.in_channels = _positive("in_channels", in_channels)
        self.out_channels = _positive("out_channels", out_channels)
        self.kernel_size = _pair("kernel_size", kernel_size, 1)
        self.stride = _pair("stride", stride, 1)
        self.padding = _pair("padding", padding, 0)
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
        _positive("channels", channels)
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


class OrderStatisticLinear(nn.Module):
    """General SortNet layer: u_o(x) = sum_k c_ok |x - w_o|_(k) (+ bias_o), every neuron its own c.

    The raw `order_weight` may take any value; `coefficients()` scales each row so that the exact
    sum of its absolute values is at most 1, hence the layer is always 1-Lipschitz in l-inf
    (paper, SortNet, general form). Training and evaluation compute the same.

    Args:
        in_features: I.
        out_features: O.
        order_statistics: K <= I; None means all of them.
        bias: add a learned constant per neuron.

    Shape:
        Input [..., I], output [..., O].
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        order_statistics: int | None = None,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features = _positive("in_features", in_features)
        self.out_features = _positive("out_features", out_features)
        count = _positive(
            "order_statistics", in_features if order_statistics is None else order_statistics
        )
        if count > in_features:
            raise ValueError(f"order_statistics must be at most in_features = {in_features}")
        self.weight = nn.Parameter(
            torch.empty(out_features, in_features, device=device, dtype=dtype)
        )
        self.order_weight = nn.Parameter(
            torch.empty(out_features, count, device=device, dtype=dtype)
        )
        self.bias = (
            nn.Parameter(torch.empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights ~ N(0, 1); the order statistics start with equal weights 1/K; bias 0."""
        nn.init.normal_(self.weight)
        nn.init.constant_(self.order_weight, 1 / self.order_weight.shape[1])
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def coefficients(self) -> Tensor:
        """[O, K]; the exact absolute sum of every row is at most 1."""
        return F.project_rows(self.order_weight)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O]."""
        return F.sort_linear(x, self.weight, self.coefficients(), self.bias)

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds for x in [lower, upper], each [..., O]."""
        return F.sort_linear_bounds(lower, upper, self.weight, self.coefficients(), self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, k={self.order_weight.shape[1]}"
