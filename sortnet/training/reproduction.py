"""The engine of `sortnet reproduce`: all families on one data set at equal training time."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sortnet.base.names import as_written
from sortnet.base.units import MAX_UNITS_OF_RADIUS, eps_to_float
from sortnet.data.fingerprint import DataRows
from sortnet.data.sets import DataSet, Split
from sortnet.evaluation.attack import pgd
from sortnet.models import CertifiedNet, set_dropping, set_p

from . import runs
from .recipe import Preset
from .runs import RunConfig, RunError
from .same_data import check_compared_rows, check_schema, warn_unknown
from .schedule import settings_at
from .trainer import Listener, Trainer

MOST_EPOCHS = 1000.0
ATTACK_STEPS = 100
ATTACK_SHARE = 0.5  # of the training's time, which the attack takes at most
TABLES = ("table.json", "table.md", "table.png")

Bar = Callable[[str], AbstractContextManager[Listener]]
Finish = Callable[[Path, RunConfig, CertifiedNet, DataSet, float, int], object]


@dataclass(frozen=True)
class Reproduction:
    """A comparison that is asked for, and the folder it lives in.

    Attributes:
        base: the preset. rows: what it is compared as (`comparison_row`).
        seeds: runs of each row, with seeds 0..seeds-1.
        budget: seconds of training for each run.
        pgd_samples: attack at most so many test images.
        folder: of the tables and of one run folder for each row and seed.
        data_root: folder of the data set's files, or None.
        target, drop: columns of a table, see `RunConfig`.
    """

    base: Preset
    rows: tuple[Preset, ...]
    seeds: int
    budget: float
    pgd_samples: int
    folder: Path
    data_root: str | None = None
    target: str | None = None
    drop: tuple[str, ...] = ()

    def runs(self) -> Iterator[tuple[int, Preset, Path]]:
        """(seed, row, folder) of every run, in the order in which they are trained."""
        for seed, row in itertools.product(range(self.seeds), self.rows):
            yield seed, row, self.folder / f"{row.name.partition(':')[2]}-seed{seed}"

    def own_files(self) -> list[Path]:
        """The files that the comparison writes."""
        own = [self.folder / name for name in TABLES]
        return own + [path for _, _, place in self.runs() for path in runs.own_files(place)]

    def check(self, data: DataSet | None = None) -> None:
        """Refuse to go on in a folder whose runs were made under other conditions.

        Warns with `UnknownRowsWarning` where a run keeps no fingerprint of its rows.

        Args:
            data: as loaded now; None compares everything else.

        Raises:
            RunError: another budget, number of attacked images, recipe, target or columns to
                drop, other rows; says which.
        """
        table = self.folder / TABLES[0]
        if table.is_file():
            try:
                document = json.loads(table.read_text(encoding="utf-8"))
                budget = float(document["budget_seconds"])
                asked = document.get("pgd_samples_asked", self.pgd_samples)
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                raise RunError(f"{table}: damaged; remove it") from None
            if budget != self.budget:
                raise RunError(
                    f"{self.folder} holds runs of {budget:g} s each, not {self.budget:g}; "
                    "give another --out"
                )
            if asked != self.pgd_samples:
                raise RunError(
                    f"{self.folder} holds runs made with --pgd-samples {asked}, not "
                    f"{self.pgd_samples}; give another --out"
                )
        now, known = None if data is None else DataRows.of(data), True
        for _, row, place in self.runs():
            if (place / runs.CONFIG).is_file():
                config = runs.read_config(place)
                for option in ("target", "drop"):
                    before, after = getattr(config, option), getattr(self, option)
                    if before != after:
                        raise RunError(
                            f"{place} holds a run with --{option} {as_written(before)}, not "
                            f"{as_written(after)}; give another --out"
                        )
                if data is not None and now is not None:
                    check_schema(place, config, data)
                    known &= check_compared_rows(place, config, now, data.name)
                found = config.preset
                for name, old, new in runs.differences(found, row.scaled(found.recipe.epochs)):
                    raise RunError(
                        f"{place} holds a run of another recipe than {row.name}: {name} {old}, not "
                        f"{new}; give another --out"
                    )
        if not known and data is not None:
            warn_unknown(self.folder, data.name)

    def plan(self, data: DataSet, progress: Callable[[int, int], None]) -> Plan:
        """Build every row that is still to be trained, and measure what fits into the budget.

        Args:
            progress: called with (done, total) rows.

        Raises:
            ValueError: a row that cannot be built or trained on this data; names it.
        """
        epochs: dict[str, float] = {}
        per_image = [0.0]
        for done, row in enumerate(self.rows):
            progress(done, len(self.rows))
            places = [place for _, other, place in self.runs() if other is row]
            if all(finished_run(place) is not None for place in places):
                continue
            begun = [place for place in places if (place / runs.CONFIG).is_file()]
            try:
                config = self._config(row, data, 0)
                measured, seconds = measure(config, data, self.budget)
            except ValueError as error:
                raise ValueError(f"row {row.name}: {error}") from None
            if begun:
                measured = runs.read_config(begun[0]).preset.recipe.epochs
            epochs[row.name] = measured
            per_image.append(seconds)
        progress(len(self.rows), len(self.rows))
        return Plan(epochs, self._attacked(data, max(per_image)))

    def _attacked(self, data: DataSet, per_image: float) -> int:
        """How many test images every run attacks: as earlier runs did, else as time allows."""
        counts = {result["pgd_samples"] for _, _, p in self.runs() if (result := finished_run(p))}
        if len(counts) > 1:
            raise RunError(
                f"{self.folder} mixes runs that attacked {' and '.join(map(str, sorted(counts)))} "
                "images; give another --out"
            )
        if counts:
            return int(counts.pop())
        most = min(self.pgd_samples, len(data.test))
        within = ATTACK_SHARE * self.budget
        return most if most * per_image <= within else max(1, math.floor(within / per_image))

    def run(self, data: DataSet, plan: Plan, bar: Bar, finish: Finish) -> Iterator[dict[str, Any]]:
        """Train and evaluate what is missing; gives the table (`document`) after each run.

        Args:
            bar: for each training, from its title.
            finish: evaluates a trained network, attacks the given number of images and adds the
                result to metrics.jsonl.
        """
        results: dict[str, list[dict[str, Any]]] = {row.name: [] for row in self.rows}
        for seed, row, place in self.runs():
            result = finished_run(place)
            if result is None:
                if (place / runs.CONFIG).is_file():
                    config = runs.read_config(place)
                else:
                    config = self._config(row.scaled(plan.epochs[row.name]), data, seed)
                trainer = Trainer(config, data, place)
                trainer.resume()
                with bar(f"{row.name} seed {seed}") as listener:
                    model = trainer.run(listener)
                finish(place, config, model, data, trainer.seconds, plan.attacked)
                result = finished_run(place)
                assert result is not None
            results[row.name].append({"seed": seed, **result})
            yield self.document(data, results)

    def document(self, data: DataSet, results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        """The table for machines: fractions of 1, seconds, mean and sample standard deviation.

        Args:
            results: of `finished_run` with "seed", by the name of the row.
        """
        radii = self.base.recipe.eps_test
        blind = best_guess(data)
        table: list[dict[str, Any]] = []
        for row in self.rows:
            done = [{**r, "learned": bool(r["clean"] > blind)} for r in results[row.name]]
            if done:
                table.append(
                    {
                        "name": row.name.partition(":")[2],
                        "about": row.about,
                        "clean": spread([r["clean"] for r in done]),
                        "pgd": {
                            e: spread([r["pgd"].get(e, math.nan) for r in done]) for e in radii
                        },
                        "certified": {e: spread([r["certified"][e] for r in done]) for e in radii},
                        "seconds": spread([r["training_seconds"] for r in done]),
                        "runs": done,
                    }
                )
        every = [run for row in table for run in row["runs"]]
        return {
            "preset": self.base.name,
            "data": data.name,
            "eps": list(radii),
            "budget_seconds": self.budget,
            "total_seconds": sum(r["training_seconds"] + r["evaluation_seconds"] for r in every),
            "test_samples": len(data.test),
            "pgd_samples_asked": self.pgd_samples,
            "best_guess": blind,
            "environment": runs.environment(),
            "rows": table,
        }

    def _config(self, row: Preset, data: DataSet, seed: int) -> RunConfig:
        return runs.new_config(
            row,
            data,
            seed=seed,
            data_root=self.data_root,
            target=self.target,
            drop=self.drop,
        )


@dataclass(frozen=True)
class Plan:
    """Epochs of each row that is to be trained, and how many images every run attacks."""

    epochs: dict[str, float]
    attacked: int


def measure(config: RunConfig, data: DataSet, budget: float) -> tuple[float, float]:
    """What this machine can do with a network: it is built, trained some steps, and attacked.

    Steps are timed at ten places of the schedule, since their cost varies with p. The median of
    three rounds keeps a short moment in which the machine is busy with something else from
    shortening the run.

    Returns:
        How many epochs of the recipe fit into `budget` seconds, and how many seconds the attack
        takes for one image, at all test radii together.
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
        attack = _attack_seconds(trainer.net, data, recipe.eps_test)
    # A tenth in reserve for loading, logging and checkpoints.
    return min(MOST_EPOCHS, 0.9 * budget / per_epoch), attack


