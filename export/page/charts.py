"""Charts as SVG that stands in the page: it takes the page's colours, fonts and width.

No text of the user's enters a chart: names stand in captions and tables, which are escaped.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib import image
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sortnet.certificate.rounding import Array

# Colours that no chart needs, which become those of the page, light, dark or in print.
_COLOURS = {
    "#010203": "currentColor",
    "#010204": "var(--certified)",
    "#010205": "var(--attacked)",
    "#010206": "var(--faint)",
    "#010207": "var(--wrong)",
}
INK, CERTIFIED, ATTACKED, FAINT, WRONG = _COLOURS

_STYLE: dict[Any, Any] = {  # types of its keys come only with newer matplotlib
    "svg.fonttype": "none",
    "font.size": 11.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 1.0,
}

CHANNELS_AS_LINES = 6
"""A signal of more channels is drawn as a picture, a row for each channel."""


class Chart:
    """One chart being drawn.

    Args:
        name: of letters and digits, another one for each chart of a page.
        size: width and height in inches; 1 inch is 72 pixels of the page at most.
    """

    def __init__(self, name: str, size: tuple[float, float] = (4.6, 3.2)) -> None:
        self.name = name
        with matplotlib.rc_context(_STYLE):
            self.figure = Figure(figsize=size, layout="constrained")
            self.figure.patch.set_visible(False)
            self.axes: Axes = self.figure.add_subplot()
            self.axes.patch.set_visible(False)

    def legend(self) -> None:
        """Above the axes, where it covers nothing."""
        with matplotlib.rc_context(_STYLE):
            self.figure.legend(loc="outside upper left", ncols=3, columnspacing=1.2)

    def svg(self, label: str) -> Markup:
        """The chart as an SVG element.

        Args:
            label: what a screen reader says in its place.
        """
        out = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        with matplotlib.rc_context({**_STYLE, "svg.hashsalt": self.name}):
            self.figure.savefig(out, format="svg", metadata=metadata)
        text = out.getvalue()
        text = text[text.index("<svg") :]
        text = re.sub(r'\bid="', f'id="{self.name}-', text)
        text = re.sub(r"url\(#", f"url(#{self.name}-", text)
        text = re.sub(r'xlink:href="#', f'href="#{self.name}-', text)
        for colour, meaning in _COLOURS.items():
            text = text.replace(colour, meaning)
        box = re.search(r'viewBox="[^"]*"', text)
        assert box is not None
        head = Markup('<svg role="img" aria-label="{}" {}>').format(label, Markup(box[0]))
        return head + Markup(text[text.index(">") + 1 :].strip())


def accuracy(
    name: str,
    points: Sequence[float],
    certified: Sequence[float],
    attacked: Sequence[float] | None,
    clean: float,
    radii: Array | None,
    label: str,
    small: bool = False,
) -> Markup:
    """Accuracy in per cent against eps.

    Args:
        points: the radii, rising. certified, attacked, clean: fractions of 1 at them.
        radii: of each sample, 0 where the answer is wrong: certified accuracy at every radius at
            once; None where the file has no such radius.
        small: no axis labels and no legend.
    """
    chart = Chart(name, (1.9, 1.35) if small else (4.6, 3.2))
    axes = chart.axes
    end = 1.15 * max(points)
    axes.axhline(100 * clean, color=INK, linestyle=":", linewidth=1.5, label="clean")
    if attacked is not None:
        places, values = [0.0, *points], [clean, *attacked]
        axes.plot(
            places,
            [100 * v for v in values],
            color=ATTACKED,
            linestyle="--",
            marker="v",
            label="under attack",
        )
    if radii is not None and len(radii):
        grid = np.linspace(0, end, 201)[1:]
        share = 1 - np.searchsorted(np.sort(radii), grid, side="left") / len(radii)
        axes.plot(grid, 100 * share, color=CERTIFIED, linewidth=1.5)
    axes.plot(
        points,
        [100 * v for v in certified],
        color=CERTIFIED,
        linestyle="none" if radii is not None else "-",
        marker="o",
        label="certified",
    )
    axes.set(xlim=(0, end), ylim=(0, 104), yticks=(0, 50, 100))
    axes.grid(color=FAINT, linewidth=0.4)
    if small:
        axes.tick_params(labelsize=9)
        axes.locator_params(axis="x", nbins=4)
    else:
        axes.set(xlabel="ε", ylabel="accuracy (%)", yticks=range(0, 101, 20))
        chart.legend()
    return chart.svg(label)


def radius_histogram(
    name: str, right: Array, wrong: Array, points: Sequence[float], label: str
) -> Markup:
    """How many samples have which radius, those with a right answer below those with a wrong one.

    Args:
        right, wrong: radii. points: radii to mark.
    """
    chart = Chart(name)
    axes = chart.axes
    most = max(float(part.max()) for part in (right, wrong) if len(part))
    count = int(np.clip(2 * len(right) ** (1 / 3) + 4, 6, 40))
    bins = np.linspace(0, most if most > 0 else 1, count + 1)
    axes.hist(
        [right, wrong],
        bins=list(bins),
        stacked=True,
        color=[CERTIFIED, WRONG],
        label=["right answer", "wrong answer"],
    )
    for number, point in enumerate(p for p in points if p <= bins[-1]):
        text = "ε asked for" if number == 0 else None
        axes.axvline(point, color=INK, linestyle="--", linewidth=1, label=text)
    axes.set(xlabel="certified radius", ylabel="samples", xlim=(0, bins[-1]))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    chart.legend()
    return chart.svg(label)


def value_bounds(
    name: str, points: Sequence[float], error: float, worst: Sequence[float], label: str
) -> Markup:
    """Mean absolute error of a regression against eps: of the values, and at most in the ball."""
    chart = Chart(name)
    axes = chart.axes
    axes.axhline(error, color=INK, linestyle=":", linewidth=1.5, label="clean")
    axes.plot(
        [0, *points], [error, *worst], color=CERTIFIED, marker="o", label="at most (certified)"
    )
    axes.set(xlabel="ε", ylabel="mean absolute error", xlim=(0, 1.05 * max(points)))
    axes.set_ylim(0, 1.1 * max(error, *worst) or 1)
    axes.grid(color=FAINT, linewidth=0.4)
    chart.legend()
    return chart.svg(label)


def signal(name: str, x: Array, low: Array, high: Array, label: str) -> Markup:
    """Channels [C, T] as lines, within the ends of their boxes where the signal comes near."""
    chart = Chart(name, (3.0, 1.5))
    styles = ("-", "--", ":", "-.")
    for channel, values in enumerate(x):
        chart.axes.plot(
            values,
            linewidth=1,
            color=CERTIFIED if channel % 2 == 0 else ATTACKED,
            linestyle=styles[channel // 2 % 4],
        )
    room = 0.1 * float(np.ptp(x)) or 1.0
    bottom = max(float(x.min()) - room, float(low.min()) - room)
    chart.axes.set(xlim=(0, max(x.shape[1] - 1, 1)))
    chart.axes.set_ylim(bottom, min(float(x.max()) + room, float(high.max()) + room))
    chart.axes.tick_params(labelsize=9)
    chart.axes.locator_params(nbins=4)
    return chart.svg(label)


def picture(x: Array, low: Array, high: Array) -> bytes:
    """[C, H, W] as a PNG, black at the lower end of the box and white at the upper one.

    Three channels are red, green and blue; any other number stands side by side in grey.
    """
    least, most = float(low.min()), float(high.max())
    scaled = (x.astype(np.float64) - least) / ((most - least) or 1.0)
    pixels = np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)
    if len(pixels) == 3:
        coloured = pixels.transpose(1, 2, 0)
    else:
        coloured = np.repeat(np.concatenate(list(pixels), axis=1)[:, :, None], 3, axis=2)
    out = io.BytesIO()
    unsigned: dict[str, Any] = {"Software": None}
    image.imsave(out, np.ascontiguousarray(coloured), format="png", metadata=unsigned)
    return out.getvalue()
