"""`sortnet certify --out`: row groups of a lake of Parquet files, on one machine or many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import click
from rich.table import Table

from sortnet.base.files import check_outputs, write_json
from sortnet.base.percent import percent

from .console import console, plain_bar, warn
from .options import folder_option

_OPTIONS = (
    folder_option("Certify parquet:DIR into this folder, row group by row group."),
    click.option(
        "--engine",
        type=click.Choice(["local", "spark", "ray"]),
        help="With --out: who runs the processes; local by default.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1),
        metavar="N",
        help="With --out: processes at a time; by default one for each core.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1),
        metavar="N",
        help="With --out: threads of each process; 1 by default.",
    ),
    click.option(
        "--levels",
        type=click.IntRange(1, 255),
        metavar="N",
        help="The integer that means 1, of npz: and parquet:; 255 where nothing speaks against it.",
    ),
    click.option("--strict", is_flag=True, help="With --out: exit with 1 if any row has an error."),
)


def lake_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of lakes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wants_lake(lake: Mapping[str, Any]) -> bool:
    """Whether --out is given; the others but --levels mean nothing without it."""
    if lake["out"] is None:
        if alone := [f"--{name}" for name, value in lake.items() if value and name != "levels"]:
            raise click.UsageError(f"{alone[0]} is for lakes: add --out DIR")
        return False
    return True


def certify_lake_command(
    model: Path,
    data: str,
    root: Path | None,
    target: str | None,
    eps: tuple[str, ...],
    library: bool,
    json_file: Path | None,
    given: Mapping[str, Any],
    *,
    out: Path,
    engine: str | None,
    workers: int | None,
    threads: int | None,
    levels: int | None,
    strict: bool,
) -> None:
    """Run the job, print its summary; exit code 1 where row groups are missing."""
    from sortnet.data.sets import resolve
    from sortnet.export.lake.certifier import BatchCertifier
    from sortnet.export.lake.job import certify_lake

    if others := [name for name, value in given.items() if value]:
        raise click.UsageError(f"{others[0]} has no meaning with --out")
    kind, _, path = resolve(data, root)[0].partition(":")
    if kind != "parquet":
        raise click.UsageError("--out is for --data parquet:DIR")
    check_outputs({"--json": json_file}, folder=out, inputs=[model], data=Path(path))
    certifier = BatchCertifier(model, eps, threads or 1, library=library, levels=levels)
    with plain_bar("row groups") as progress:
        summary = certify_lake(
            certifier,
            Path(path),
            out,
            engine=engine or "local",
            workers=workers,
            target=target,
            progress=progress,
        )
    write_json(json_file, summary)
    _print(model.name, summary)
    if summary["failed"]:
        raise click.ClickException(
            f"{len(summary['failed'])} row groups or files were left out: "
            f"{next(iter(summary['failed'].values()))}"
        )
    if strict and summary["rows_with_errors"]:
        raise click.ClickException(f"{summary['rows_with_errors']} rows have errors (--strict)")


def _print(name: str, summary: dict[str, Any]) -> None:
    accuracy = summary["accuracy"]
    click.echo(
        f"{name}: {summary['rows']} rows in {summary['row_groups']} row groups"
        + (f", clean accuracy {_shown(accuracy, 'nearest')}" if accuracy else "")
    )
    table = Table()
    for heading in ("eps", "certified", "certified accuracy"):
        table.add_column(heading, justify="right")
    for eps, values in summary["eps"].items():
        row = (values["certified"], values["certified_accuracy"])
        table.add_row(eps, *(_shown(value) if value else "-" for value in row))
    console.print(table)
    console.print(f"Intervals: {summary['interval']}.", highlight=False)
    console.print(f"Claim: {summary['claim']}.", highlight=False)
    if summary["rows_with_errors"]:
        warn(f"{summary['rows_with_errors']} rows have errors:")
        for error in summary["errors"]:
            click.echo(f"  {error['file']}: row {error['row']}: {error['error']}", err=True)
    for what, reason in summary["failed"].items():
        warn(f"left out {what}: {reason}")


def _shown(value: dict[str, Any], rounding: Literal["nearest", "down"] = "down") -> str:
    low, high = value["interval"]
    ends = f"{percent(low, rounding='down')} to {percent(high, rounding='up')}"
    return f"{percent(value['fraction'], rounding=rounding)} ({ends})"
