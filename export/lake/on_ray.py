"""Ray carries tasks to a pool of its actors, by Ray Data's `map_batches`. An adapter."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

from .engine import BLOCKS, Numbered, outcomes, package, packed, short
from .worker import JobError, Outcome, Worker

_RETRIES = 3
"""Of tasks whose process died; Ray Data's own default is without end."""


class RayWorker:
    """In a process of Ray: Arrow tables of tasks in, of their outcomes out."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __call__(self, batch: Any) -> Iterator[Any]:
        import pyarrow

        for found in outcomes(self._worker, batch):
            row = {"task": [found.task], "failed": [found.failed], "fatal": [found.fatal]}
            yield pyarrow.table(row)


def run_ray(worker: Worker, tasks: Numbered, workers: int | None) -> Iterator[Outcome]:
    """On Ray: the one that runs in this process, or that `RAY_ADDRESS` or `ray start` says, else
    one on this machine.

    Raises:
        ImportError: ray is not installed. JobError: what Ray gave up on, or too few cores.
    """
    # Ray tells its makers of each cluster that it starts, unless somebody says no.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray, data = package("ray"), package("ray.data")
    mine = not ray.is_initialized()
    try:
        if mine:
            _start(ray)
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            data.DataContext.get_current().enable_progress_bars = False
        threads = worker.certifier.threads or 1
        count = min(len(tasks), workers or _fitting(ray, threads))
        rows = data.from_items(packed(tasks), override_num_blocks=min(len(tasks), BLOCKS))
        with warnings.catch_warnings():
            # That Ray 2.64 will have no `max_task_retries`; until then there is no other.
            warnings.simplefilter("ignore")
            results = rows.map_batches(
                RayWorker,
                fn_constructor_args=(worker,),
                batch_size=None,
                batch_format="pyarrow",
                compute=data.ActorPoolStrategy(size=count),
                num_cpus=threads,
                max_task_retries=_RETRIES,
            )
        for row in results.iter_rows():
            yield Outcome(row["task"], row["failed"], row["fatal"])
    except ray.exceptions.RayError as error:
        raise JobError(f"Ray gave up: {short(error)}") from None
    finally:
        if mine:
            ray.shutdown()


def _start(ray: Any) -> None:
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    except Exception as error:  # Ray's own, or a bare one where its processes are too slow
        raise JobError(f"Ray does not start: {short(error)}") from None


def _fitting(ray: Any, threads: int) -> int:
    """Processes of so many threads that the machines have cores for."""
    cores = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    count = sum(int(many // threads) for many in cores)
    if not count:
        most = max(cores, default=0)
        raise JobError(
            f"no machine of Ray's has {threads} cores (--threads), {most:g} at most; on a cluster "
            "that grows say --workers"
        )
    return count
