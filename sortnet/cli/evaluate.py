"""`sortnet evaluate`: clean, attacked and certified accuracy of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sortnet.base.files import check_outputs, write_json

from .console import console, plain_bar, warn, warnings_as_lines
from .options import (
    Command,
    data_option,
    eps_option,
    json_option,
    limit_option,
    pgd_steps_option,
    plot_option,
    root_option,
    target_option,
)
from .results import accuracy_plot, data_files, first, part_of, show, warn_outside, warn_too_large

if TYPE_CHECKING:
    from sortnet.data.sets import Split
    from sortnet.training.runs import RunConfig


@click.command(cls=Command, renamed={"--npz": "--data"})
@click.argument("run", type=click.Path(path_type=Path))
@eps_option()
@data_option("Evaluate on this data set, folder:PATH or file instead of the run's own.")
@root_option
@target_option
@limit_option
@pgd_steps_option(100)
@click.option(
    "--pgd-samples", type=click.IntRange(0), help="Attack so many, evenly spaced [default: all]."
)
@plot_option
@json_option
def evaluate_command(
    run: Path,
    eps: tuple[str, ...],
    data: str | None,
    data_root: Path | None,
    target: str | None,
    limit: int | None,
    pgd_steps: int,
    pgd_samples: int | None,
    plot_file: Path | None,
    json_file: Path | None,
) -> None:
    """Clean, attacked and certified accuracy of the run folder RUN, on its test split.

    A run with --hold-out is evaluated on the part that it held out. Data of one split is refused if
    its rows changed since training: rows that were trained on would be scored. With --data: on the
    test split of other data, or on all samples of a file; a table's columns and classes are found
    by name. A sample outside of the box of the inputs has radius 0, and is named.

    A sample is certified at eps if it is classified right and no input within eps has another
    label, by its margin radius or by interval bounds over the eps-ball clipped to the box. PGD runs
    beside it; should it fool a certified sample, that is an error that names the sample.

    \b
    Examples:
      sortnet evaluate runs/digits
      sortnet evaluate runs/fashion --eps 8/255 --eps 0.1 --pgd-samples 500
      sortnet evaluate runs/photos --data folder:other-photos
    """
    from sortnet.data.sets import load, load_samples, resolve, user_folder
    from sortnet.evaluation.accuracy import evaluate
    from sortnet.training import runs
    from sortnet.training.same_data import (
        ChangedRowsWarning,
        UnknownRowsWarning,
        check_test_rows,
    )

    model, config = runs.load_run(run)
    if data is None and config.target and target not in (None, config.target):
        raise click.UsageError(
            f"{run} learned --target {config.target} of its table, not {target}: leave --target "
            "out, or name another table with --data"
        )
    if data is None:
        spec, root = resolve(config.preset.data, data_root or config.data_root)
    else:
        spec, root = resolve(data, data_root)
    check_outputs(
        {"--plot": plot_file, "--json": json_file},
        inputs=[*runs.own_files(run), *data_files(spec, root)],
        data=user_folder(spec, root),
    )
    if data is None:
        column = target or config.target
        whole = load(spec, root, target=column, drop=config.drop)
        loaded = part_of(whole, config.hold_out)
        with warnings_as_lines(UnknownRowsWarning), warnings_as_lines(ChangedRowsWarning):
            check_test_rows(run, config, loaded)
        # Notes on the test split are not about a part held out in its place.
        for line in () if config.hold_out else loaded.notes:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        name, split = loaded.name, loaded.test
    else:
        table = spec.partition(":")[0] in ("table", "parquet")
        column = target or (config.target if table else None)
        split = load_samples(spec, root, like=config.schema, target=column, widen=True)
        name = data
        if _learned_from(config, split, spec, root, column):
            warn(
                f"{data} is what {run} learned from: all of it is scored, the rows that were "
                "trained on too; without --data it is the test part alone"
            )
    split = first(split, limit)
    radii = eps or config.preset.recipe.eps_test
    warn_too_large(config.model.input, radii)
    with plain_bar("evaluating") as progress:
        result = evaluate(
            model,
            split,
            radii,
            attack_steps=pgd_steps,
            attack_samples=pgd_samples,
            progress=progress,
            outside="zero",
        )
    title = f"{config.preset.name}, seed {config.seed}: {name}"
    show(title, result)
    warn_outside(result.outside.tolist(), split.sample_names)
    if plot_file is not None:
        accuracy_plot(plot_file, title, result)
    write_json(json_file, {**result.summary(), "data": name, "run": str(run)})
    result.check()


def _learned_from(
    config: RunConfig, split: Split, spec: str, root: str | None, target: str | None
) -> bool:
    """Whether `split`, read from `spec`, holds the samples that the run learned from.

    That is told by the rows, wherever they lie; of a run that kept no fingerprint, by the path.
    """
    from sortnet.data.fingerprint import DataRows, fingerprint
    from sortnet.data.sets import load

    rows, same_path = config.data_rows, ":" in spec and spec == config.preset.data
    if rows is None and not same_path:
        return False
    if rows is not None:
        if len(split) == rows.train.rows and fingerprint(split) == rows.train:
            return True
        if len(split) < rows.train.rows + rows.test.rows:
            return False
    try:
        whole = load(spec, root, target=target, drop=config.drop if target else ())
        if not whole.parted:
            return False  # a test split of its own is scored alone
        return rows is None or DataRows.of(part_of(whole, config.hold_out)) == rows
    except (ValueError, OSError):
        return False  # nothing to learn from, or only a few of the rows
