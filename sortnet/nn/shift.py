"""Layers that move or scale the whole batch by constants."""

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from sortnet.certificate import network as spec
from sortnet.certificate.network import Op, Shape

from .arguments import positive
from .layer import Layer, LayerError, array


class Normalize(Layer):
    """(x - mean) / std with two scalars: pixels in [0, 1] to model units; Lipschitz constant 1/std.

    Args:
        mean: finite.
        std: > 0.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0) -> None:
        super().__init__()
        if not (abs(mean) < float("inf") and 0 < std < float("inf")):
            raise ValueError(f"need a finite mean and std > 0, got {mean} and {std}")
        self.mean = mean
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        return self(lower), self(upper)

    @property
    def lipschitz(self) -> float:
        # Float32 tensors are divided by the nearest float32; the factor covers this division.
        return 1 / min(self.std, float(np.float32(self.std))) * (1 + 2.0**-52)

    def operations(self, shape: Shape) -> Iterator[Op]:
        yield spec.Normalize(float(np.float32(self.mean)), float(np.float32(self.std)))

    def extra_repr(self) -> str:
        return f"mean={self.mean}, std={self.std}"


class Negate(Layer):
    """-x: a logit is a negated distance."""

    def forward(self, x: Tensor) -> Tensor:
        return -x

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        return -upper, -lower

    @property
    def lipschitz(self) -> float:
        return 1.0

    def operations(self, shape: Shape) -> Iterator[Op]:
        yield spec.Negate()


class MeanShift(Layer):
    """Subtract each unit's mean: over the batch in training, the running mean in evaluation.

    No variance, so the layer stays 1-Lipschitz (paper, training recipe). Means are taken over all
    processes of the default process group where there is one. A unit whose batch mean is NaN or
    infinite leaves its running mean as it was: the output shows the fault, the state survives it.

    Args:
        num_features: F.
        momentum: weight of a batch in the running mean, in (0, 1].

    Shape:
        Input and output [N, F] or [N, F, H, W] (mean over N, H and W).
    """

    running_mean: Tensor

    def __init__(self, num_features: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_features = positive("num_features", num_features)
        if not 0 < momentum <= 1:
            raise ValueError(f"momentum must be in (0, 1], got {momentum}")
        self.momentum = momentum
        self.register_buffer("running_mean", torch.zeros(num_features))
        self._estimate: tuple[Tensor, Tensor] | None = None

    def start_estimate(self) -> None:
        """From now on forward subtracts batch means and gathers them for `finish_estimate`."""
        zero = torch.zeros_like(self.running_mean, dtype=torch.float64)
        self._estimate = (zero, zero.clone())

    def finish_estimate(self) -> None:
        """Set the running mean to the mean of all that was seen since `start_estimate`.

        Raises:
            FloatingPointError: a mean is NaN or infinite; the running mean is left as it was.
        """
        if self._estimate is None:
            raise RuntimeError("finish_estimate without start_estimate")
        total, count = self._estimate
        self._estimate = None
        mean = (total / count.clamp_min(1)).to(self.running_mean.dtype)
        wrong = int((~mean.isfinite()).sum())
        if wrong:
            raise FloatingPointError(f"the means of {wrong} of {len(mean)} units are not finite")
        self.running_mean.copy_(mean)

    def stop_estimate(self) -> None:
        """Forget what was gathered since `start_estimate`, if anything was."""
        self._estimate = None

    def forward(self, x: Tensor, mask: Tensor | None = None, group: int = 32) -> Tensor:
        """Shift x.

        Args:
            x: [N, F] or [N, F, H, W].
            mask: bool [ceil(N / group), F]: units that were computed; the others (0 in x) do not
                count. Training only.
            group: samples per mask row.
        """
        if x.ndim not in (2, 4) or x.shape[1] != self.num_features:
            raise ValueError(
                f"expected [N, {self.num_features}] or [N, {self.num_features}, H, W], "
                f"got {list(x.shape)}"
            )
        shape = (-1,) if x.ndim == 2 else (-1, 1, 1)
        if not self.training and self._estimate is None:
            return x - self.running_mean.view(shape)
        total, count = self._batch_sums(x, mask, group)
        mean = total / count.clamp_min(1)
        with torch.no_grad():
            if self._estimate is not None:
                self._estimate = (self._estimate[0] + total, self._estimate[1] + count)
            else:
                step = self.momentum * (mean - self.running_mean).to(self.running_mean.dtype)
                moved = self.running_mean + step
                sound = (count > 0) & moved.isfinite()
                self.running_mean.copy_(moved.where(sound, self.running_mean))
        return x - mean.view(shape)

    def _batch_sums(self, x: Tensor, mask: Tensor | None, group: int) -> tuple[Tensor, Tensor]:
        """Sum and count per unit, over all processes."""
        dims = (0,) if x.ndim == 2 else (0, 2, 3)
        total = x.sum(dims)
        if mask is None:
            count = torch.full_like(total, x.numel() // self.num_features)
        else:
            rows = torch.full((mask.shape[0],), group, device=x.device)
            if mask.shape[0]:
                rows[-1] = x.shape[0] - group * (mask.shape[0] - 1)
            count = (mask * rows[:, None]).sum(0).to(total.dtype)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            total = _SumOverProcesses.apply(total)
            count = _SumOverProcesses.apply(count)
        return total, count

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of the evaluation output."""
        shape = (-1,) if lower.ndim == 2 else (-1, 1, 1)
        shift = self.running_mean.view(shape)
        return lower - shift, upper - shift

    @property
    def lipschitz(self) -> float:
        return 1.0

    def operations(self, shape: Shape) -> Iterator[Op]:
        if self._estimate is not None:
            raise LayerError("MeanShift is in the middle of an estimate of its means")
        yield spec.Shift(np.repeat(array(self.running_mean), math.prod(shape[1:])))

    def extra_repr(self) -> str:
        return str(self.num_features)


class _SumOverProcesses(torch.autograd.Function):
    """All-reduce whose gradient is the all-reduce of the gradients."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx, dy: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        dy = dy.clone()
        dist.all_reduce(dy)
        return dy
