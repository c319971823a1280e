"""Pictures of runs, as PNG files written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sortnet.base.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def accuracy_plot(
    path: Path,
    title: str,
    clean: float,
    pgd: dict[float, float],
    certified: dict[float, float],
    radii: np.ndarray | None = None,
) -> None:
    """Accuracy against eps.

    Args:
        clean: fraction of 1. pgd, certified: the same by eps in pixels.
        radii: margin radius of each sample (0 where misclassified): drawn as the curve
            "certified by the margin at every eps".
    """

    def draw(axes: Axes) -> None:
        end = 1.15 * max(certified)
        if radii is not None:
            eps = np.linspace(0, end, 300)
            ordered = np.sort(radii)
            share = 1 - np.searchsorted(ordered, eps, side="left") / len(ordered)
            axes.plot(eps[1:], 100 * share[1:], color="C0", label="certified by the margin")
        axes.plot(list(certified), [100 * v for v in certified.values()], "C0o", label="certified")
        if pgd:
            axes.plot(list(pgd), [100 * v for v in pgd.values()], "C3v--", label="PGD")
        axes.axhline(100 * clean, color="0.5", linestyle=":", label="clean")
        axes.set(xlabel="eps (pixels in [0, 1])", ylabel="accuracy (%)", xlim=(0, end))
        axes.set(ylim=(0, 101), title=title)
        axes.grid(alpha=0.3)
        axes.legend()

    _save(path, draw)


def training_plot(path: Path, title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Running loss, clean and certified estimates of metrics.jsonl against epochs, with p."""
    rows = [row for row in rows if "loss" in row]

    def draw(axes: Axes) -> None:
        epochs = [row["epoch"] for row in rows]
        for key, color in (("clean", "C2"), ("certified", "C0")):
            axes.plot(epochs, [100 * row[key] for row in rows], color, label=f"{key} (%)")
        axes.plot(epochs, [100 * row["loss"] for row in rows], "C1", label="100 x loss")
        axes.set(xlabel="epoch", ylim=(0, 101), title=f"{title}, on training batches")
        axes.grid(alpha=0.3)
        finite = [(row["epoch"], row["p"]) for row in rows if "p" in row]
        if finite:
            right = axes.twinx()
            right.semilogy(*zip(*finite, strict=True), "0.6", linestyle="--")
            right.set_ylabel("p (dashed)")
        axes.legend()

    _save(path, draw)


def comparison_plot(path: Path, title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Bars of clean, PGD and certified accuracy (mean, with std) for each family.

    Args:
        rows: dicts with "name" and, for each of the three, {"mean", "std"} in fractions of 1.
    """

    def draw(axes: Axes) -> None:
        place = np.arange(len(rows))
        bars = ((-0.27, "clean", "0.6"), (0, "pgd", "C3"), (0.27, "certified", "C0"))
        for offset, key, color in bars:
            means = [100 * row[key]["mean"] for row in rows]
            spread = [100 * row[key]["std"] for row in rows]
            axes.bar(place + offset, means, 0.26, yerr=spread, color=color, label=key)
        axes.set_xticks(place, [row["name"] for row in rows], rotation=20, ha="right")
        axes.set(ylabel="accuracy (%)", title=title)
        axes.grid(axis="y", alpha=0.3)
        axes.legend()

    _save(path, draw)


def _save(path: Path, draw: Callable[[Axes], None]) -> None:
    # A Figure of its own: no pyplot, hence no global state and no display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    draw(figure.add_subplot())
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)
