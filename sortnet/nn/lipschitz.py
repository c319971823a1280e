"""1-Lipschitz affine layers and activations: the families that the paper compares SortNet with."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sortnet.certificate import operations as spec
from sortnet.certificate.operations import Operation, Shape

from . import functional as F
from .arguments import integer, positive
from .layer import Layer, LayerError, affine, array, check_features


class LipschitzLinear(Layer):
    """Affine layer whose rows have absolute sum at most 1: 1-Lipschitz in l-inf (paper, section 1).

    Args:
        in_features: I.
        out_features: O.
        bias: add a learned constant per unit.

    Shape:
        Input [..., I], output [..., O].
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features = positive("in_features", in_features)
        self.out_features = positive("out_features", out_features)
        shape = (self.out_features, self.in_features)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.bias = (
            nn.Parameter(torch.empty(shape[0], device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Every row selects one random input with a random sign, plus noise; bias 0.

        Dense random rows of absolute sum 1 shrink their input by about sqrt(I) per layer.
        """
        nn.init.normal_(self.weight, std=0.25 / self.in_features)
        with torch.no_grad():
            device = self.weight.device
            rows = torch.arange(self.out_features, device=device)
            chosen = torch.randint(self.in_features, (self.out_features,), device=device)
            signs = torch.randint(2, (self.out_features,), device=device) * 2.0 - 1
            self.weight[rows, chosen] += signs.to(self.weight.dtype)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def projected_weight(self) -> Tensor:
        """The weight in use, [O, I]: the exact absolute sum of every row is at most 1."""
        return F.project_rows(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O]."""
        return nn.functional.linear(x, self.projected_weight(), self.bias)

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Interval bounds for x in [lower, upper], rounded to nearest."""
        return F.linear_bounds(lower, upper, self.projected_weight(), self.bias)

    @property
    def lipschitz(self) -> float:
        return 1.0

    def operations(self, shape: Shape) -> Iterator[Operation]:
        check_features("LipschitzLinear", shape, self.in_features)
        yield affine(self.projected_weight(), self.bias)

    def output_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class GroupSort(Layer):
    """Sort every `group` neighbouring units in descending order; 1-Lipschitz in l-inf.

    Args:
        group: at least 1; must divide the number of units.

    Shape:
        Input and output [..., F].
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = positive("group", group)

    def forward(self, x: Tensor) -> Tensor:
        return F.group_sort(x, self.group)

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Exact: order statistics are monotone in every unit."""
        return F.group_sort(lower, self.group), F.group_sort(upper, self.group)

    @property
    def lipschitz(self) -> float:
        return 1.0

    def operations(self, shape: Shape) -> Iterator[Operation]:
        check_features(type(self).__name__, shape)
        if self.group > 1:
            yield spec.GroupSort(self.group)

    def extra_repr(self) -> str:
        return str(self.group)


class MaxMin(GroupSort):
    """GroupSort with groups of 2."""

    def __init__(self) -> None:
        super().__init__(2)

    def extra_repr(self) -> str:
        return ""


class PiecewiseLinear(Layer):
    """A learned 1-Lipschitz piecewise-linear activation, its own for every unit.

    Knots divide [-reach, reach] evenly; the slope of every piece (and of the two ends) is
    clamped to [-1, 1]. With sum_j s_j (clamp(x, t_j, t_{j+1}) - t_j) every piece adds its own part.

    Args:
        features: units F.
        knots: at least 2.
        reach: outermost knots, > 0.

    Shape:
        Input and output [..., F].
    """

    knots: Tensor

    def __init__(
        self,
        features: int,
        knots: int = 5,
        reach: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        features, count = positive("features", features), integer(knots)
        if count is None or count < 2 or not 0 < reach < float("inf"):
            raise ValueError(f"need at least 2 knots and reach > 0, got {knots} and {reach}")
        points = torch.linspace(-reach, reach, count, device=device, dtype=dtype)
        self.register_buffer("knots", points)
        # Start as the absolute value, which keeps the gradient norm everywhere.
        left = torch.arange(count + 1, device=device) < (count + 1) / 2
        slopes = torch.where(left, -1.0, 1.0).to(points.dtype)
        self.slope = nn.Parameter(slopes.repeat(features, 1))

    def check(self) -> None:
        if not bool((self.knots.diff() > 0).all()):
            raise LayerError("PiecewiseLinear has knots that do not ascend")

    def _slopes(self) -> Tensor:
        """Of the pieces, [F, knots + 1]."""
        return self.slope.clamp(-1, 1)

    def forward(self, x: Tensor) -> Tensor:
        slopes = self._slopes()
        t = self.knots
        y = slopes[:, 0] * (x.clamp_max(t[0]) - t[0]) + slopes[:, -1] * (x.clamp_min(t[-1]) - t[-1])
        for j in range(len(t) - 1):
            y = y + slopes[:, j + 1] * (x.clamp(t[j], t[j + 1]) - t[j])
        return y

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """The extremes lie at the ends or at knots inside."""
        candidates = [lower, upper, *(torch.clamp(t, lower, upper) for t in self.knots)]
        values = torch.stack([self(candidate) for candidate in candidates])
        return values.amin(0), values.amax(0)

    @property
    def lipschitz(self) -> float:
        return 1.0

    def operations(self, shape: Shape) -> Iterator[Operation]:
        check_features(type(self).__name__, shape, len(self.slope))
        yield spec.PiecewiseLinear(array(self.knots), array(self._slopes()))


class Abs(Layer):
    """|x|, elementwise; 1-Lipschitz."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Exact: the least is 0 where the interval contains it."""
        least = torch.maximum(lower, -upper).clamp_min(0)
        return least, torch.maximum(lower.abs(), upper.abs())

    @property
    def lipschitz(self) -> float:
        return 1.0

    def operations(self, shape: Shape) -> Iterator[Operation]:
        yield spec.Abs()


class PiecewiseLinearTwin(PiecewiseLinear):
    """PiecewiseLinear with the knots and slopes of an operation, which may be steeper than 1."""

    def __init__(self, op: spec.PiecewiseLinear) -> None:
        super().__init__(len(op.slopes))  # knots and slopes follow
        self.knots = torch.from_numpy(op.knots.copy())
        self.slope.data = torch.from_numpy(op.slopes.copy())

    def _slopes(self) -> Tensor:
        return self.slope


class GroupSortTwin(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return F.group_sort(x, self.size)


def affine_twin(op: spec.Affine) -> nn.Linear:
    linear = nn.Linear(op.W.shape[1], len(op.W))
    linear.weight.data = torch.from_numpy(op.W.copy())
    linear.bias.data = torch.from_numpy(op.b.copy())
    return linear
