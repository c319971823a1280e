"""`sortnet verify`: prove a file's certificates from its graph."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from sortnet.base.files import check_outputs, write_json

from .console import console
from .options import ONNX_FILE, Command, json_option


@click.command("verify", cls=Command)
@click.argument("model", type=ONNX_FILE)
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
    from sortnet.base.units import text_down, text_up  # needs numpy, which --help does not
    from sortnet.export.checker import run_checker
    from sortnet.export.verifier import verify

    check_outputs({"--json": json_file}, inputs=[model])
    proof = verify(model)
    verdict = run_checker(model) if with_checker else None
    document = proof.to_json()
    if verdict is not None:
        document["checker"] = {"accepted": verdict.accepted, "lines": list(verdict.lines)}
    write_json(json_file, document)
    if proof.network is not None and proof.analysis is not None:
        box = "box [0, 1]" if proof.network.input.images else "a box and a unit for each feature"
        table = Table(title=f"{model.name}, operation by operation ({box})")
        for column in ("operation", "units", "Lipschitz", "range", "error"):
            table.add_column(column, justify="left" if column == "operation" else "right")
        shapes = proof.network.shapes[1:]
        for step, shape in zip(proof.analysis.steps, shapes, strict=True):
            table.add_row(
                step.op,
                " x ".join(map(str, shape)),
                text_up(step.lipschitz, 9),
                f"[{text_down(step.low)}, {text_up(step.high)}]",
                text_up(step.error, 3),
            )
        console.print(table)
        console.print(
            f"Lipschitz constant {text_up(proof.analysis.lipschitz, 9)}, "
            f"error bound of a logit {text_up(proof.analysis.error)}",
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
