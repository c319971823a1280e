"""What an engine is, and what the adapters share.

An engine calls the worker with every task at least once, on whatever machine; the worker writes
whole files and passes over what is done, so that a task that is tried again is not counted twice.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

from .plan import Task
from .worker import Outcome, Worker

Numbered = Sequence[tuple[int, Task]]
Engine = Callable[[Worker, Numbered, int | None], Iterator[Outcome]]
"""(worker, tasks, processes at a time or None for what there is) -> outcomes as they come."""

BLOCKS = 1000
"""Into which a cluster deals the tasks, at most: few are tried again, and few are told of."""


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def packed(tasks: Numbered) -> list[dict[str, Any]]:
    """The rows that a cluster deals out: `task`, an integer, and `what`, its bytes."""
    return [{"task": number, "what": pickle.dumps(task)} for number, task in tasks]


def outcomes(worker: Worker, batch: Any) -> Iterator[Outcome]:
    """Of such rows, in an Arrow table or record batch, one after the other."""
    for number, what in zip(batch["task"].to_pylist(), batch["what"].to_pylist(), strict=True):
        yield worker(number, pickle.loads(what))


def package(name: str) -> Any:
    """A module of an engine's package.

    Raises:
        ImportError: it is not installed; names the extra.
    """
    try:
        return import_module(name)
    except ImportError as error:
        extra = name.partition(".")[0].removeprefix("py")
        raise ImportError(
            f"the engine {extra} is not installed ({error}): pip install 'sortnet[{extra}]'",
            name=error.name,
        ) from None


def short(error: BaseException) -> str:
    """The last line of an error, which in the engines' long ones is the cause."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines[-1].strip() if lines else type(error).__name__)[:300]
