"""What the linear and the convolutional distance layers share."""

import math

import torch
from torch import Tensor, nn

from sortnet.certificate.coefficients import geometric_coefficients, to_float32
from sortnet.certificate.network import SortNeuron

from . import functional as F
from .arguments import positive
from .layer import Layer, array


class Distance(Layer):
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
        positive("top_k", top_k)
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

    @property
    def lipschitz(self) -> float:
        return 1.0

    def _neuron(self) -> SortNeuron:
        """The sort neurons of the evaluation, without their biases."""
        return SortNeuron(array(self.weight), self.rho, self.k)

    def extra_repr(self) -> str:
        return f"keep={self.keep}, k={self.k}, bias={self.bias is not None}"
