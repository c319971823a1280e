"""What commands share: progress bars, tables, JSON files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from sortnet.base.files import atomic_write

if TYPE_CHECKING:
    from sortnet.training.train import Progress as TrainingProgress

console = Console()


@contextmanager
def training_bar(
    title: str, seconds_done: float = 0
) -> Iterator[Callable[[TrainingProgress], None]]:
    """A bar with ETA, loss and running estimates; gives the listener for `Trainer.run`."""
    with _bar(title, TextColumn("{task.fields[note]}")) as bar:
        task = bar.add_task(title, total=None, note="")

        def listener(state: TrainingProgress) -> None:
            # Estimates on training batches under the relaxation.
            note = f"clean {state.clean:.1%} certified {state.certified:.1%}"
            bar.update(task, completed=state.step, total=state.steps, note=note)

        yield listener


@contextmanager
def plain_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for anything that reports (done, total)."""
    with _bar(title) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _bar(title: str, *columns: TextColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        *columns,
        console=console,
    )


def accuracy_table(
    title: str, clean: float, pgd: dict[str, float], certified: dict[str, float]
) -> Table:
    """One row per radius; fractions of 1 shown as percentages."""
    table = Table(title=title)
    for heading in ("eps", "clean", "PGD", "certified"):
        table.add_column(heading, justify="right")
    for eps, value in certified.items():
        attacked = f"{pgd[eps]:.2%}" if eps in pgd else "-"
        table.add_row(eps, f"{clean:.2%}", attacked, f"{value:.2%}")
    return table


def print_pairs(pairs: Sequence[tuple[str, object]]) -> None:
    """Lines of a name and a value."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        console.print(f"{name:<{width}}  {value}", highlight=False, soft_wrap=True)


def write_json(path: Path | None, document: object) -> None:
    """Write a JSON file (atomically) if a path is given."""
    if path is not None:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(document, indent=2) + "\n")
