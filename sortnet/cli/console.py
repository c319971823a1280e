"""What commands share: progress bars on stderr, tables on stdout."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from sortnet.base.percent import certified_percent, percent

if TYPE_CHECKING:
    from sortnet.training.log import Progress as TrainingProgress

console = Console()
errors = Console(stderr=True)


def warn(text: str) -> None:
    """A line on stderr that a table on stdout does not hide."""
    click.echo(f"sortnet: warning: {text}", err=True)


@contextmanager
def warnings_as_lines(kind: type[Warning]) -> Iterator[None]:
    """Warnings of this kind become lines of a command, each once; all others stay as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", kind)
        before, said = warnings.showwarning, set[str]()

        def show(message: Warning | str, category: type[Warning], *a: Any, **more: Any) -> None:
            if not issubclass(category, kind):
                before(message, category, *a, **more)
            elif str(message) not in said:
                said.add(str(message))
                warn(str(message))

        warnings.showwarning = show
        yield


@contextmanager
def training_bar(title: str) -> Iterator[Callable[[TrainingProgress], None]]:
    """A bar with ETA, loss and running estimates; gives the listener for `Trainer.run`."""
    with _bar(TextColumn("{task.fields[note]}")) as bar:
        task = bar.add_task(title, total=None, note="")

        def listener(state: TrainingProgress) -> None:
            # Estimates on training batches under the relaxation.
            note = (
                f"clean {percent(state.clean, 1)} certified {certified_percent(state.certified, 1)}"
            )
            bar.update(task, completed=state.step, total=state.steps, note=note)

        yield listener


@contextmanager
def plain_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for anything that reports (done, total)."""
    with _bar() as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _bar(*columns: TextColumn) -> Iterator[Progress]:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        *columns,
        console=errors,
        disable=not errors.is_terminal,
    )
    if errors.is_terminal:
        with progress:
            yield progress
    else:
        yield progress  # never started: older rich ends even a disabled bar with an empty line


def accuracy_table(
    title: str, clean: float, pgd: dict[str, float], certified: dict[str, float]
) -> Table:
    """One row per radius; fractions of 1 shown as percentages, certified ones rounded down."""
    table = Table(title=title)
    for heading in ("eps", "clean", "PGD", "certified"):
        table.add_column(heading, justify="right")
    for eps, value in certified.items():
        attacked = percent(pgd[eps]) if eps in pgd else "-"
        table.add_row(eps, percent(clean), attacked, certified_percent(value))
    return table


def print_pairs(pairs: Sequence[tuple[str, object]]) -> None:
    """Lines of a name and a value."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        console.print(f"{name:<{width}}  {value}", highlight=False, soft_wrap=True)
