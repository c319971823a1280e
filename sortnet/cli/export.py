"""`sortnet export`: a run as one certified ONNX file."""

from __future__ import annotations

from pathlib import Path

import click

from sortnet.base.files import check_outputs, write_json

from .options import Command, Eps, json_option


@click.command("export", cls=Command, renamed={"--output": "--out"})
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
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
def export_command(run: Path, out: Path, eps: str | None, json_file: Path | None) -> None:
    """Turn the trained network of the folder RUN into one ONNX file that certifies.

    The file takes images in [0, 1] and returns logits, label and radius: every float32 image
    within the radius gets the same label, rounding errors included. It runs in any ONNX Runtime,
    fastest with the operation that comes with this package.

    \b
    Example:
      sortnet export runs/digits -o digits.onnx
    """
    from sortnet.base.units import text_up
    from sortnet.export.from_torch import export_model
    from sortnet.training.runs import load_run, own_files

    check_outputs({"-o": out, "--json": json_file}, inputs=own_files(run))
    model, config = load_run(run)
    if eps is None and config.model.hidden is not None:
        eps = config.preset.recipe.eps_test[0]
    analysis = export_model(
        model,
        out,
        eps,
        config.preset.name,
        class_names=config.class_names,
        feature_names=config.feature_names,
    )
    document = {
        "onnx": str(out),
        "radius": "margin" if eps is None else "interval",
        "eps": eps,
        "lipschitz": analysis.lipschitz,
        "error_bound": analysis.error,
    }
    write_json(json_file, document)
    kind = "margin radius" if eps is None else f"interval certificate at {eps}"
    click.echo(
        f"{out}: {kind}, Lipschitz constant {text_up(analysis.lipschitz, 6)}, "
        f"error bound {text_up(analysis.error, 3)}"
    )
