"""The figures of the report: PNG files, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from sortnet.base.files import atomic_write

from ..search import trained as search
from ..theorems.boolean_impossibility import bound as radius_bound
from ..theorems.circuits import count_bound, minimal_depths
from ..theorems.order_statistics import bound as error_bound

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLE = {
    "standard": ("tab:blue", "o"),
    "MaxMin": ("tab:orange", "s"),
    "l-inf distance": ("tab:green", "^"),
    "SortNet": ("tab:red", "D"),
}


@dataclass(frozen=True)
class Plot:
    """One figure of the report.

    Args:
        name: of its file.
        results: numbers of the results that it shows.
        draw: called with ``thorough``.
    """

    name: str
    results: tuple[str, ...]
    draw: Callable[[bool], Figure]


def plots_of(numbers: Iterable[str]) -> list[Plot]:
    """The figures that show one of the results with these numbers."""
    wanted = set(numbers)
    return [plot for plot in PLOTS if wanted.intersection(plot.results)]


def write(plots: Iterable[Plot], folder: str | Path, *, thorough: bool = False) -> list[Path]:
    """Draw figures and write them into ``folder``, which is made if it does not exist.

    Returns:
        the files.

    Raises:
        OSError: they cannot be written.
        ModuleNotFoundError: Matplotlib or torch is not installed.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    files = []
    for plot in plots:
        figure = plot.draw(thorough)
        with atomic_write(target / plot.name) as temporary:
            figure.savefig(temporary, dpi=150)
        files.append(target / plot.name)
    return files


def _best(
    found: Iterable[search.Found], sorts: int | None, best: Callable[..., Fraction]
) -> dict[int, float]:
    values: dict[int, list[Fraction]] = {}
    for f in found:
        if sorts is None or f.shape.sorts == sorts:
            values.setdefault(f.d, []).append(f.value)
    return {d: float(best(of_d)) for d, of_d in sorted(values.items())}


def _series(
    trained: Callable[[str], Iterable[search.Found]], best: Callable[..., Fraction]
) -> Iterable[tuple[str, str, str, dict[int, float]]]:
    for family, (colour, marker) in _STYLE.items():
        found = list(trained(family))
        for sorts in sorted({f.shape.sorts for f in found}):
            label = f"{family}, {sorts} sorting layer{'s' * (sorts > 1)}" if sorts else family
            yield label, colour, marker, _best(found, sorts, best)


def _axes(title: str, ylabel: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log", base=2)
    axes.set(title=title, xlabel="d", ylabel=ylabel)
    axes.grid(alpha=0.3)
    return figure, axes


def radius_figure(thorough: bool = False) -> Figure:
    """Best certified radius found by training against d, with 1/(2d) and G^s/(2d)."""
    figure, axes = _axes("Best certified radius found by training (exact values)", "radius")
    for s in sorted({f.shape.sorts for f in search.radii("MaxMin", thorough)} | {0}):
        limits = [float(radius_bound(d, Fraction(2**s))) for d in search.DIMENSIONS]
        name = f"bound {2**s}/(2d)" if s else "bound 1/(2d)"
        axes.plot(search.DIMENSIONS, limits, "--", color=str(0.2 * s), lw=1, label=name)
    for label, colour, marker, best in _series(lambda f: search.radii(f, thorough), max):
        filled = "none" if label.endswith(" 1 sorting layer") else colour
        axes.plot(list(best), list(best.values()), marker, color=colour, mfc=filled, label=label)
    axes.set_yscale("log", base=2)
    axes.legend(fontsize=8)
    return figure


def error_figure(thorough: bool = False) -> Figure:
    """Least error of an order statistic found by training against d, with 1/2 - G^s/(2d)."""
    figure, axes = _axes("Least error of x_(k) found by training (exact values)", "error")
    for s in sorted({f.shape.sorts for f in search.errors("MaxMin", thorough)} | {0}):
        limits = [float(error_bound(d, 1, Fraction(2**s))) for d in search.DIMENSIONS]
        name = f"bound 1/2 - {2**s}/(2d)"
        axes.plot(search.DIMENSIONS, limits, "--", color=str(0.2 * s), lw=1, label=name)
    for label, colour, marker, best in _series(lambda f: search.errors(f, thorough), min):
        filled = "none" if label.endswith(" 1 sorting layer") else colour
        axes.plot(list(best), list(best.values()), marker, color=colour, mfc=filled, label=label)
    axes.legend(fontsize=8)
    return figure


def depth_figure(thorough: bool = False) -> Figure:
    """How many functions of d <= 4 variables have least depth <= M, beside the counting bound
    (exhaustive with or without ``thorough``)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for d, colour in zip(
        range(1, 5), ("tab:blue", "tab:orange", "tab:green", "tab:red"), strict=True
    ):
        depths = minimal_depths(d)
        levels = range(int(depths.max()) + 1)
        counts = [int((depths <= m).sum()) for m in levels]
        limits = [min(count_bound(d, m), 1 << (1 << d)) for m in levels]
        axes.plot(levels, counts, "o-", color=colour, label=f"d = {d}")
        axes.plot(levels, limits, "--", color=colour, lw=1)
    axes.set_yscale("log", base=2)
    axes.set(
        title="Boolean functions by least depth (dashed: counting bound, at most all)",
        xlabel="depth M",
        ylabel="functions of depth at most M",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


PLOTS = (
    Plot("radius.png", ("3.5", "3.8", "3.9"), radius_figure),
    Plot("error.png", ("3.6", "3.8", "3.9"), error_figure),
    Plot("depth.png", ("3.10",), depth_figure),
)
