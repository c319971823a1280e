"""What the linear and the convolutional distance layers share."""

from __future__ import annotations

import math
import warnings
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sortnet.certificate.coefficients import geometric_coefficients, to_float32

from . import functional as F
from .arguments import positive
from .layer import Layer


class Series(NamedTuple):
    """The truncated geometric series of `rho`: `k` float32 values whose exact sum is at most 1.

    Python numbers, so that no cast, device or initialisation of a module can change them.
    """

    rho: float
    k: int
    values: tuple[float, ...]


def geometric_series(rho: float, k: int) -> Series:
    """The weights of the order statistics of a sort neuron; rho in [0, 1), k at least 1."""
    return Series(to_float32(rho), k, tuple(geometric_coefficients(rho, k)))


_ON_GPU: dict[tuple[object, ...], Tensor] = {}


def _tensor(series: Series, like: Tensor) -> Tensor:
    """The values of a series with the dtype and on the device of `like`.

    On a GPU the same tensor is handed out again: a copy from the host would wait for the GPU and
    cannot be part of a CUDA graph.
    """
    if like.device.type != "cuda" or torch.compiler.is_compiling():
        return torch.tensor(series.values, dtype=like.dtype, device=like.device)
    key = (series, like.dtype, like.device)
    found = _ON_GPU.get(key)
    if found is None:
        with torch.inference_mode(False):  # an inference tensor could not be differentiated
            found = torch.tensor(series.values, dtype=like.dtype, device=like.device)
        if type(found) is Tensor:  # and not one that only traces
            _ON_GPU[key] = found
    return found


class Distance(Layer):
    """What linear and convolutional sort layers share: weights, training relaxation, sorted sum.

    In training the output is the l_p distance over a random subset of the inputs (each dropped with
    probability `dropping` (1 - keep), one subset per `group` samples), p set by `self.p`; with
    dropping = 1 a maximum over such a subset is an unbiased estimate of the sorted sum (dropout
    identity). In evaluation it is the sorted sum with the truncated geometric coefficients of
    rho = 1 - keep.
    """

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
        top_k = positive("top_k", top_k)
        if isinstance(keep, bool) or not 0 < keep <= 1:
            raise ValueError(f"keep must be in (0, 1], got {keep!r}")
        self.keep = float(keep)
        rho = to_float32(1 - self.keep)
        self.series = geometric_series(rho, 1 if rho == 0 else min(top_k, fan_in))
        self.p = math.inf
        self.dropping = 1.0
        self.group = 32
        self.weight = nn.Parameter(torch.empty(outputs, fan_in, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(outputs, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "series" not in state:  # pickled by version 0.1, which kept a buffer
            state["series"] = geometric_series(state.pop("rho"), state.pop("k"))
            state["_buffers"].pop("coefficients_buffer", None)
            state["_non_persistent_buffers_set"].discard("coefficients_buffer")
        super().__setstate__(state)  # type: ignore[no-untyped-call]

    def reset_parameters(self) -> None:
        """Weights ~ N(0, 1), bias 0 (paper, training recipe)."""
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    @property
    def rho(self) -> float:
        """Ratio of the geometric series in evaluation: the float32 nearest to 1 - keep."""
        return self.series.rho

    @property
    def k(self) -> int:
        """Order statistics used in evaluation."""
        return self.series.k

    def coefficients(self) -> Tensor:
        """Weights of the order statistics in evaluation: [k], their exact sum at most 1."""
        return _tensor(self.series, self.weight)

    def draw_mask(self, batch: int, generator: torch.Generator | None = None) -> Tensor | None:
        """Random inputs kept by each `self.group` rows: bool [ceil(batch / group), fan_in].

        None where everything is kept.
        """
        keep = 1 - self.dropping * (1 - self.keep)
        if keep == 1:
            return None
        group = positive("group", self.group)
        rows = (batch + group - 1) // group
        device = self.weight.device
        if generator is None:  # which torch.rand must not be told when it is compiled
            return torch.rand(rows, self.weight.shape[1], device=device) < keep
        draw = torch.rand(rows, self.weight.shape[1], generator=generator, device=generator.device)
        return (draw < keep).to(device)

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

    def extra_repr(self) -> str:
        return f"keep={self.keep}, k={self.k}, bias={self.bias is not None}"


_MOVED = (
    "LInfDistConv2d",
    "LInfDistLinear",
    "Morphology2d",
    "OrderStatisticLinear",
    "SortConv2d",
    "SortLinear",
)


def __getattr__(name: str) -> Any:
    """The layers that version 0.1 kept here, for old imports and pickles; one release long."""
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"sortnet.nn.distance.{name} is now sortnet.nn.{name}; "
        "the old path goes with the next release",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(import_module("sortnet.nn"), name)
