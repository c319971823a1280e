"""Certifies a labelled data set: what `sortnet certify` reports and plots. Imports no torch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sortnet.base.files import atomic_write
from sortnet.base.names import FROM_ZERO
from sortnet.base.percent import certified_percent, percent
from sortnet.base.units import MAX_UNITS_OF_RADIUS, float32_up, parse_eps
from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.rounding import Array
from sortnet.data.sets import Split

from .session import BoolArray, CertifiedSession, FloatArray, IntArray, Prediction

Attack = Callable[[FloatArray, IntArray, float], FloatArray]
"""(images, labels, radius) -> points that it hopes are misclassified."""

BATCH = 512


class ContradictionError(RuntimeError):
    """An attack succeeded inside a certified ball: the certificate or the attack is wrong."""


@dataclass(frozen=True, repr=False)
class Report:
    """Per-sample results of N samples; radii as they were asked for.

    Attributes:
        names: of the N samples (`Split.sample_names`). truth, label: int64 [N]. radius: float32
        [N]. certified: eps -> bool [N], whether the label cannot change in the ball. fooled: eps ->
        bool [N], whether the attack changed a right answer; empty without an attack. seconds: of
        certification alone. outside: int64, the places of samples outside of the box: their radius
        is 0, and an attack leaves them alone.
    """

    names: tuple[str, ...]
    truth: IntArray
    label: IntArray
    radius: FloatArray
    certified: dict[str, BoolArray]
    fooled: dict[str, BoolArray]
    seconds: float
    outside: IntArray = field(default_factory=lambda: np.empty(0, np.int64))

    def __repr__(self) -> str:
        certified = (
            f"{certified_percent(self.certified_accuracy(eps))} at {eps}" for eps in self.certified
        )
        head = f"{len(self.truth)} samples, clean {percent(self.clean)}"
        return f"<Report: {head}, certified {', '.join(certified)}>"

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

    def columns(self) -> dict[str, Array]:
        """For `write_samples`: index, name, truth, label, radius, and per eps ``certified@eps``
        (and ``fooled@eps`` where attacked). The name is the file, key or row."""
        return {
            **named(self.names),
            "truth": self.truth,
            "label": self.label,
            "radius": self.radius,
            **{f"certified@{eps}": values for eps, values in self.certified.items()},
            **{f"fooled@{eps}": values for eps, values in self.fooled.items()},
        }


def named(names: tuple[str, ...]) -> dict[str, Array]:
    """The columns index and name."""
    # Names of files may hold bytes that are no text.
    shown = [name.encode("utf-8", "backslashreplace").decode() for name in names]
    return {"index": np.arange(len(names)), "name": np.array(shown)}


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
    if session.network.regression:
        raise ValueError("a regression has no labels to certify")
    spec = session.network.input
    inside = split.certifiable(spec.shape, session.network.classes, spec.low, spec.high)
    # A certificate at one radius is one at every smaller radius.
    falling = sorted(epsilons, key=exact, reverse=True)
    size = len(split)
    label, radius = np.empty(size, np.int64), np.empty(size, np.float32)
    certified = {eps: np.zeros(size, np.bool_) for eps in epsilons}
    fooled = {eps: np.zeros(size, np.bool_) for eps in epsilons} if attack else {}
    seconds = 0.0
    done = 0
    for x, truth in split.batches(BATCH):
        part = slice(done, done + len(x))
        started = time.perf_counter()
        prediction = session.predict(x, "zero")
        label[part], radius[part] = prediction.label, prediction.radius
        proved = np.zeros(len(x), np.bool_)
        for eps in falling:
            rest = np.flatnonzero(~proved)
            some = Prediction(
                prediction.label[rest], prediction.radius[rest], prediction.logits[rest]
            )
            proved[rest] = session.certify(x[rest], eps, some, "zero")
            certified[eps][part] = proved
        seconds += time.perf_counter() - started
        for eps in fooled:
            assert attack is not None
            right = np.flatnonzero((prediction.label == truth) & inside[part])
            radius_eps = float32_up(exact(eps))
            points = into_ball(
                attack(x[right], truth[right], radius_eps), x[right], radius_eps, spec
            )
            fooled[eps][done + right] = session.predict(points).label != truth[right]
            _no_contradiction(certified[eps][part] & fooled[eps][part], done, eps)
        done += len(x)
        progress(done)
    truths = np.asarray(split.labels)
    outside = np.flatnonzero(~inside)
    return Report(split.sample_names, truths, label, radius, certified, fooled, seconds, outside)


def exact(eps: str) -> Fraction:
    """A radius as it was asked for; whether the inputs allow it, the session says."""
    return parse_eps(eps, MAX_UNITS_OF_RADIUS)


def into_ball(
    point: FloatArray, x: FloatArray, radius: float | FloatArray, spec: InputSpec | None = None
) -> FloatArray:
    """The float32 point nearest to ``point`` in the ball around x and in the box, exactly.

    Shapes [N, ...]; x in the box; radius a float32, or one for each sample. None: images in [0, 1].
    """
    unit, least, most = (1.0, 0.0, 1.0) if spec is None else (spec.unit, spec.low, spec.high)
    wide = x.astype(np.float64)
    step = np.float64(radius) * np.float64(unit)  # exact: two float32
    low = np.maximum(_sum_inward(wide, -step, np.inf), least)
    high = np.minimum(_sum_inward(wide, step, -np.inf), most)
    lower, upper = low.astype(np.float32), high.astype(np.float32)
    lower = np.where(lower < low, np.nextafter(lower, np.float32(np.inf)), lower)
    upper = np.where(upper > high, np.nextafter(upper, np.float32(-np.inf)), upper)
    return np.clip(point, lower, upper).astype(np.float32)


def _sum_inward(x: Array, step: Array, to: float) -> Array:
    """x + step in float64; where that is inexact, not on the outer side of the exact sum."""
    total = x + step
    part = total - x
    error = (x - (total - part)) + (step - part)  # total + error is exact (Knuth)
    outside = error > 0 if to > 0 else error < 0
    return np.where(outside, np.nextafter(total, to), total)


def _no_contradiction(both: BoolArray, start: int, eps: str) -> None:
    if both.any():
        samples = ", ".join(str(start + i) for i in np.flatnonzero(both)[:10])
        raise ContradictionError(
            f"an attack entered certified balls at {eps}: samples {samples}{FROM_ZERO}"
        )


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
        "claim": claim(session.network),
    }
    if session.class_names is not None:
        result["class_names"] = list(session.class_names)
    if len(report.outside):
        result["outside"] = [report.names[place] for place in report.outside]
    if report.fooled:
        result["pgd"] = {eps: report.attacked_accuracy(eps) for eps in report.fooled}
    return result


def claim(network: Network) -> str:
    """What the report of a file says, with its scope."""
    if network.input.images:
        what, ball = "float32 input in [0, 1]", "in every pixel"
    else:
        what, ball = "float32 input in the box", "times the unit of each feature"
    return (
        f"for this file run by ONNX Runtime on the CPU in float32, every {what} "
        f"within the radius of a certified sample {ball} gets the same label"
    )


class PerSample(Protocol):
    """Results of N samples as columns."""

    def columns(self) -> dict[str, Array]:
        """Name -> [N]."""


def write_samples(report: PerSample, path: Path) -> None:
    """One row per sample as .jsonl or .parquet.

    Raises:
        ValueError: another suffix, or pyarrow is missing for Parquet.
    """
    columns = report.columns()
    if path.suffix == ".jsonl":
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
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
    epsilons = sorted(report.certified, key=exact)
    places = [float(exact(eps)) for eps in epsilons]
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
