"""`sortnet reproduce`: all network families on one data set, equal training time, one table."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sortnet.base.files import atomic_write, check_outputs, write_json
from sortnet.base.percent import certified_percent, percent

from .console import console, plain_bar, training_bar, warnings_as_lines
from .options import (
    Command,
    Duration,
    data_option,
    drop_option,
    folder_option,
    json_option,
    own_data,
    root_option,
    target_option,
)
from .results import data_files, finish_run


@click.command(cls=Command)
@click.argument("preset")
@click.option("--budget", type=Duration(), default="20m", show_default=True, help="Per training.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Runs per row.")
@click.option("--row", "rows", multiple=True, help="Only this row; several allowed [default: all].")
@folder_option("Folder [default: runs/reproduce-PRESET].")
@data_option("Compare on this data set, folder:PATH or file instead of the preset's.")
@root_option
@target_option
@drop_option
@click.option(
    "--pgd-samples",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Attack so many test images; fewer, if that took more than half of the budget.",
)
@json_option
def reproduce_command(
    preset: str,
    budget: float,
    seeds: int,
    rows: tuple[str, ...],
    out: Path | None,
    data: str | None,
    data_root: Path | None,
    target: str | None,
    drop: tuple[str, ...],
    pgd_samples: int,
    json_file: Path | None,
) -> None:
    """Train SortNet and every family it is compared with on PRESET's data, and write one table.

    Every row trains for the same wall-clock budget on this machine: first all rows are built and
    their speed is measured, and their recipes squeezed or stretched to fit. Our recipes were chosen
    on held-out training images (the baselines' on digits); the test split is looked at once per
    run, at the end. Finished runs are kept, so that an interrupted command goes on where it
    stopped. The folder gets table.md, table.json, table.png.

    \b
    Examples:
      sortnet reproduce fashion-mnist-0.1 --budget 20m
      sortnet reproduce own --data table:wine.csv --target cultivar --budget 1m
      sortnet reproduce digits --budget 30s --seeds 1 --row sortnet --row maxmin
    """
    from sortnet.data.sets import DataSet, load, resolve, user_folder
    from sortnet.training import comparison, own, presets, runs
    from sortnet.training.reproduction import ATTACK_SHARE, Reproduction
    from sortnet.training.same_data import UnknownRowsWarning

    title, data = own_data(preset, data)
    folder = out or runs.default_folder(f"reproduce-{title or preset}")
    loaded: DataSet | None = None
    if title is None:
        known = presets.get_preset(preset)
        spec, root = resolve(data or known.data, data_root)
        base = dataclasses.replace(known, data=spec)
    elif data is None:
        raise click.UsageError("`own` needs --data, such as --data table:FILE.csv")
    else:
        spec, root = resolve(data, data_root)
        loaded = load(spec, root, target=target, drop=drop)
        base = own.own_preset(loaded, spec)
        for line in (*loaded.notes, *own.choices(base, loaded)):
            click.echo(line, err=True)
    chosen = tuple(comparison.comparison_row(base, row) for row in rows or comparison.ROWS)
    work = Reproduction(base, chosen, seeds, budget, pgd_samples, folder, root, target, drop)
    check_outputs(
        {"--json": json_file},
        folder=folder,
        inputs=[*work.own_files(), *data_files(spec, root)],
        data=user_folder(spec, root),
    )
    with warnings_as_lines(UnknownRowsWarning):
        work.check(loaded)
        if loaded is None:
            loaded = load(spec, root, target=target, drop=drop)
            work.check(loaded)
    count = len(chosen) * seeds
    most = (1 + ATTACK_SHARE) * count * budget
    with plain_bar("measuring") as progress:
        plan = work.plan(loaded, progress)
    text = f"{count} runs of {_time(budget)}, up to {_time(most)} in all, less what is finished"
    click.echo(text, err=True)

    def finish(*run: Any) -> None:
        finish_run(*run).check()

    with warnings_as_lines(UnknownRowsWarning):
        for document in work.run(loaded, plan, training_bar, finish):
            _write_tables(folder, document)
    console.print(_markdown(document), markup=False, highlight=False, soft_wrap=True)
    write_json(json_file, document)


def _time(seconds: float) -> str:
    """In the largest unit of which there is at least one."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _bare(text: str) -> str:
    return text.removesuffix("%")


def _markdown(document: dict[str, Any]) -> str:
    def shown(cell: dict[str, Any], write: Callable[[float], str] = percent) -> str:
        deviation = "" if cell["std"] is None else f" ± {_bare(percent(cell['std']))}"
        return f"{_bare(write(cell['mean']))}{deviation}"

    rows = document["rows"]
    every = [(row["name"], run) for row in rows for run in row["runs"]]
    seeds = sorted({run["seed"] for _, run in every})
    what = "mean ± sample standard deviation over seeds" if len(seeds) > 1 else "seed"
    machine = ", ".join(f"{k} {v}" for k, v in document["environment"].items())
    heads = [f"PGD {eps} | certified {eps}" for eps in document["eps"]]
    lines = [
        f"{document['data']}, {document['budget_seconds']:.0f} s of training per run; {what} "
        f"{', '.join(map(str, seeds))}, in %; {document['test_samples']} test images, PGD-100 on "
        f"{every[0][1]['pgd_samples']} of them. {len(every)} runs, "
        f"{_time(document['total_seconds'])} of training and evaluation in all.",
        f"Machine: {machine}.",
        "",
        f"| row | clean | {' | '.join(heads)} | epochs | training s |",
        "|---" * (4 + 2 * len(heads)) + "|",
    ]
    for row in rows:
        epochs = statistics.mean(run["epochs"] for run in row["runs"])
        cells = [
            f"{shown(row['pgd'][eps])} | {shown(row['certified'][eps], certified_percent)}"
            for eps in document["eps"]
        ]
        lines.append(
            f"| {row['name']} | {shown(row['clean'])} | {' | '.join(cells)} | {epochs:.1f} "
            f"| {row['seconds']['mean']:.0f} |"
        )
    idle = [f"{name} (seed {run['seed']})" for name, run in every if not run["learned"]]
    if idle:
        lines += [
            "",
            f"Never learned: {', '.join(idle)}. Their clean accuracy is not above that of always "
            f"naming one class ({_bare(percent(document['best_guess']))} % with two standard "
            "errors).",
        ]
    return "\n".join(lines) + "\n"


def _write_tables(folder: Path, document: dict[str, Any]) -> None:
    from sortnet.training.reproduction import TABLES

    from . import plots

    as_json, as_text, as_plot = (folder / name for name in TABLES)
    write_json(as_json, document)
    with atomic_write(as_text) as path:
        path.write_text(_markdown(document), encoding="utf-8")
    plots.comparison_plot(as_plot, document["data"], document["eps"], document["rows"])
