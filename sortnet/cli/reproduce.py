"""`sortnet reproduce`: all network families on one data set, equal training time, one table."""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path
from typing import Any

import click

from sortnet.base.files import atomic_write, check_outputs, write_json

from .console import console, training_bar
from .options import Duration, json_option, root_option
from .results import finish_run


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
    from sortnet.training import comparison, presets, reproduction, runs

    base = presets.get_preset(preset)
    chosen = [comparison.comparison_row(base, row) for row in rows or comparison.ROWS]
    folder = out or runs.default_folder(f"reproduce-{preset}")
    places = {
        (seed, row.name): folder / f"{row.name.partition(':')[2]}-seed{seed}"
        for seed, row in itertools.product(range(seeds), chosen)
    }
    own = [folder / name for name in reproduction.TABLES]
    own += [path for place in places.values() for path in runs.own_files(place)]
    check_outputs(
        {"--json": json_file},
        folder=folder,
        inputs=own,
        data=user_folder(base.data, data_root),
    )
    reproduction.check_budget(folder, budget)
    for seed, row in itertools.product(range(seeds), chosen):
        reproduction.check_recipe(places[seed, row.name], row)
    data = load(base.data, data_root)

    def finish(*run: Any) -> None:
        finish_run(*run, pgd_samples)

    results: dict[str, list[dict[str, Any]]] = {row.name: [] for row in chosen}
    for seed, row in itertools.product(range(seeds), chosen):
        place = places[seed, row.name]
        result = reproduction.finished_run(place) or reproduction.train_within(
            row, data, place, seed, budget, data_root, training_bar, finish
        )
        results[row.name].append({"seed": seed, **result})
        document = reproduction.comparison_document(base, budget, data, chosen, results)
        _write_tables(folder, document)
    console.print(_markdown(document), markup=False, highlight=False, soft_wrap=True)
    write_json(json_file, document)


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
    from sortnet.training.reproduction import TABLES

    from . import plots

    as_json, as_text, as_plot = (folder / name for name in TABLES)
    write_json(as_json, document)
    with atomic_write(as_text) as path:
        path.write_text(_markdown(document))
    title = f"{document['data']}, eps {document['eps']}"
    plots.comparison_plot(as_plot, title, document["rows"])
