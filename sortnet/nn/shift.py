"""Layers that move or scale the whole batch by constants."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn

from sortnet.certificate import operations as spec
from sortnet.certificate.operations import Operation, Shape, SpecError
from sortnet.certificate.rounding import Array

from .arguments import positive
from .layer import Layer, LayerError, array


class Normalize(Layer):
    """(x - mean) / std: pixels in [0, 1] or features to model units; Lipschitz constant 1/min(std).

    Args:
        mean: finite; a number, or an array of the shape of a sample, one for each feature.
        std: > 0; likewise.

    Shape:
        Input and output [N, ...]; with arrays [N, *shape].
    """

    def __init__(self, mean: npt.ArrayLike = 0.0, std: npt.ArrayLike = 1.0) -> None:
        super().__init__()
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (np.asarray(std) > 0).all()):
            raise ValueError(f"need a finite mean and std > 0, got {mean} and {std}")
        self.mean: float | npt.NDArray[np.float32]
        self.std: float | npt.NDArray[np.float32]
        if np.ndim(mean) or np.ndim(std):
            # Not buffers: a cast of the model to half and back must not change them.
            pair = np.broadcast_arrays(np.asarray(mean, np.float32), np.asarray(std, np.float32))
            self.mean, self.std = (np.ascontiguousarray(numbers) for numbers in pair)
            if not (self.std > 0).all():
                raise ValueError("need std > 0 in float32 too")
        else:
            self.mean, self.std = float(np.asarray(mean)), float(np.asarray(std))

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.mean, float):
            return (x - self.mean) / self.std
        if x.shape[1:] != self.mean.shape:
            raise ValueError(f"expected inputs [N, {', '.join(map(str, self.mean.shape))}]")
        mean, std = (torch.from_numpy(numbers).to(x) for numbers in (self.mean, self.std))
        return (x - mean) / std

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        return self(lower), self(upper)

    @property
    def lipschitz(self) -> float:
        # Float32 tensors are divided by the nearest float32; the factor covers this division.
        least = float(np.min(self.std))
        return 1 / min(least, float(np.float32(least))) * (1 + 2.0**-52)

    def operations(self, shape: Shape) -> Iterator[Operation]:
        if isinstance(self.mean, float):
            yield spec.Normalize(float(np.float32(self.mean)), float(np.float32(self.std)))
        else:
            yield spec.Normalize(self.mean, self.std)

    def extra_repr(self) -> str:
        if isinstance(self.mean, float):
            return f"mean={self.mean}, std={self.std}"
        return f"one mean and std for each of {list(self.mean.shape)}"


class Negate(Layer):
    """-x: a logit is a negated distance."""

    def forward(self, x: Tensor) -> Tensor:
        return -x

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        return -upper, -lower

    @property
    def lipschitz(self) -> float:
        return 1.0

    def operations(self, shape: Shape) -> Iterator[Operation]:
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
        Input and output [N, F], [N, F, T] or [N, F, H, W] (mean over all but F).

    Raises:
        ValueError: an input of another shape; one value per unit, which would become 0 whatever it
            is, in training or an estimate (as nn.BatchNorm1d).
    """

    running_mean: Tensor

    def __init__(
        self,
        num_features: int,
        momentum: float = 0.1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_features = positive("num_features", num_features)
        if not 0 < momentum <= 1:
            raise ValueError(f"momentum must be in (0, 1], got {momentum}")
        self.momentum = momentum
        mean = torch.zeros(self.num_features, device=device, dtype=dtype)
        self.register_buffer("running_mean", mean)
        self._estimate: tuple[Tensor, Tensor] | None = None

    def check(self) -> None:
        if self._estimate is not None:
            raise LayerError("MeanShift is in the middle of an estimate of its means")

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

    def forward(self, x: Tensor, mask: Tensor | None = None, group: int | None = None) -> Tensor:
        """Shift x.

        Args:
            x: [N, F], [N, F, T] or [N, F, H, W].
            mask: bool [ceil(N / group), F]: units that were computed; the others (0 in x) do not
                count. Training only.
            group: samples per mask row: the `group` of the layer that drew the mask.
        """
        if x.ndim not in (2, 3, 4) or x.shape[1] != self.num_features:
            raise ValueError(
                f"expected [N, {self.num_features}], [N, {self.num_features}, T] or "
                f"[N, {self.num_features}, H, W], got {list(x.shape)}"
            )
        shape = (-1, *(1,) * (x.ndim - 2))
        if not self.training and self._estimate is None:
            return x - self.running_mean.view(shape)
        total, count = self._batch_sums(x, mask, group)
        mean = total / count.clamp_min(1)
        with torch.no_grad():
            if self._estimate is not None:
                sums, counts = self._estimate
                self._estimate = (sums + total.detach(), counts + count)
            else:
                old = self.running_mean
                moved = old + self.momentum * (mean.detach() - old).to(old.dtype)
                sound = (count > 0) & moved.isfinite()
                self.running_mean.copy_(moved.where(sound, old))
        return x - mean.view(shape)

    def _batch_sums(
        self, x: Tensor, mask: Tensor | None, group: int | None
    ) -> tuple[Tensor, Tensor]:
        """Sum and count per unit, over all processes."""
        alone = not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1)
        if alone and x.numel() == self.num_features:
            raise ValueError(
                f"expected more than one value per unit, got {list(x.shape)}: "
                "less its own mean it would be 0"
            )
        total = x.sum((0, *range(2, x.ndim)))
        if mask is None:
            count = torch.full_like(total, x.numel() // self.num_features)
        else:
            batch = x.shape[0]
            if group is None or group < 1 or x.ndim != 2:
                raise ValueError("a mask needs inputs [N, F] and the group of samples per row")
            if mask.dtype != torch.bool or mask.shape != ((batch + group - 1) // group, x.shape[1]):
                raise ValueError(
                    f"expected a bool mask [ceil({batch} / {group}), {x.shape[1]}], "
                    f"got {mask.dtype} {list(mask.shape)}"
                )
            rows = torch.full((mask.shape[0],), group, device=x.device)
            if mask.shape[0]:
                rows[-1] = batch - group * (mask.shape[0] - 1)
            count = (mask * rows[:, None]).sum(0).to(total.dtype)
        if not alone:
            total = _SumOverProcesses.apply(total)
            count = _SumOverProcesses.apply(count)
        return total, count

    def bounds(self, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of the evaluation output."""
        shift = self.running_mean.view(-1, *(1,) * (lower.ndim - 2))
        return lower - shift, upper - shift

    @property
    def lipschitz(self) -> float:
        return 1.0

    def operations(self, shape: Shape) -> Iterator[Operation]:
        if shape[0] != self.num_features:
            raise SpecError(f"MeanShift expects {self.num_features} units, got shape {shape}")
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


class AddTwin(nn.Module):
    def __init__(self, values: Array) -> None:
        super().__init__()
        self.values = torch.from_numpy(values.copy())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.values


class NormalizeTwin(nn.Module):
    """Normalisation with scalars, or with a mean and a standard deviation for each feature."""

    def __init__(self, op: spec.Normalize) -> None:
        super().__init__()
        self.mean = torch.tensor(op.mean)
        self.std = torch.tensor(op.std)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std
