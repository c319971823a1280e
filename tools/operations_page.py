"""Writes docs/reference/operations.md from the operations themselves: what they say stands once.

`python tools/operations_page.py` after a change; a test compares the page with the code.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sortnet.certificate.operations import (
    OPERATIONS,
    Abs,
    Affine,
    Bias,
    Flatten,
    GroupSort,
    Negate,
    Normalize,
    Operation,
    OrderStatistic,
    PiecewiseLinear,
    RankFilter,
    ReLU,
    Shift,
    SortConv,
    SortNeuron,
    Tanh,
)
from sortnet.export.forms import FORM_OF

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "operations.md"

_W = np.float32([[0.5, -0.25, 0.0], [1.0, 0.25, -0.5]])
_PATCHES = np.array([[0, 1, 3], [1, 2, 3]])

EXAMPLES: tuple[Operation, ...] = (
    Abs(),
    Affine(_W, np.float32([0, 1])),
    Bias(np.float32([1, 2, 3])),
    Flatten(),
    GroupSort(3),
    Negate(),
    Normalize(0.5, 0.25),
    Normalize(np.float32([0, 1, 2]), np.float32([0.5, 1, 2])),
    OrderStatistic(_W, np.float32([[0.5, -0.5], [1, 0.25]])),
    PiecewiseLinear(np.float32([-1, 1]), np.float32([[1, 0, -1]] * 3)),
    RankFilter(_PATCHES, 2),
    ReLU(),
    Shift(np.float32([1, 2, 3])),
    SortConv(_PATCHES, SortNeuron(_W, 0.5, 2)),
    SortNeuron(_W, 0.5, 3),
    Tanh(),
)
"""On three units, at least one of each operation: they tell formats and how bounds travel."""

HEAD = """# Operations

<!-- Written by tools/operations_page.py from the code: change the docstrings there. -->

A network, and so a file, is a chain of these {count} operations and nothing else. What each one is worth to a certificate stands
in its class under `sortnet/certificate/operations/`, and this page is written from there: files, torch certificates, the verifier and the
theory read the same lines. The [layers](nn.md) are made of them; [the exported file](../export.md#the-file) has their nodes in context.

| word | meaning |
|---|---|
| constant | how far an output moves if every input moves by at most 1: the Lipschitz constant in ℓ∞ ([section 2](../certificates.md#2-lipschitz-constants)) |
| interval | bounds of the exact output for inputs between `low` and `high` ([section 4](../certificates.md#4-ranges)) |
| rounding | what one evaluation may be off by ([section 3](../certificates.md#3-rounding-of-one-operation)): M bounds the exact result, x its inputs, UNIT = 2⁻²⁴, gamma(n) = (1 + UNIT)ⁿ − 1, TINY = 2⁻¹⁰⁰, which covers numbers that a host takes for 0, TANH_ERROR = 2⁻¹⁹ |
| bounds travel | how computed interval bounds pass it ([section 6](../certificates.md#6-the-interval-certificate)). *rounded*: it acts on either bound, and rounds as in the network; *outward*: the host rounds its bounds outward; *widened*: bounds are first moved apart by more than rounding can have moved them |
| format | the first version of the file that holds it |
"""


def page() -> str:
    """The whole page."""
    return HEAD.format(count=len(OPERATIONS)) + "".join(map(_section, OPERATIONS))


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
