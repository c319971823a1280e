"""Certifies a labelled data set of a regression: bounds of its values and errors. No torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sortnet.base.units import text_up
from sortnet.certificate.network import Network
from sortnet.certificate.rounding import Array
from sortnet.data.sets import Split

from .report import BATCH, exact, named
from .session import CertifiedSession, FloatArray


@dataclass(frozen=True, repr=False)
class ValueReport:
    """Per-sample results of N samples of a regression; radii as they were asked for.

    Attributes:
        names: of the N samples (`Split.sample_names`). truth: float64 [N]. value: float32 [N].
        lower, upper: eps -> float32 [N], bounds that no input of the ball can leave. seconds: of
            certification alone.
    """

    names: tuple[str, ...]
    truth: npt.NDArray[np.float64]
    value: FloatArray
    lower: dict[str, FloatArray]
    upper: dict[str, FloatArray]
    seconds: float

    def __repr__(self) -> str:
        worst = (f"{text_up(self.worst_error(eps))} at {eps}" for eps in self.lower)
        head = f"{len(self.truth)} samples, mean absolute error {self.error:.4g}"
        return f"<ValueReport: {head}, at most {', '.join(worst)}>"

    @property
    def error(self) -> float:
        """Mean absolute error of the values."""
        return float(np.abs(self.value - self.truth).mean())

    def worst(self, eps: str) -> Array:
        """[N]: no input of the ball gets a value that is farther from the truth; float64."""
        lower, upper = (ends[eps].astype(np.float64) for ends in (self.lower, self.upper))
        return np.maximum(self.truth - lower, upper - self.truth)

    def worst_error(self, eps: str) -> float:
        """Mean over the samples of the largest absolute error in the ball: an upper bound."""
        return float(self.worst(eps).mean())

    def width(self, eps: str) -> Array:
        """[N]: upper less lower bound, float64."""
        return self.upper[eps].astype(np.float64) - self.lower[eps]

    def contained(self, eps: str) -> float:
        """Fraction of samples whose truth lies between the bounds."""
        inside = (self.lower[eps] <= self.truth) & (self.truth <= self.upper[eps])
        return float(inside.mean())

    def columns(self) -> dict[str, Array]:
        """For `write_samples`: index, name, truth, value, and per eps ``lower@eps``,
        ``upper@eps``."""
        columns = {**named(self.names), "truth": self.truth, "value": self.value}
        for eps in self.lower:
            columns |= {f"lower@{eps}": self.lower[eps], f"upper@{eps}": self.upper[eps]}
        return columns


def certify_values(
    session: CertifiedSession,
    split: Split,
    epsilons: Sequence[str],
    progress: Callable[[int], None] = lambda count: None,
) -> ValueReport:
    """Bound the value of every sample at every eps.

    Args:
        epsilons: radii in multiples of the unit of each feature, as text.
        progress: called with the number of samples done.

    Raises:
        ValueError: no samples, a classifier, or samples or labels that do not fit.
    """
    if len(split) == 0:
        raise ValueError("there are no samples to certify")
    if not session.network.regression:
        raise ValueError("a classifier has no values to bound: use certify_split")
    spec = session.network.input
    split.check(spec.shape, 0, spec.low, spec.high)
    size = len(split)
    value = np.empty(size, np.float32)
    lower, upper = ({eps: np.empty(size, np.float32) for eps in epsilons} for _ in range(2))
    done = 0
    seconds = 0.0
    for x, _ in split.batches(BATCH):
        part = slice(done, done + len(x))
        started = time.perf_counter()
        for eps in epsilons:
            found = session.predict_interval(x, exact(eps))
            value[part], lower[eps][part], upper[eps][part] = found
        seconds += time.perf_counter() - started
        done += len(x)
        progress(done)
    truth = np.asarray(split.labels, np.float64)
    return ValueReport(split.sample_names, truth, value, lower, upper, seconds)


def value_summary(report: ValueReport, session: CertifiedSession) -> dict[str, Any]:
    """For machines: means over the samples in the target's own unit, one key per eps."""
    proof = session.proof.to_json()
    return {
        "samples": len(report.truth),
        "mean_absolute_error": report.error,
        "certified_mean_absolute_error": {e: report.worst_error(e) for e in report.lower},
        "mean_width": {eps: float(report.width(eps).mean()) for eps in report.lower},
        "contained": {eps: report.contained(eps) for eps in report.lower},
        "seconds": round(report.seconds, 3),
        "lipschitz": proof["lipschitz"],
        "error_bound": proof["error_bound"],
        "claim": value_claim(session.network),
    }


def value_claim(network: Network) -> str:
    """What the report of a regression's file says, with its scope."""
    images = network.input.images
    where = "in [0, 1]" if images else "in the box"
    ball = "in every pixel" if images else "times the unit of each feature"
    return (
        f"for this file run by ONNX Runtime on the CPU in float32, every float32 input {where} "
        f"within the radius of a sample {ball} gets a value between the sample's bounds"
    )
