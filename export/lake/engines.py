"""Who carries tasks to processes: this machine's own pool, or Spark. Each is an adapter.

An engine calls the worker with every task at least once, on whatever machine; the worker writes
whole files and passes over what is done, so that a task that is tried again is not counted twice.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from .plan import Task
from .worker import JobError, Outcome, Worker

Numbered = Sequence[tuple[int, Task]]
Engine = Callable[[Worker, Numbered, int | None], Iterator[Outcome]]
"""(worker, tasks, processes at a time or None for what there is) -> outcomes as they come."""

_BLOCKS = 1000


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


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


def _call(number: int, task: Task) -> Outcome:
    assert _worker is not None
    return _worker(number, task)


_of_process: dict[bytes, Worker] = {}
"""Spark hands a function to a process for each task: its session is kept here."""


def run_spark(worker: Worker, tasks: Numbered, workers: int | None) -> Iterator[Outcome]:
    """On Spark: the active session, or what `spark-submit` says, else one on this machine.

    Raises:
        ImportError: pyspark is not installed. JobError: what Spark gave up on.
    """
    _package("pyspark")
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    mine = SparkSession.getActiveSession() is None
    builder = SparkSession.builder.appName("sortnet certify")
    configured = ("PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS", "SPARK_REMOTE", "SPARK_CONF_DIR")
    if mine and not any(name in os.environ for name in configured):
        count = workers or max(1, cores() // (worker.certifier.threads or 1))
        # Without the 4 a local Spark gives up at the first lost process.
        builder = builder.master(f"local[{count},4]").config("spark.ui.showConsoleProgress", False)
    try:
        spark = builder.getOrCreate()
    except Exception as error:  # PySpark's own, Py4J's, or Java is missing
        raise JobError(f"Spark does not start: {_short(error)}") from None
    try:
        rows = [(number, pickle.dumps(task)) for number, task in tasks]
        frame = spark.createDataFrame(rows, "task long, what binary")
        frame = frame.repartitionByRange(min(len(tasks), _BLOCKS), "task")
        results = frame.mapInPandas(_spark_call(pickle.dumps(worker)), "task long, failed string")
        for row in results.collect():
            yield Outcome(row["task"], row["failed"])
    except PySparkException as error:
        fatal = re.search(r"JobError: (.*)", str(error))
        raise JobError(fatal[1] if fatal else f"Spark gave up: {_short(error)}") from None
    finally:
        if mine:
            spark.stop()


def _spark_call(packed: bytes) -> Callable[[Iterator[Any]], Iterator[Any]]:
    # This function travels by value, and what it names with it; the other one by its name.
    return lambda frames: spark_outcomes(packed, frames)


def spark_outcomes(packed: bytes, frames: Iterator[Any]) -> Iterator[Any]:
    """In a process of Spark: frames of tasks in, frames of their outcomes out."""
    import pandas

    if packed not in _of_process:
        _of_process[packed] = pickle.loads(packed)
    worker = _of_process[packed]
    for frame in frames:
        for number, what in zip(frame["task"], frame["what"], strict=True):
            outcome = worker(int(number), pickle.loads(what))
            if outcome.fatal:  # Spark tries again, then ends the job
                raise JobError(outcome.fatal)
            yield pandas.DataFrame({"task": [outcome.task], "failed": [outcome.failed]})


ENGINES: dict[str, Engine] = {"local": run_local, "spark": run_spark}


def _package(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise ImportError(
            f"the engine {name} is not installed: pip install 'sortnet[{name}]'", name=name
        ) from None


def _short(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines[-1].strip() if lines else type(error).__name__)[:300]
