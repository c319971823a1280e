"""1-Lipschitz affine layers and activations: the families that the paper compares SortNet with."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sortnet.certificate import network as spec
from sortnet.certificate.network import Op, Shape

from . import functional as F
from .arguments import positive
from .layer import Layer, LayerError, affine


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
        self.weight = nn.Parameter(
            torch.empty(out_features, in_features, device=device, dtype=dtype)
        )
        self.bias = (
            nn.Parameter(torch.empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Every row selects one random input with a random sign, plus noise; bias 0.

        Dense random rows of absolute sum 1 shrink their input by about sqrt(I) per layer.
        """
        nn.init.normal_(self.weight, std=0.25 / self.in_features)
        with torch.no_grad():
            rows = torch.arange(self.out_features)
            chosen = torch.randint(self.in_features, (self.out_features,))
            self.weight[rows, chosen] += torch.randint(2, (self.out_features,)) * 2.0 - 1
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

    def operations(self, shape: Shape) -> Iterator[Op]:
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

    def operations(self, shape: Shape) -> Iterator[Op]:
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

    def __init__(self, features: int, knots: int = 5, reach: float = 1.0) -> None:
        super().__init__()
        positive("features", features)
        if knots < 2 or not reach > 0:
            raise ValueError(f"need at least 2 knots and reach > 0, got {knots} and {reach}")
        self.register_buffer("knots", torch.linspace(-reach, reach, knots))
        # Start as the absolute value, which keeps the gradient norm everywhere.
        slopes = torch.where(torch.arange(knots + 1) < (knots + 1) / 2, -1.0, 1.0)
        self.slope = nn.Parameter(slopes.repeat(features, 1))

    def forward(self, x: Tensor) -> Tensor:
        slopes = self.slope.clamp(-1, 1)
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

    def operations(self, shape: Shape) -> Iterator[Op]:
        raise LayerError(
            "PiecewiseLinear has no exported form yet: "
            "its certificates are those of sortnet.evaluation.naive"
        )


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

    def operations(self, shape: Shape) -> Iterator[Op]:
        yield spec.Activation("abs")
