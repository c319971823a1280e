"""`sortnet evaluate`: clean, attacked and certified accuracy of a run."""

from __future__ import annotations

from pathlib import Path

import click

from sortnet.base.files import check_outputs, write_json

from .console import plain_bar
from .options import Eps, json_option, root_option
from .results import part_of, show


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--eps", type=Eps(), multiple=True, help="Radius in pixels such as 8/255; several allowed."
)
@root_option("--data")
@click.option("--npz", type=click.Path(path_type=Path), help="Evaluate on x, y of this .npz file.")
@click.option(
    "--pgd-steps", type=click.IntRange(0), default=100, show_default=True, help="0 for no attack."
)
@click.option(
    "--pgd-samples", type=click.IntRange(0), help="Attack so many, evenly spaced [default: all]."
)
@json_option
def evaluate_command(
    run: Path,
    eps: tuple[str, ...],
    data_root: Path | None,
    npz: Path | None,
    pgd_steps: int,
    pgd_samples: int | None,
    json_file: Path | None,
) -> None:
    """Clean, attacked and certified accuracy of the run folder RUN, on its test split.

    A run with --hold-out is evaluated on the part that it held out.

    A sample is certified at eps if it is classified right and its margin radius is at least eps, or
    interval bounds over the eps-ball clipped to [0, 1] prove it. PGD runs beside it; should it fool
    a certified sample, that is an error that names the sample.

    \b
    Examples:
      sortnet evaluate runs/digits
      sortnet evaluate runs/fashion --eps 8/255 --eps 0.1 --pgd-samples 500
    """
    from sortnet.data.sets import load, load_npz, user_folder
    from sortnet.evaluation.evaluate import evaluate
    from sortnet.training import runs

    model, config = runs.load_run(run)
    root = data_root or (Path(config.data_root) if config.data_root else None)
    check_outputs(
        {"--json": json_file},
        inputs=[*runs.own_files(run), *([npz] if npz else [])],
        data=user_folder(config.preset.data, root),
    )
    if npz is not None:
        name, split = str(npz), load_npz(npz)
    else:
        data = part_of(load(config.preset.data, root), config.hold_out)
        name, split = data.name, data.test
    with plain_bar("evaluating") as progress:
        result = evaluate(
            model,
            split,
            eps or config.preset.recipe.eps_test,
            attack_steps=pgd_steps,
            attack_samples=pgd_samples,
            progress=progress,
        )
    show(f"{config.preset.name}, seed {config.seed}: {name}", result)
    write_json(json_file, {**result.summary(), "run": str(run)})
