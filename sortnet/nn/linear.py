"""Distance and order-statistic layers over vectors."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sortnet.certificate.operations import Bias, Operation, OrderStatistic, Shape, SortNeuron

from . import functional as F
from .arguments import positive
from .distance import Distance, geometric_series
from .layer import Layer, array, check_features


class SortLinear(Distance):
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
        self.in_features = positive("in_features", in_features)
        self.out_features = positive("out_features", out_features)
        super().__init__(self.in_features, self.out_features, keep, top_k, bias, device, dtype)

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

    def smoothed(self, x: Tensor, p: float) -> Tensor:
        """l_p distances in place of order statistics: gradients for every input."""
        return F.lp_distance(x, self.weight, p)

    def operations(self, shape: Shape) -> Iterator[Operation]:
        check_features("SortLinear", shape, self.in_features)
        yield SortNeuron(array(self.weight), self.rho, self.k)
        if self.bias is not None:
            yield Bias(array(self.bias))

    def output_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.out_features)

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


class OrderStatisticLinear(Layer):
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
        self.in_features = positive("in_features", in_features)
        self.out_features = positive("out_features", out_features)
        count = positive(
            "order_statistics", in_features if order_statistics is None else order_statistics
        )
        if count > self.in_features:
            raise ValueError(f"order_statistics must be at most in_features = {self.in_features}")

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape, device=device, dtype=dtype))

        self.weight = empty(self.out_features, self.in_features)
        self.order_weight = empty(self.out_features, count)
        self.bias = empty(self.out_features) if bias else None
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

    def operations(self, shape: Shape) -> Iterator[Operation]:
        check_features("OrderStatisticLinear", shape, self.in_features)
        yield OrderStatistic(array(self.weight), array(self.coefficients()))
        if self.bias is not None:
            yield Bias(array(self.bias))

    @property
    def lipschitz(self) -> float:
        return 1.0

    def output_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, k={self.order_weight.shape[1]}"


class SortTwin(SortLinear):
    """SortLinear with the weights of an operation."""

    def __init__(self, op: SortNeuron) -> None:
        super().__init__(op.W.shape[1], len(op.W), 1 - op.rho, op.k)
        self.weight.data = torch.from_numpy(op.W.copy())
        self.series = geometric_series(op.rho, op.k)


class OrderStatisticTwin(nn.Module):
    """OrderStatisticLinear with the weights of an operation."""

    def __init__(self, op: OrderStatistic) -> None:
        super().__init__()
        self.weight = torch.from_numpy(op.W.copy())
        self.coefficients = torch.from_numpy(op.coefficients.copy())

    def forward(self, x: Tensor) -> Tensor:
        return F.sort_linear(x, self.weight, self.coefficients)

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """As `OrderStatisticLinear.bounds`."""
        return F.sort_linear_bounds(lower, upper, self.weight, self.coefficients)