def _attack_seconds(net: CertifiedNet, data: DataSet, eps: tuple[str, ...]) -> float:
    net.eval()
    set_p(net, math.inf)
    set_dropping(net, 1.0)
    index = np.arange(min(100, len(data.test)))
    x, y = torch.from_numpy(data.test.floats(index)), torch.from_numpy(data.test.labels[index])
    steps, times = 4, []
    for _ in range(2):  # the first use allocates
        started = time.monotonic()
        pgd(net, x, y, eps_to_float(eps[0], MAX_UNITS_OF_RADIUS), steps)
        times.append(time.monotonic() - started)
    return min(times) / len(index) * ATTACK_STEPS / steps * len(eps)


def finished_run(folder: Path) -> dict[str, Any] | None:
    """Epochs, seconds of training and evaluation, and the evaluation of a finished run, else None.

    Raises:
        RunError: metrics.jsonl is damaged.
    """
    rows = runs.read_metrics(folder)
    if len(rows) < 2 or "evaluation" not in rows[-1]:
        return None
    last, evaluation = rows[-2], rows[-1]["evaluation"]
    keys = ("clean", "pgd", "certified", "pgd_samples", "samples")
    try:
        result = {key: evaluation[key] for key in keys}
        return {
            "epochs": last["epoch"],
            "training_seconds": last["seconds"],
            "evaluation_seconds": evaluation["seconds"],
            **result,
        }
    except (KeyError, TypeError):
        raise RunError(f"{folder / runs.METRICS}: damaged; remove the folder") from None


def best_guess(data: DataSet) -> float:
    """Accuracy that no network needs to have learned anything for: always naming one class.

    That of the commonest class of the test split, and two standard errors more.
    """
    share = majority(data.test)
    return share + 2 * math.sqrt(share * (1 - share) / len(data.test))


def majority(split: Split) -> float:
    """Share of the commonest class: clean and certified accuracy of always naming it."""
    return float(np.bincount(split.labels).max()) / len(split)


def spread(values: list[float]) -> dict[str, float | None]:
    """Mean and sample standard deviation (None for one value)."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "std": deviation}
