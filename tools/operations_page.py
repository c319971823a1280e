"""Writes the sections of docs/reference/operations.md from what operations say of themselves.

`python tools/operations_page.py` after a change; a test compares the page with the code.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sortnet.certificate import operations as ops
from sortnet.certificate.operations import Operation
from sortnet.export.forms import FORM_OF

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "operations.md"

_W = np.float32([[0.5, -0.25, 0.0], [1.0, 0.25, -0.5]])
_PATCHES = np.array([[0, 1, 3], [1, 2, 3]])

EXAMPLES: tuple[Operation, ...] = (
    ops.Abs(),
    ops.Affine(_W, np.float32([0, 1])),
    ops.Bias(np.float32([1, 2, 3])),
    ops.Flatten(),
    ops.GroupSort(3),
    ops.Negate(),
    ops.Normalize(0.5, 0.25),
    ops.Normalize(np.float32([0, 1, 2]), np.float32([0.5, 1, 2])),
    ops.OrderStatistic(_W, np.float32([[0.5, -0.5], [1, 0.25]])),
    ops.PiecewiseLinear(np.float32([-1, 1]), np.float32([[1, 0, -1]] * 3)),
    ops.RankFilter(_PATCHES, 2),
    ops.ReLU(),
    ops.Shift(np.float32([1, 2, 3])),
    ops.SortConv(_PATCHES, ops.SortNeuron(_W, 0.5, 2)),
    ops.SortNeuron(_W, 0.5, 3),
    ops.Tanh(),
)
"""On three units, at least one of each operation: they tell formats and how bounds travel."""

BEGIN, END = "<!-- operations: begin -->\n", "<!-- operations: end -->"


def page() -> str:
    """The whole page: its head as it is, its sections anew."""
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return (
        head + BEGIN + "".join(map(_section, ops.OPERATIONS)) + "\n" + END + rest.partition(END)[2]
    )


def _section(operation: type[Operation]) -> str:
    mine = [example for example in EXAMPLES if type(example) is operation]
    form = FORM_OF[operation]
    formats = sorted({form.since(example) for example in mine})
    (travel,) = {example.travel.value for example in mine}
    nodes = _said(sys.modules[type(form).__module__]).partition("\n\n")[0]
    lines = [f"\n## {operation.__name__}", _said(operation), ""]
    lines += [
        f"- **constant**: {_rule(operation, 'moves')}",
        f"- **interval**: {_rule(operation, 'range')}",
        f"- **rounding**: {_rule(operation, 'rounding')}",
        f"- **bounds travel**: {travel}",
        f"- **nodes**: {nodes.partition(': ')[2]}",
        f"- **format**: {' or '.join(map(str, formats))}",
    ]
    return "\n".join(lines) + "\n"


def _rule(operation: type[Operation], method: str) -> str:
    """What the operation, not the base of all, says of a method."""
    return " ".join(_said(getattr(operation, method)).split())


def _said(thing: object) -> str:
    text = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    if not text:
        raise ValueError(f"{thing} has no docstring")
    return "\n".join(_escaped(text))


def _escaped(text: str) -> Iterator[str]:
    """Markdown takes |x| for a table and x_o for emphasis, and names in backquotes for code."""
    for line in text.splitlines():
        parts = line.split("`")
        parts[::2] = [part.replace("_", r"\_").replace("|", r"\|") for part in parts[::2]]
        yield "`".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
