"""`sortnet theory`: run every theorem as a check, or put a trained model under the mass lemma."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sortnet.base.files import check_outputs, write_json
from sortnet.theory.objects.results import Result
from sortnet.theory.report import rows as report
from sortnet.theory.report.registry import select

from .options import Group

if TYPE_CHECKING:
    from sortnet.theory.report.plots import Plot


@click.group(name="theory", cls=Group, renamed={"--plot": "--plots"}, invoke_without_command=True)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write the rows to FILE as a JSON list.",
)  # fmt: skip
@click.option(
    "--plots", "plot_folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Write the figures of what is checked into DIR (needs the extra 'train').",
)  # fmt: skip
@click.option("--only", metavar="RESULT", help="Check one result only, e.g. 3.5.")
@click.option("--thorough", is_flag=True, help="More and larger cases; takes an hour or more.")
@click.pass_context
def theory_command(
    context: click.Context,
    json_file: Path | None,
    plot_folder: Path | None,
    only: str | None,
    thorough: bool,
) -> None:
    """Check every result of the theory on this machine, and say how each is known.

    \b
    proved in Coq: for all cases, by proofs that are compiled and audited now.
    exhaustive: every case of a finite set, in exact arithmetic.
    exact on N networks: in exact arithmetic, on the networks counted.
    sampled: on cases drawn by Hypothesis, in exact arithmetic.

    The exit code is 0 unless a check fails. A check that needs something that is not installed
    is shown as "not run".

    \b
    Examples:
      sortnet theory
      sortnet theory --only 3.5 --json rows.json
      sortnet theory --plots figures
      sortnet theory check runs/digits
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    try:
        chosen = select(only)
        check_outputs({"--json": json_file}, folder=plot_folder)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
    wanted = [] if plot_folder is None else _plots(chosen)
    # Hypothesis keeps a folder of what it read; not in the folder where the command is run.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(cache / "sortnet" / "hypothesis"))
    errors = Console(stderr=True)
    with errors.status("starting") as status:
        rows = list(report.run(chosen, thorough=thorough, announce=status.update))
    _show(rows)
    try:
        if json_file is not None:
            report.write_json(rows, json_file)
        if plot_folder is not None:
            from sortnet.theory.report import plots

            files = plots.write(wanted, plot_folder, thorough=thorough)
            click.echo("figures: " + ", ".join(map(str, files)))
    except OSError as error:
        raise click.ClickException(f"cannot write: {error}") from None
    failed = [row for row in rows if row.passed is False]
    if failed:
        raise click.ClickException(f"{len(failed)} of {len(rows)} checks failed")


@theory_command.command(name="check")
@click.argument("model", type=click.Path(path_type=Path), metavar="RUN_OR_ONNX")
@click.option("--k", default=1, show_default=True, help="Cyclic points with k-1 and k ones.")
@click.option(
    "--base", type=click.Choice(["cyclic", "random"]), default="cyclic", show_default=True,
    help="The points: cyclic ones, or a random image and one moved pixel in each pair.",
)  # fmt: skip
@click.option("--exact", is_flag=True, help="Exact arithmetic; for small models, may take minutes.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write the layers to FILE as JSON.",
)  # fmt: skip
def check_command(model: Path, k: int, base: str, exact: bool, json_file: Path | None) -> None:
    """Put a trained model under the mass lemma.

    Moves every input by at most 1, one at a time, and adds up how far each unit moves. A unit of
    a standard Lipschitz network cannot move by more than the product of the layers' norms in all
    ("if standard"); GroupSort networks are bounded by G^s times that, distance networks and
    SortNets by the number of pairs.
    """
    given = click.get_current_context().get_parameter_source("k") is not ParameterSource.DEFAULT
    if base == "random" and given:
        raise click.ClickException("--k chooses among the cyclic points; --base random has none")
    try:
        from sortnet.theory.report.model_check import check_model

        read = [model]
        if model.is_dir():
            from sortnet.training.runs import own_files

            read = own_files(model)
        check_outputs({"--json": json_file}, inputs=read)
        found = check_model(model, k=k, base=base, exact=exact)
        write_json(json_file, found.document())
    except ModuleNotFoundError as missing:
        text = f"this check needs {missing.name}: pip install 'sortnet[train]'"
        raise click.ClickException(text) from None
    except (ValueError, OSError) as error:
        raise click.ClickException(" ".join(str(error).split())) from None
    table = Table("layer", "units", "measured mass", "bound", "if standard", "more than standard")
    for row in found.layers:
        table.add_row(
            row.layer,
            str(row.units),
            *(f"{float(mass):.4g}" for mass in (row.measured, row.bound, row.if_standard)),
            "yes" if found.exceeds(row.measured, row.if_standard) else "no",
        )
    table.title = f"{found.family}; {found.pairs}; measured in {found.arithmetic} arithmetic"
    _console().print(table)
    if not found.within:
        raise click.ClickException("a layer exceeds its bound: the weights break a constraint")


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=160)


def _show(rows: list[report.Row]) -> None:
    table = Table("result", "statement", "how it is known", "range", "s", "pass")
    for row in rows:
        verdict = {True: "yes", False: "[red]NO[/red]", None: "-"}[row.passed]
        cells = (row.result, row.statement, row.known_by, row.range, f"{row.seconds:.1f}")
        table.add_row(*map(escape, cells), verdict)
    console = _console()
    console.print(table)
    for row in rows:
        if row.passed is False:
            console.print(f"{row.result}: {row.problem}", style="red", markup=False)


def _refuse_options(context: click.Context) -> None:
    """Options before the subcommand belong to the table, which does not run."""
    for parameter in context.command.params:
        if parameter.name == "debug":
            continue
        source = context.get_parameter_source(parameter.name or "")
        if source not in (None, ParameterSource.DEFAULT):
            name = context.invoked_subcommand
            text = f"{parameter.opts[0]} before {name!r} has no effect; options of {name} follow it"
            raise click.ClickException(text)


def _plots(chosen: Sequence[Result]) -> list[Plot]:
    """The figures of the chosen results; refuses, before the work, what could not be drawn."""
    try:
        import matplotlib.figure  # noqa: F401

        from sortnet.theory.report import plots
    except ModuleNotFoundError as missing:
        text = f"the figures need {missing.name}: pip install 'sortnet[train]'"
        raise click.ClickException(text) from None
    wanted = plots.plots_of(result.number for result in chosen)
    if not wanted:
        shown = ", ".join(dict.fromkeys(n for plot in plots.PLOTS for n in plot.results))
        raise click.ClickException(f"{chosen[0].number} has no figure; these have: {shown}")
    return wanted


if __name__ == "__main__":
    theory_command()
