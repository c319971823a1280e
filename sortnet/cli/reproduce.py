"""`sortnet reproduce`: all network families on one data set, equal training time, one table."""

from __future__ import annotations

import itertools
import json
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sortnet.base.files import atomic_write, check_outputs

from .commands import finish_run
from .console import console, training_bar, write_json
from .options import json_option, root_option

if TYPE_CHECKING:
    from sortnet.data.sets import DataSet
    from sortnet.training.presets import Preset
    from sortnet.training.runs import RunConfig

MOST_EPOCHS = 1000.0
TABLES = ("table.json", "table.md", "table.png")


class Duration(click.ParamType):
    """A time such as 90s, 20m, 1.5h, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds, > 0."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", str(value).strip())
        if not match or float(match[1]) <= 0:
            self.fail(f"expected a duration such as 90s, 20m or 1.5h, got {value!r}", param, ctx)
        return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


@click.command()
@click.argument("preset")
@click.option("--budget", type=Duration(), default="20m", show_default=True, help="Per training.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Runs per row.")
@click.option("--row", "rows", multiple=True, help="Only this row; several allowed [default: all].")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder [default: runs/reproduce-PRESET].",
)
@root_option("--data")
@click.option(
    "--pgd-samples",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Attack so many test images.",
)
@json_option
def reproduce_command(
    preset: str,
    budget: float,
    seeds: int,
    rows: tuple[str, ...],
    out: Path | None,
    data_root: Path | None,
    pgd_samples: int,
    json_file: Path | None,
) -> None:
    """Train SortNet and every family it is compared with on PRESET's data, and write one table.

    Every row trains for the same wall-clock budget on this machine: its speed is measured first and
    its recipe squeezed or stretched to fit. Our recipes were chosen on held-out training images
    (the baselines' on digits); the test split is looked at once per run, at the end.
    Finished runs are kept, so that an interrupted command goes on where it stopped. The folder gets
    table.md, table.json, table.png.

    \b
    Examples:
      sortnet reproduce fashion-mnist-0.1 --budget 20m
      sortnet reproduce digits --budget 30s --seeds 1 --row sortnet --row maxmin
    """
    from sortnet.data.sets import load, user_folder
    from sortnet.training import presets, runs

    base = presets.get_preset(preset)
    chosen = [presets.comparison_row(base, row) for row in rows or presets.ROWS]
    folder = out or runs.default_folder(f"reproduce-{preset}")
    places = {
        (seed, row.name): folder / f"{row.name.partition(':')[2]}-seed{seed}"
        for seed, row in itertools.product(range(seeds), chosen)
    }
    own = [folder / name for name in TABLES]
    own += [path for place in places.values() for path in runs.own_files(place)]
    check_outputs(
        {"--json": json_file},
        folder=folder,
        inputs=own,
        data=user_folder(base.data, data_root),
    )
    _check_budget(folder, budget)
    for seed, row in itertools.product(range(seeds), chosen):
        _check_recipe(places[seed, row.name], row)
    data = load(base.data, data_root)
    results: dict[str, list[dict[str, Any]]] = {row.name: [] for row in chosen}
    for seed, row in itertools.product(range(seeds), chosen):
        place = places[seed, row.name]
        result = _finished(place) or _train(row, data, place, seed, budget, data_root, pgd_samples)
        results[row.name].append({"seed": seed, **result})
        document = _document(base, budget, data, chosen, results)
        _write_tables(folder, document)
    console.print(_markdown(document), markup=False, highlight=False, soft_wrap=True)
    write_json(json_file, document)


def epochs_within(config: RunConfig, data: DataSet, budget: float) -> float:
    """How many epochs of the recipe fit into `budget` seconds on this machine.

    Steps are timed at ten places of the schedule, since their cost varies with p. The median of
    three rounds keeps a short moment in which the machine is busy with something else from
    shortening the run.
    """
    from sortnet.training.train import Trainer, settings_at

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


def _train(
    row: Preset,
    data: DataSet,
    folder: Path,
    seed: int,
    budget: float,
    data_root: Path | None,
    pgd_samples: int,
) -> dict[str, Any]:
    from sortnet.training import runs
    from sortnet.training.train import Trainer

    if (folder / runs.CONFIG).is_file():
        config = runs.read_config(folder)
    else:
        epochs = epochs_within(_config(row, data, seed, data_root), data, budget)
        config = _config(row.scaled(epochs), data, seed, data_root)
    trainer = Trainer(config, data, folder)
    trainer.resume()
    with training_bar(f"{row.name} seed {seed}") as listener:
        model = trainer.run(listener)
    finish_run(folder, config, model, data, trainer.seconds, pgd_samples)
    result = _finished(folder)
    assert result is not None
    return result


def _config(row: Preset, data: DataSet, seed: int, data_root: Path | None) -> RunConfig:
    from sortnet.training import runs
    from sortnet.training.train import model_config

    return runs.RunConfig(
        preset=row,
        model=model_config(row, data),
        seed=seed,
        data_root=None if data_root is None else str(data_root),
        environment=runs.environment(),
    )


def _check_budget(folder: Path, budget: float) -> None:
    """Refuse to mix budgets in one table."""
    from sortnet.training import runs

    table = folder / TABLES[0]
    if table.is_file():
        try:
            before = float(json.loads(table.read_text())["budget_seconds"])
        except (OSError, ValueError, TypeError, KeyError):
            raise runs.RunError(f"{table}: damaged; remove it") from None
        if before != budget:
            raise runs.RunError(
                f"{folder} holds runs of {before:g} s each, not {budget:g}; give another --out"
            )


def _check_recipe(folder: Path, row: Preset) -> None:
    """Refuse to go on with, or to count, a run of another recipe."""
    from sortnet.training import runs

    if (folder / runs.CONFIG).is_file():
        found = runs.read_config(folder).preset
        if found != row.scaled(found.recipe.epochs):
            raise runs.RunError(
                f"{folder} holds a run of another recipe than {row.name}; give another --out"
            )


def _finished(folder: Path) -> dict[str, Any] | None:
    """Epochs, training seconds and evaluation of a finished run, else None."""
    from sortnet.training import runs

    rows = runs.read_metrics(folder)
    if len(rows) < 2 or "evaluation" not in rows[-1]:
        return None
    last, evaluation = rows[-2], rows[-1]["evaluation"]
    keys = ("clean", "pgd", "certified", "pgd_samples", "samples")
    try:
        result = {key: evaluation[key] for key in keys}
        return {"epochs": last["epoch"], "training_seconds": last["seconds"], **result}
    except (KeyError, TypeError):
        raise runs.RunError(f"{folder / runs.METRICS}: damaged; remove the folder") from None


def _document(
    base: Preset,
    budget: float,
    data: DataSet,
    rows: list[Preset],
    results: dict[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    from sortnet.training import runs

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


def _markdown(document: dict[str, Any]) -> str:
    def percent(cell: dict[str, float]) -> str:
        return f"{100 * cell['mean']:.2f} ± {100 * cell['std']:.2f}"

    seeds = sorted({run["seed"] for row in document["rows"] for run in row["runs"]})
    attacked = document["rows"][0]["runs"][0]["pgd_samples"]
    machine = ", ".join(f"{k} {v}" for k, v in document["environment"].items())
    lines = [
        f"{document['data']}, eps {document['eps']}, {document['budget_seconds']:.0f} s of "
        "training per run; mean ± sample standard deviation over seeds "
        f"{', '.join(map(str, seeds))}, in %; "
        f"{document['test_samples']} test images, PGD-100 on {attacked} of them.",
        f"Machine: {machine}.",
        "",
        "| row | clean | PGD | certified | epochs | training s |",
        "|---|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        epochs = statistics.mean(run["epochs"] for run in row["runs"])
        lines.append(
            f"| {row['name']} | {percent(row['clean'])} | {percent(row['pgd'])} | "
            f"{percent(row['certified'])} | {epochs:.1f} | {row['seconds']['mean']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def _write_tables(folder: Path, document: dict[str, Any]) -> None:
    from . import plots

    as_json, as_text, as_plot = (folder / name for name in TABLES)
    write_json(as_json, document)
    with atomic_write(as_text) as path:
        path.write_text(_markdown(document))
    title = f"{document['data']}, eps {document['eps']}"
    plots.comparison_plot(as_plot, title, document["rows"])
