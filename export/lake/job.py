"""A job over a lake: plan, run, count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sortnet.base.files import write_json
from sortnet.base.intervals import wilson
from sortnet.data.lake import columns_aside

from ..report import claim
from .certifier import BatchCertifier
from .engines import ENGINES
from .plan import SUMMARY, Task, make_plan, record
from .worker import NAMED, JobError, Worker


def certify_lake(
    certifier: BatchCertifier,
    data: Path,
    out: Path,
    *,
    engine: str = "local",
    workers: int | None = None,
    target: str | None = None,
    key: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Certify every row of a lake; an interrupted job goes on where it stopped.

    For each row group of `data` there is a Parquet file in `out` with the columns file, row, key
    and y (where the lake has them), and those of `BatchCertifier`. It is written whole or not at
    all. The folders must have the same paths on every machine.

    Args:
        engine: "local", "spark" or "ray". workers: processes at a time; None for what there is.
        target, key: names of the columns of labels and keys; by default y and key, unless these are
            features of the network.
        progress: called with row groups done and in all.

    Returns:
        The summary, which also lies in `out` (docs/start/lakes.md).

    Raises:
        NotProvedError: the file does not prove its certificates.
        DifferentJobError: `out` holds the results of another job.
        JobError: the job cannot go on: a full disk, a dead worker. What is done stays.
        ValueError: no row of the beginning can be certified, its integers leave open what is white,
            target or key is a feature, or an unknown engine. Nothing has been written.
        FileNotFoundError, OSError, ImportError: as `make_plan` and the engines.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    certifier.session.network  # noqa: B018  proves the file, before anything is written
    target, key = columns_aside(certifier.schema, target, key)
    worker = Worker(certifier, target, key)
    job = {
        "model_sha256": certifier.sha256,
        "eps": list(certifier.eps),
        "target": target,
        "key": key,
        "levels": certifier.levels,
        "library": certifier.library,
    }
    plan = make_plan(data, out, job)
    todo = [pair for pair in enumerate(plan.tasks) if pair[1].done() is None]
    total = len(plan.tasks)
    done = total - len(todo)
    if todo and not done:
        _look(worker, [task for _, task in todo])
    record(plan)
    progress(done, total)
    failed = dict(plan.damaged)
    for outcome in ENGINES[engine](worker, todo, workers) if todo else ():
        if outcome.fatal:
            raise JobError(outcome.fatal)
        if outcome.failed:
            task = plan.tasks[outcome.task]
            failed[f"{task.file}, row group {task.part.group}"] = outcome.failed
            if task.done() is None:  # what it held before the damage would be counted by readers
                Path(task.out).unlink(missing_ok=True)
        done += 1
        progress(done, total)
    summary = _summary(certifier, plan.tasks, failed)
    write_json(out / SUMMARY, summary)
    return summary


def _look(worker: Worker, tasks: Iterable[Task]) -> None:
    """Refuse a lake of which nothing at the beginning fits, before hours go into saying so."""
    for task in tasks:
        if not task.part.rows:
            continue
        try:
            found = worker.first_rows(task)
        except (ValueError, FileNotFoundError) as error:
            if "damaged" in str(error):  # named by the job
                continue
            text = str(error)
            known = text.startswith(task.part.file)
            raise ValueError(text if known else f"{task.part.file}: {text}") from None
        errors = found["error"].to_pylist() if found is not None else [None]
        if len(errors) > 1 and all(errors):
            raise ValueError(
                f"{task.part.file}: none of the first {len(errors)} rows can be certified: "
                f"{errors[0]}"
            )
        return


def _summary(
    certifier: BatchCertifier, tasks: list[Task], failed: dict[str, str]
) -> dict[str, Any]:
    """From the results alone, so that it is the same however often a job was interrupted."""
    counts = [(task, task.done()) for task in tasks]
    have = [(task, count) for task, count in counts if count is not None]
    for task, count in counts:
        if count is None:
            name = f"{task.file}, row group {task.part.group}"
            failed.setdefault(name, "no results: the engine lost it; run the command again")
    rows = sum(count["rows"] for _, count in have)
    labelled = sum(count["labelled"] for _, count in have)
    named = [
        {"file": task.file, "row": row, "error": error}
        for task, count in have
        for row, error in count["named"]
    ]
    right = sum(count["right"] for _, count in have)
    per_eps = {}
    for eps in certifier.eps:
        constant = sum(count["certified"][eps] for _, count in have)
        both = sum(count["certified_right"][eps] for _, count in have)
        per_eps[eps] = {
            "certified": _fraction(constant, rows),
            "certified_accuracy": _fraction(both, labelled),
        }
    network = certifier.session.network
    return {
        "model_sha256": certifier.sha256,
        "claim": claim(network),
        "class_names": certifier.session.class_names,
        "row_groups": len(have),
        "rows": rows,
        "rows_with_errors": sum(count["errors"] for _, count in have),
        "errors": named[:NAMED],
        "labelled": labelled,
        "accuracy": _fraction(right, labelled),
        "eps": per_eps,
        "failed": failed,
        "interval": "95 %, Wilson: for rows drawn independently from one population",
    }


def _fraction(count: int, total: int) -> dict[str, Any] | None:
    if not total:
        return None
    interval = list(wilson(count / total, total))
    return {"count": count, "fraction": count / total, "interval": interval}
