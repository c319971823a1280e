"""Signals that end a run."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def finish_step_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C only sets a flag, so that no step is torn; a second one stops at once."""
    flag: list[bool] = []

    def handler(signum: int, frame: FrameType | None) -> None:
        if flag:
            raise KeyboardInterrupt
        flag.append(True)

    try:
        previous = signal.signal(signal.SIGINT, handler)
    except ValueError:  # not the main thread: nobody sends us signals
        yield lambda: False
        return
    try:
        yield lambda: bool(flag)
    finally:
        signal.signal(signal.SIGINT, previous)
