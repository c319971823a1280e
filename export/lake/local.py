"""This machine's own pool of processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from .engine import Numbered, cores
from .plan import Task
from .worker import JobError, Outcome, Worker


def run_local(worker: Worker, tasks: Numbered, workers: int | None) -> Iterator[Outcome]:
    """In processes of this machine; one: in this process.

    Raises:
        JobError: a process died.
    """
    count = min(len(tasks), workers or max(1, cores() // (worker.certifier.threads or cores())))
    if count <= 1:
        for number, task in tasks:
            yield worker(number, task)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_be, initargs=(worker,))
    try:
        for future in as_completed([pool.submit(_call, *pair) for pair in tasks]):
            yield future.result()
    except BrokenProcessPool:
        raise JobError(
            "a worker process died (killed, or out of memory?); run the same command again, and it "
            "goes on where it stopped"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_worker: Worker | None = None


def _be(worker: Worker) -> None:
    global _worker
    _worker = worker
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool does not tell its processes that the one that began it was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _call(number: int, task: Task) -> Outcome:
    assert _worker is not None
    return _worker(number, task)
