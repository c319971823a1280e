"""Certifies a labelled data set: what `sortnet certify` reports and plots. Imports no torch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sortnet.base.files import atomic_write
from sortnet.base.units import eps_to_float, parse_eps
from sortnet.data.sets import Split

from .runtime import BoolArray, CertifiedSession, FloatArray, IntArray, Prediction

Attack = Callable[[FloatArray, IntArray, float], FloatArray]
"""(images, labels, radius) -> points that it hopes are misclassified."""

BATCH = 512


class ContradictionError(RuntimeError):
    """An attack succeeded inside a certified ball: the certificate or the attack is wrong."""


@dataclass(frozen=True)
class Report:
    """Per-sample results of N samples; radii as they were asked for.

    Attributes:
        truth, label: int64 [N]. radius: float32 [N]. certified: eps -> bool [N], whether the label
        cannot change in the ball. fooled: eps -> bool [N], whether the attack changed a right
        answer; empty without an attack. seconds: of certification alone.
    """

    truth: IntArray
    label: IntArray
    radius: FloatArray
    certified: dict[str, BoolArray]
    fooled: dict[str, BoolArray]
    seconds: float

    @property
    def clean(self) -> float:
        """Fraction classified right."""
        return float((self.label == self.truth).mean())

    def certified_accuracy(self, eps: str) -> float:
        """Fraction classified right with a certificate."""
        return float((self.certified[eps] & (self.label == self.truth)).mean())

    def attacked_accuracy(self, eps: str) -> float:
        """Fraction classified right that the attack could not change: an upper bound."""
        return float(((self.label == self.truth) & ~self.fooled[eps]).mean())


def certify_split(
    session: CertifiedSession,
    split: Split,
    epsilons: Sequence[str],
    attack: Attack | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Report:
    """Certify every sample at every eps.

    Args:
        epsilons: radii in input units, as text ("8/255").
        attack: run beside it on the samples that are classified right.
        progress: called with the number of samples done.

    Raises:
        ValueError: no samples, images of another shape, or labels that the network lacks.
        ContradictionError: the attack entered a certified ball.
    """
    if len(split) == 0:
        raise ValueError("there are no samples to certify")
    split.check(session.network.input_shape, session.network.classes)
    # A certificate at one radius is one at every smaller radius.
    falling = sorted(epsilons, key=parse_eps, reverse=True)
    size = len(split)
    label, radius = np.empty(size, np.int64), np.empty(size, np.float32)
    certified = {eps: np.zeros(size, np.bool_) for eps in epsilons}
    fooled = {eps: np.zeros(size, np.bool_) for eps in epsilons} if attack else {}
    seconds = 0.0
    done = 0
    for x, truth in split.batches(BATCH):
        part = slice(done, done + len(x))
        started = time.perf_counter()
        prediction = session.predict(x)
        label[part], radius[part] = prediction.label, prediction.radius
        proved = np.zeros(len(x), np.bool_)
        for eps in falling:
            rest = np.flatnonzero(~proved)
            some = Prediction(
                prediction.label[rest], prediction.radius[rest], prediction.logits[rest]
            )
            proved[rest] = session.certify(x[rest], eps, some)
            certified[eps][part] = proved
        seconds += time.perf_counter() - started
        for eps in fooled:
            assert attack is not None
            right = np.flatnonzero(prediction.label == truth)
            radius_eps = eps_to_float(eps)
            points = into_ball(attack(x[right], truth[right], radius_eps), x[right], radius_eps)
            fooled[eps][done + right] = session.predict(points).label != truth[right]
            _no_contradiction(certified[eps][part] & fooled[eps][part], done, eps)
        done += len(x)
        progress(done)
    return Report(np.asarray(split.labels), label, radius, certified, fooled, seconds)


def into_ball(point: FloatArray, x: FloatArray, radius: float) -> FloatArray:
    """The float32 point nearest to ``point`` in the ball around x and in the box, exactly.

    Shapes [N, ...]; x in [0, 1]; radius a float32.
    """
    low, high = x.astype(np.float64) - radius, x.astype(np.float64) + radius
    least = np.maximum(low, 0).astype(np.float32)
    most = np.minimum(high, 1).astype(np.float32)
    least = np.where(least < low, np.nextafter(least, np.float32(2)), least)
    most = np.where(most > high, np.nextafter(most, np.float32(-1)), most)
    return np.clip(point, least, most).astype(np.float32)


def _no_contradiction(both: BoolArray, start: int, eps: str) -> None:
    if both.any():
        samples = ", ".join(str(start + i) for i in np.flatnonzero(both)[:10])
        raise ContradictionError(f"an attack entered certified balls at {eps}: samples {samples}")


def summary(report: Report, session: CertifiedSession) -> dict[str, Any]:
    """For machines: fractions of 1, one key per eps, and what the claim covers."""
    proof = session.proof.to_json()
    result: dict[str, Any] = {
        "samples": len(report.truth),
        "clean": report.clean,
        "certified": {eps: report.certified_accuracy(eps) for eps in report.certified},
        "seconds": round(report.seconds, 3),
        "lipschitz": proof["lipschitz"],
        "error_bound": proof["error_bound"],
        "claim": CLAIM,
    }
    if report.fooled:
        result["pgd"] = {eps: report.attacked_accuracy(eps) for eps in report.fooled}
    return result


CLAIM = (
    "for this file run by ONNX Runtime on the CPU in float32, every float32 input in [0, 1] "
    "within the radius of a certified sample in every pixel gets the same label"
)


def write_samples(report: Report, path: Path) -> None:
    """One row per sample as .jsonl or .parquet: index, truth, label, radius, and per eps
    ``certified@eps`` (and ``fooled@eps`` where attacked).

    Raises:
        ValueError: another suffix, or pyarrow is missing for Parquet.
    """
    columns: dict[str, Any] = {
        "index": np.arange(len(report.truth)),
        "truth": report.truth,
        "label": report.label,
        "radius": report.radius,
    }
    columns |= {f"certified@{eps}": values for eps, values in report.certified.items()}
    columns |= {f"fooled@{eps}": values for eps, values in report.fooled.items()}
    if path.suffix == ".jsonl":
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        with atomic_write(path) as temporary, open(temporary, "w") as file:
            for row in rows:
                file.write(json.dumps(dict(zip(columns, row, strict=True))) + "\n")
    elif path.suffix == ".parquet":
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise ValueError("a .parquet file needs pyarrow (pip install pyarrow)") from None
        with atomic_write(path) as temporary:
            parquet.write_table(pyarrow.table(columns), temporary)
    else:
        raise ValueError(f"samples go to a .jsonl or .parquet file, got {path.name!r}")


def plot(report: Report, path: Path, title: str) -> None:
    """Certified accuracy against eps, with the attack's upper bound beside it (PNG, PDF or SVG).

    Raises:
        ValueError: a suffix that matplotlib cannot write, or matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("a plot needs matplotlib (pip install matplotlib)") from None
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    epsilons = sorted(report.certified, key=parse_eps)
    places = [float(parse_eps(eps)) for eps in epsilons]
    right = report.label == report.truth
    if (report.radius[right] > 0).any() and len(np.unique(report.radius)) > 2:
        # The margin radius certifies at every eps at once: a curve, not points.
        grid = np.linspace(0, 1.1 * max(places), 200)
        curve = [float((right & (report.radius >= eps)).mean()) for eps in grid]
        axes.plot(grid, curve, color="C0", alpha=0.5, label="certified (margin)")
    certified = [report.certified_accuracy(eps) for eps in epsilons]
    axes.plot(places, certified, "o", color="C0", label="certified (margin or interval)")
    if report.fooled:
        attacked = [report.clean, *(report.attacked_accuracy(eps) for eps in epsilons)]
        axes.plot([0, *places], attacked, "v--", color="C3", label="upper bound (PGD)")
    axes.axhline(report.clean, color="0.5", linestyle=":", label="clean")
    axes.set(xlabel="ε (pixels in [0, 1])", ylabel="accuracy", title=title, ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=150)
