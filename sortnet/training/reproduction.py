"""The engine of `sortnet reproduce`: all families on one data set at equal training time."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sortnet.data.sets import DataSet
from sortnet.models.net import CertifiedNet

from . import runs
from .recipe import Preset
from .runs import RunConfig, RunError, model_config
from .schedule import settings_at
from .trainer import Listener, Trainer

MOST_EPOCHS = 1000.0
TABLES = ("table.json", "table.md", "table.png")

Bar = Callable[[str], AbstractContextManager[Listener]]
Finish = Callable[[Path, RunConfig, CertifiedNet, DataSet, float], object]


def epochs_within(config: RunConfig, data: DataSet, budget: float) -> float:
    """How many epochs of the recipe fit into `budget` seconds on this machine.

    Steps are timed at ten places of the schedule, since their cost varies with p. The median of
    three rounds keeps a short moment in which the machine is busy with something else from
    shortening the run.
    """
    recipe = config.preset.recipe
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(config, data, Path(scratch))
        x, y = trainer.batches[0]
        trainer.train_step(x, y, settings_at(recipe, 0))  # first use allocates and compiles
        rounds: dict[float, list[float]] = {(i + 0.5) / 10: [] for i in range(10)}
        for _ in range(3):
            for place, per_step in rounds.items():
                settings = settings_at(recipe, place * recipe.epochs)
                started = time.monotonic()
                done, seconds = 0, 0.0
                while done < 5 and seconds < 0.15:
                    trainer.train_step(x, y, settings)
                    done, seconds = done + 1, time.monotonic() - started
                per_step.append(seconds / done)
        mean = statistics.mean(statistics.median(per_step) for per_step in rounds.values())
        per_epoch = mean * trainer.batches.steps_per_epoch
    # A tenth in reserve for loading, logging and checkpoints.
    return min(MOST_EPOCHS, 0.9 * budget / per_epoch)


def train_within(
    row: Preset,
    data: DataSet,
    folder: Path,
    seed: int,
    budget: float,
    data_root: Path | None,
    bar: Bar,
    finish: Finish,
) -> dict[str, Any]:
    """Train the row for `budget` seconds, or go on with it, and let `finish` evaluate it."""
    if (folder / runs.CONFIG).is_file():
        config = runs.read_config(folder)
    else:
        epochs = epochs_within(_config(row, data, seed, data_root), data, budget)
        config = _config(row.scaled(epochs), data, seed, data_root)
    trainer = Trainer(config, data, folder)
    trainer.resume()
    with bar(f"{row.name} seed {seed}") as listener:
        model = trainer.run(listener)
    finish(folder, config, model, data, trainer.seconds)
    result = finished_run(folder)
    assert result is not None
    return result


def _config(row: Preset, data: DataSet, seed: int, data_root: Path | None) -> RunConfig:
    return RunConfig(
        preset=row,
        model=model_config(row, data),
        seed=seed,
        data_root=None if data_root is None else str(data_root),
        environment=runs.environment(),
    )


def check_budget(folder: Path, budget: float) -> None:
    """Refuse to mix budgets in one table."""
    table = folder / TABLES[0]
    if table.is_file():
        try:
            before = float(json.loads(table.read_text())["budget_seconds"])
        except (OSError, ValueError, TypeError, KeyError):
            raise RunError(f"{table}: damaged; remove it") from None
        if before != budget:
            raise RunError(
                f"{folder} holds runs of {before:g} s each, not {budget:g}; give another --out"
            )


def check_recipe(folder: Path, row: Preset) -> None:
    """Refuse to go on with, or to count, a run of another recipe."""
    if (folder / runs.CONFIG).is_file():
        found = runs.read_config(folder).preset
        if found != row.scaled(found.recipe.epochs):
            raise RunError(
                f"{folder} holds a run of another recipe than {row.name}; give another --out"
            )


def finished_run(folder: Path) -> dict[str, Any] | None:
    """Epochs, training seconds and evaluation of a finished run, else None."""
    rows = runs.read_metrics(folder)
    if len(rows) < 2 or "evaluation" not in rows[-1]:
        return None
    last, evaluation = rows[-2], rows[-1]["evaluation"]
    keys = ("clean", "pgd", "certified", "pgd_samples", "samples")
    try:
        result = {key: evaluation[key] for key in keys}
        return {"epochs": last["epoch"], "training_seconds": last["seconds"], **result}
    except (KeyError, TypeError):
        raise RunError(f"{folder / runs.METRICS}: damaged; remove the folder") from None


def comparison_document(
    base: Preset,
    budget: float,
    data: DataSet,
    rows: list[Preset],
    results: dict[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    eps = base.recipe.eps_test[0]
    table = []
    for row in rows:
        done = results[row.name]
        if done:
            table.append(
                {
                    "name": row.name.partition(":")[2],
                    "about": row.about,
                    "clean": _spread([r["clean"] for r in done]),
                    "pgd": _spread([r["pgd"].get(eps, float("nan")) for r in done]),
                    "certified": _spread([r["certified"][eps] for r in done]),
                    "seconds": _spread([r["training_seconds"] for r in done]),
                    "runs": done,
                }
            )
    return {
        "preset": base.name,
        "data": data.name,
        "eps": eps,
        "budget_seconds": budget,
        "test_samples": len(data.test),
        "environment": runs.environment(),
        "rows": table,
    }


def _spread(values: list[float]) -> dict[str, float]:
    """Mean and sample standard deviation (0 for one value)."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.mean(values), "std": deviation}
