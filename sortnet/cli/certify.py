"""`sortnet certify`: certify data with an ONNX file, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from sortnet.base.files import check_outputs, write_json
from sortnet.base.percent import certified_percent, percent

from .certify_lake import certify_lake_command, lake_options, wants_lake
from .console import console, plain_bar
from .options import (
    ONNX_FILE,
    Command,
    OutFile,
    data_option,
    eps_option,
    json_option,
    limit_option,
    pgd_steps_option,
    plot_option,
    root_option,
    target_option,
)
from .results import data_files, first, warn_outside, warn_too_large

if TYPE_CHECKING:
    from sortnet.certificate.network import Network
    from sortnet.export.report import Attack, Report
    from sortnet.export.values import ValueReport


_FILES = (".npz", ".csv", ".tsv", ".parquet")


@click.command("certify", cls=Command, renamed={"--pgd": "--pgd-steps"})
@click.argument("model", type=ONNX_FILE)
@data_option("A preset's name, a data set's name, folder:PATH or a file.", required=True)
@root_option
@target_option
@eps_option(required=True)
@limit_option
@pgd_steps_option(0)
@click.option(
    "--library/--functions",
    default=True,
    show_default=True,
    help="Run our native operation, or the functions inside the file.",
)
@click.option(
    "--samples",
    type=OutFile({".jsonl": None, ".parquet": "pyarrow"}),
    help="Write one row per sample to a .jsonl or .parquet file.",
)
@plot_option
@click.option(
    "--report",
    "report_file",
    type=OutFile({".html": "jinja2 matplotlib"}),
    metavar="FILE",
    help="Write all of it as one .html page with charts and samples.",
)
@lake_options
@json_option
def certify_command(
    model: Path,
    data: str,
    data_root: Path | None,
    target: str | None,
    eps: tuple[str, ...],
    limit: int | None,
    pgd_steps: int,
    library: bool,
    samples: Path | None,
    plot_file: Path | None,
    report_file: Path | None,
    json_file: Path | None,
    **lake: Any,
) -> None:
    """Certify the test samples of DATA with the ONNX file MODEL, at one or more radii.

    Of a regression, bounds of the values and of the errors are certified.

    The file is verified first; a file that does not prove its certificates is refused. An .npz
    holds x [N, ...] (uint8, or floats in the box) and y [N]; a table's columns and classes are
    found by the names in the file. Radii are in pixels in [0, 1], or in units of each feature;
    exact fractions, rounded up: a sample counts only if its whole ball is certified. A sample
    outside of the box has radius 0, and is named.

    With --out, DATA is parquet:DIR, of more than fits into memory: each row group becomes a Parquet
    file in the folder, and an interrupted job goes on where it stopped.

    \b
    Examples:
      sortnet certify digits.onnx --data digits --eps 0.05 --eps 0.1
      sortnet certify cifar.onnx --data test.npz --eps 8/255 --json result.json
      sortnet certify digits.onnx --data digits --eps 0.1 --report report.html
      sortnet certify wine.onnx --data table:new.csv --target cultivar --eps 0.05
      sortnet certify cifar.onnx --data parquet:lake --eps 8/255 --out results --engine spark
    """
    given = {"--limit": limit, "--pgd-steps": pgd_steps, "--samples": samples, "--plot": plot_file}
    given["--report"] = report_file
    if wants_lake(lake):
        certify_lake_command(model, data, data_root, target, eps, library, json_file, given, **lake)
        return
    from sortnet.data.sets import load_samples, user_folder
    from sortnet.export.report import Report, certify_split, plot, summary, write_samples
    from sortnet.export.schema import schema_of
    from sortnet.export.session import CertifiedSession
    from sortnet.export.values import certify_values, value_summary

    spec = _spec(data)
    check_outputs(
        {"--samples": samples, "--plot": plot_file, "--report": report_file}
        | {"--json": json_file},
        inputs=[model, *data_files(spec, data_root)],
        data=user_folder(spec, data_root),
    )
    session = CertifiedSession(model, library=library)
    regression = session.network.regression
    if regression and (pgd_steps or plot_file is not None):
        raise click.UsageError("--pgd-steps and --plot are for classifiers, this is a regression")
    like = schema_of(session)  # pixels say their own levels
    loaded = load_samples(
        spec,
        data_root,
        like=like,
        target=target,
        levels=lake["levels"],
        widen=not regression,
    )
    split = first(loaded, limit)
    warn_too_large(session.network.input, () if regression else eps)
    attack = _pgd(session.network, pgd_steps) if pgd_steps else None
    report: Report | ValueReport
    with plain_bar("certifying") as bar:
        size = len(split)
        if regression:
            report = certify_values(session, split, eps, lambda done: bar(done, size))
            document = value_summary(report, session)
        else:
            report = certify_split(session, split, eps, attack, lambda done: bar(done, size))
            document = summary(report, session)
            warn_outside(report.outside.tolist(), report.names)
    if samples is not None:
        write_samples(report, samples)
    if plot_file is not None and isinstance(report, Report):
        plot(report, plot_file, f"{model.name} on {data}")
    if report_file is not None:
        from sortnet.export.page import Source, write_page

        words = f"PGD on the gradient, {pgd_steps} steps from one random start for each ε"
        write_page(
            report_file,
            report,
            session,
            split,
            Source(model.name, data, words if pgd_steps else None),
        )
    write_json(json_file, document)
    if isinstance(report, Report):
        _print_report(report, model.name)
    else:
        _print_values(report, model.name)
    console.print(f"Claim: {document['claim']}.", highlight=False)


def _spec(data: str) -> str:
    """What `sortnet.data` reads; a preset's name means its data."""
    from sortnet.data.sets import NAMES

    if data in NAMES or ":" in data or Path(data).exists() or Path(data).suffix in _FILES:
        return data
    # Presets need packages that are not there where files are only run.
    from sortnet.training.presets import PRESETS

    return PRESETS[data].data if data in PRESETS else data


def _pgd(network: Network, steps: int) -> Attack:
    from sortnet.export.attack import pgd_attack

    return pgd_attack(network, steps)


def _print_report(report: Report, name: str) -> None:
    click.echo(f"{name}: {len(report.truth)} samples, clean accuracy {percent(report.clean)}")
    table = Table()
    table.add_column("eps")
    table.add_column("certified", justify="right")
    if report.fooled:
        table.add_column("PGD", justify="right")
    for eps in report.certified:
        attacked = [percent(report.attacked_accuracy(eps))] if report.fooled else []
        table.add_row(eps, certified_percent(report.certified_accuracy(eps)), *attacked)
    console.print(table)


def _print_values(report: ValueReport, name: str) -> None:
    from sortnet.base.units import text_up  # needs numpy, which --help does not

    click.echo(f"{name}: {len(report.truth)} samples, mean absolute error {report.error:.4g}")
    table = Table()
    table.add_column("eps")
    for column in ("error at most", "mean width", "truth inside"):
        table.add_column(column, justify="right")
    for eps in report.lower:
        worst, width = text_up(report.worst_error(eps)), text_up(report.width(eps).mean())
        table.add_row(eps, worst, width, percent(report.contained(eps)))
    console.print(table)
