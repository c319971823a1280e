"""The commands `sortnet export`, `sortnet certify` and `sortnet verify`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from sortnet.base.files import check_outputs

from .console import write_json
from .options import Eps, OutFile, json_option, root_option

if TYPE_CHECKING:
    from sortnet.certificate.network import Network
    from sortnet.data.sets import Split
    from sortnet.export.certify import Attack, Report

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@contextmanager
def _one_line() -> Iterator[None]:
    """Turn an expected failure into one line and exit code 1."""
    try:
        yield
    except ImportError as error:
        raise click.ClickException(f"{error.name or error} is missing: {error}") from None
    except (ValueError, OSError, RuntimeError) as error:
        raise click.ClickException(" ".join(str(error).split())) from None


@click.command("export")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The ONNX file to write.",
)
@click.option(
    "--eps",
    type=Eps(),
    help="Certify this one radius by interval bounds inside the graph. Default: the margin radius; "
    "for a network with an MLP head the first test radius of its recipe.",
)
@json_option
def export_command(run: Path, output: Path, eps: str | None, json_file: Path | None) -> None:
    """Turn the trained network of the folder RUN into one ONNX file that certifies.

    The file takes images in [0, 1] and returns logits, label and radius: every float32 image
    within the radius gets the same label, rounding errors included. It runs in any ONNX Runtime,
    fastest with the operation that comes with this package.

    \b
    Example:
      sortnet export runs/digits -o digits.onnx
    """
    with _one_line():
        from sortnet.export.from_torch import export_model
        from sortnet.training.runs import load_run, own_files

        check_outputs({"-o": output, "--json": json_file}, inputs=own_files(run))
        model, config = load_run(run)
        if eps is None and config.model.hidden is not None:
            eps = config.preset.recipe.eps_test[0]
        analysis = export_model(model, output, eps, config.preset.name)
        document = {
            "onnx": str(output),
            "radius": "margin" if eps is None else "interval",
            "eps": eps,
            "lipschitz": analysis.lipschitz,
            "error_bound": analysis.error,
        }
        write_json(json_file, document)
    kind = "margin radius" if eps is None else f"interval certificate at {eps}"
    click.echo(
        f"{output}: {kind}, Lipschitz constant {analysis.lipschitz:.6g}, "
        f"error bound {analysis.error:.3g}"
    )


@click.command("certify")
@click.argument("model", type=_FILE)
@click.option("--data", required=True, help="A preset's name, a data set's name, or an .npz file.")
@root_option()
@click.option(
    "--eps",
    "epsilons",
    type=Eps(),
    multiple=True,
    required=True,
    help="Radius in pixels such as 8/255; several allowed.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Certify only the first samples.")
@click.option(
    "--pgd",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="STEPS",
    help="Attack with so many PGD steps beside it (needs torch): an upper bound, and a check.",
)
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
@click.option(
    "--plot",
    "plot_path",
    type=OutFile(dict.fromkeys((".png", ".pdf", ".svg"), "matplotlib")),
    help="Draw certified accuracy against eps into a .png, .pdf or .svg file.",
)
@json_option
def certify_command(
    model: Path,
    data: str,
    data_root: Path | None,
    epsilons: tuple[str, ...],
    limit: int | None,
    pgd: int,
    library: bool,
    samples: Path | None,
    plot_path: Path | None,
    json_file: Path | None,
) -> None:
    """Certify the test samples of DATA with the ONNX file MODEL, at one or more radii.

    The file is verified first; a file that does not prove its certificates is refused. An .npz
    holds x [N, ...] (uint8, or float in [0, 1]) and y [N]. Radii are in pixels in [0, 1], exact
    fractions, rounded up: a sample counts only if its whole ball is certified.

    \b
    Examples:
      sortnet certify digits.onnx --data digits --eps 0.05 --eps 0.1
      sortnet certify cifar.onnx --data test.npz --eps 8/255 --json result.json
    """
    with _one_line():
        from sortnet.data.sets import user_folder
        from sortnet.export.certify import certify_split, plot, summary, write_samples
        from sortnet.export.runtime import CertifiedSession

        check_outputs(
            {"--samples": samples, "--plot": plot_path, "--json": json_file},
            inputs=[model, *([Path(data)] if data.endswith(".npz") else [])],
            data=user_folder(data, data_root),
        )
        split = _load(data, data_root, limit)
        session = CertifiedSession(model, library=library)
        attack = _pgd(session.network, pgd) if pgd else None
        columns = (TextColumn("certifying"), BarColumn(), MofNCompleteColumn())
        console = Console(stderr=True)
        with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
            task = bar.add_task("", total=len(split))
            report = certify_split(
                session, split, epsilons, attack, lambda done: bar.update(task, completed=done)
            )
        document = summary(report, session)
        if samples is not None:
            write_samples(report, samples)
        if plot_path is not None:
            plot(report, plot_path, f"{model.name} on {data}")
        write_json(json_file, document)
    _print_report(report, model.name, document["claim"])


def _load(data: str, root: Path | None, limit: int | None) -> Split:
    import numpy as np

    from sortnet.data import sets

    if data.endswith(".npz"):
        split = sets.load_npz(data)
    elif data in sets.NAMES or data.startswith("folder:"):
        split = sets.load(data, root).test
    else:
        from sortnet.training.presets import get_preset

        split = sets.load(get_preset(data).data, root).test
    return split if limit is None else split.take(np.arange(min(limit, len(split))))


def _pgd(network: Network, steps: int) -> Attack:
    from sortnet.export.attack import pgd_attack

    return pgd_attack(network, steps)


def _print_report(report: Report, name: str, claim: str) -> None:
    click.echo(f"{name}: {len(report.truth)} samples, clean accuracy {report.clean:.2%}")
    table = Table()
    table.add_column("eps")
    table.add_column("certified", justify="right")
    if report.fooled:
        table.add_column("PGD", justify="right")
    for eps in report.certified:
        row = [eps, f"{report.certified_accuracy(eps):.2%}"]
        table.add_row(*row, *([f"{report.attacked_accuracy(eps):.2%}"] if report.fooled else []))
    console = Console()
    console.print(table)
    console.print(f"Claim: {claim}.", highlight=False)


@click.command("verify")
@click.argument("model", type=_FILE)
@click.option(
    "--checker",
    "with_checker",
    is_flag=True,
    help="Also run the checker that is extracted from the Coq proofs (sortnet checker build).",
)
@json_option
def verify_command(model: Path, with_checker: bool, json_file: Path | None) -> None:
    """Prove what the ``radius`` of the ONNX file MODEL promises, from its graph alone.

    Needs no torch and believes no metadata. The exit code is 0 only if everything is proved, with
    ``--checker`` only if the checker accepts the file too.
    """
    with _one_line():
        from sortnet.export.checker import run_checker
        from sortnet.export.verifier import verify

        check_outputs({"--json": json_file}, inputs=[model])
        proof = verify(model)
        verdict = run_checker(model) if with_checker else None
        document = proof.to_json()
        if verdict is not None:
            document["checker"] = {"accepted": verdict.accepted, "lines": list(verdict.lines)}
        write_json(json_file, document)
    console = Console()
    if proof.network is not None and proof.analysis is not None:
        table = Table(title=f"{model.name}, operation by operation (box [0, 1])")
        for column in ("operation", "units", "Lipschitz", "range", "error"):
            table.add_column(column, justify="left" if column == "operation" else "right")
        shapes = proof.network.shapes[1:]
        for step, shape in zip(proof.analysis.steps, shapes, strict=True):
            table.add_row(
                step.op,
                " x ".join(map(str, shape)),
                f"{step.lipschitz:.9g}",
                f"[{step.low:.4g}, {step.high:.4g}]",
                f"{step.error:.3g}",
            )
        console.print(table)
        console.print(
            f"Lipschitz constant {proof.analysis.lipschitz:.9g}, "
            f"error bound of a logit {proof.analysis.error:.4g}",
            highlight=False,
        )
    for note in proof.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    if not proof.proved:
        raise click.ClickException(f"{model}: not proved: {'; '.join(proof.reasons)}")
    if verdict is not None:
        for line in verdict.lines:
            console.print(f"checker: {line}", highlight=False, markup=False)
        if not verdict.accepted:
            raise click.ClickException(f"{model}: the checker does not accept it")
    console.print("proved", style="bold green")
