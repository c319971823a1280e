"""Signals that end a run: Ctrl-C, and SIGTERM, which schedulers send."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a run was asked to stop.

    Attributes:
        asked: the signal that this process got, or None.
        agreed: the signal that all processes of the run know of and stop for, or None.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self.agreed: signal.Signals | None = None

    def votes(self) -> list[float]:
        """One number for each of `SIGNALS`, to be summed over the processes."""
        return [float(self.asked is name) for name in SIGNALS]

    def agree(self, votes: list[float]) -> None:
        """Take the sums over all processes: every process reaches the same conclusion."""
        heard = [name for name, count in zip(SIGNALS, votes, strict=True) if count]
        self.agreed = heard[-1] if heard else None


@contextlib.contextmanager
def stop_on_signals(stop: Stop, *, alone: bool) -> Iterator[None]:
    """SIGINT and SIGTERM only set `stop.asked`, so that no step is torn.

    Args:
        stop: is told.
        alone: the run has one process, where a second Ctrl-C stops at once. Of several, each hears
            Ctrl-C twice: from the terminal and from torchrun.
    """

    def handler(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.asked is not None and alone:
            raise KeyboardInterrupt
        stop.asked = signal.Signals(number)

    try:
        previous = [signal.signal(name, handler) for name in SIGNALS]
    except ValueError:  # not the main thread: nobody sends us signals
        yield
        return
    try:
        yield
    finally:
        for name, old in zip(SIGNALS, previous, strict=True):
            signal.signal(name, old)
