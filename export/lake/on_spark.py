"""Spark carries tasks to its Python workers, as rows of `mapInArrow`. An adapter."""

from __future__ import annotations

import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from .engine import BLOCKS, Numbered, cores, outcomes, package, packed, short
from .worker import JobError, Outcome, Worker

_of_process: dict[bytes, Worker] = {}
"""Spark hands a function to a process for each task: its session is kept here."""


def run_spark(worker: Worker, tasks: Numbered, workers: int | None) -> Iterator[Outcome]:
    """On Spark: the active session, or what `spark-submit` says, else one on this machine.

    Raises:
        ImportError: pyspark is not installed. JobError: what Spark gave up on.
    """
    package("pyspark")
    from py4j.protocol import Py4JError
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
        raise JobError(f"Spark does not start: {short(error)}") from None
    try:
        frame = spark.createDataFrame(packed(tasks), "task long, what binary")
        frame = frame.repartitionByRange(min(len(tasks), BLOCKS), "task")
        results = frame.mapInArrow(_call(pickle.dumps(worker)), "task long, failed string")
        for row in results.collect():
            yield Outcome(row["task"], row["failed"])
    except (PySparkException, Py4JError) as error:  # the second one where a process died
        fatal = re.search(r"JobError: (.*)", str(error))
        raise JobError(fatal[1] if fatal else f"Spark gave up: {_cause(error)}") from None
    finally:
        if mine:
            spark.stop()


def _cause(error: Exception) -> str:
    """What Java's exception says; its stack follows."""
    found = re.search(r"Exception: (.*)", str(error))
    return found[1].strip()[:300] if found else short(error)


def _call(worker: bytes) -> Callable[[Iterator[Any]], Iterator[Any]]:
    # This function travels by value, and what it names with it; the other one by its name.
    return lambda batches: spark_outcomes(worker, batches)


def spark_outcomes(worker: bytes, batches: Iterator[Any]) -> Iterator[Any]:
    """In a process of Spark: record batches of tasks in, of their outcomes out."""
    import pyarrow

    if worker not in _of_process:
        _of_process[worker] = pickle.loads(worker)
    for batch in batches:
        for outcome in outcomes(_of_process[worker], batch):
            if outcome.fatal:  # Spark tries again, then ends the job
                raise JobError(outcome.fatal)
            row = {"task": [outcome.task], "failed": [outcome.failed]}
            yield pyarrow.RecordBatch.from_pydict(row)
