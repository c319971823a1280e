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


def comparison_plot(
    path: Path, title: str, radii: Sequence[str], rows: Sequence[dict[str, Any]]
) -> None:
    """Bars of clean, PGD and certified accuracy (mean, with std) for each family.

    Args:
        radii: one pair of PGD and certified bars for each, darker for smaller ones.
        rows: dicts with "name", "clean": {"mean", "std"} in fractions of 1 (std None for one run),
            and "pgd", "certified": the same by radius.
    """

    def draw(axes: Axes) -> None:
        place = np.arange(len(rows))
        bars = [("clean", "0.6", 1.0, [row["clean"] for row in rows])]
        for number, eps in enumerate(radii):
            shade = 1 - 0.7 * number / len(radii)
            for key, color in (("pgd", "C3"), ("certified", "C0")):
                label = f"{'PGD' if key == 'pgd' else key} {eps}"
                bars.append((label, color, shade, [row[key][eps] for row in rows]))
        width = 0.84 / len(bars)
        for number, (label, color, shade, cells) in enumerate(bars):
            means = [100 * cell["mean"] for cell in cells]
            spread = [100 * (cell["std"] or 0) for cell in cells]
            offset = (number - (len(bars) - 1) / 2) * width
            axes.bar(
                place + offset,
                means,
                0.95 * width,
                yerr=spread if any(spread) else None,
                color=color,
                alpha=shade,
                label=label,
            )
        axes.set_xticks(place, [row["name"] for row in rows], rotation=20, ha="right")
        axes.set(ylabel="accuracy (%)", title=title)
        axes.grid(axis="y", alpha=0.3)
        axes.legend(fontsize="small")

    _save(path, draw)


def _save(path: Path, draw: Callable[[Axes], None]) -> None:
    # A Figure of its own: no pyplot, hence no global state and no display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    draw(figure.add_subplot())
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)
