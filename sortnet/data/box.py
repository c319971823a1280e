"""The box of values that a feature can take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sortnet.base.names import FROM_ZERO, feature_name

WIDEN = 0.1
"""`Box.around` goes beyond the samples by this part of a feature's range, on each side."""


@dataclass(frozen=True, eq=False, repr=False)
class Box:
    """Every sample lies in [low_i, high_i] in each feature i.

    Args:
        low, high: float32 of a sample's shape (without the batch axis), in the features' own units.

    Raises:
        ValueError: of different shapes, not finite, or low > high somewhere.
    """

    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):  # infinities are refused below
            for name in ("low", "high"):
                object.__setattr__(self, name, np.array(getattr(self, name), np.float32))
        if self.low.shape != self.high.shape:
            raise ValueError(f"box: low is {list(self.low.shape)}, high {list(self.high.shape)}")
        if not (np.isfinite(self.low).all() and np.isfinite(self.high).all()):
            raise ValueError("box: low and high must be finite in float32")
        wrong = np.flatnonzero(self.low > self.high)
        if len(wrong):
            at = int(wrong[0])
            raise ValueError(
                f"box: low {self.low.flat[at]:g} > high {self.high.flat[at]:g} in feature {at}"
            )

    def __repr__(self) -> str:
        ends = (f"{end.min():g}..{end.max():g}" for end in (self.low, self.high))
        return f"<Box {list(self.shape)}: low {next(ends)}, high {next(ends)}>"

    @classmethod
    def around(cls, *samples: np.ndarray, names: Sequence[str] | None = None) -> Box:
        """The range of the samples in each feature, widened on each side by a tenth of it.

        Rounded outward to float32, so that every sample lies inside.

        Args:
            samples: float arrays [N, ...] with one shape but for N; all are covered.
            names: of the features, for errors.

        Raises:
            ValueError: no sample, NaN or infinity, or a feature with one value only, as float32
                (its range tells nothing about what values it can take).
        """
        filled = [np.asarray(part, np.float64) for part in samples if len(part)]
        if not filled:
            raise ValueError("a box around the data needs at least one sample")
        for part in filled:
            strange = np.argwhere(~np.isfinite(part.reshape(len(part), -1)))
            if len(strange):
                sample, at = strange[0].tolist()
                kind = "NaN" if np.isnan(part[sample].flat[at]) else "infinity"
                raise ValueError(
                    f"sample {sample}, {feature_name(at, names)}: {kind}; fill it in or leave the "
                    f"sample out{FROM_ZERO}"
                )
        low = np.min([part.min(axis=0) for part in filled], axis=0)
        high = np.max([part.max(axis=0) for part in filled], axis=0)
        with np.errstate(over="ignore"):  # beyond float32 is refused below, by the box itself
            constant = np.flatnonzero(low.astype(np.float32) == high.astype(np.float32))
        if len(constant):
            shown = [feature_name(at, names) for at in constant[:5].tolist()]
            more = f" and {len(constant) - 5} more" if len(constant) > 5 else ""
            raise ValueError(
                f"constant features: {', '.join(shown)}{more} (in float32); leave them out, or "
                "give the box (low and high) of every feature"
            )
        margin = WIDEN * (high - low)
        return cls(_down(low - margin), -_down(-(high + margin)))

    def widened(self, samples: npt.NDArray[np.float32]) -> Box:
        """The smallest box that holds this one and all samples, float32 [N, ...] and finite."""
        if not len(samples):
            return self
        low, high = samples.min(axis=0), samples.max(axis=0)
        return Box(np.minimum(self.low, low), np.maximum(self.high, high))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a sample."""
        return self.low.shape


def _down(values: np.ndarray) -> npt.NDArray[np.float32]:
    """The largest float32 not above each float64."""
    with np.errstate(over="ignore"):  # infinities are refused by the box
        near = values.astype(np.float32)
    return np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)
