"""What commands do with a trained network: evaluate, show and keep the result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sortnet.base.names import FROM_ZERO
from sortnet.base.percent import percent
from sortnet.base.units import MAX_UNITS_OF_RADIUS, parse_eps

from .console import accuracy_table, console, plain_bar, print_pairs, warn

if TYPE_CHECKING:
    from sortnet.certificate.network import InputSpec
    from sortnet.data.sets import DataSet, Split
    from sortnet.evaluation.accuracy import Evaluation
    from sortnet.models import CertifiedNet
    from sortnet.training.runs import RunConfig


def finish_run(
    folder: Path,
    config: RunConfig,
    model: CertifiedNet,
    data: DataSet,
    seconds: float,
    pgd_samples: int | None,
) -> Evaluation:
    """Evaluate a trained network, add the result and plots to its folder and print it.

    Args:
        seconds: of training.
        pgd_samples: attack so many samples of the test split; 0 for none, None for all.
    """
    from sortnet.evaluation.accuracy import evaluate
    from sortnet.training import runs

    from . import plots

    started = time.monotonic()
    with plain_bar("evaluating") as progress:
        result = evaluate(
            model,
            data.test,
            config.preset.recipe.eps_test,
            attack_steps=0 if pgd_samples == 0 else 100,
            attack_samples=pgd_samples,
            progress=progress,
        )
    rows = [row for row in runs.read_metrics(folder) if "evaluation" not in row]
    evaluation = {**result.summary(), "seconds": time.monotonic() - started}
    # Written before anything else can fail: a training is not lost for a picture.
    runs.write_metrics(folder, [*rows, {"evaluation": evaluation}])
    with runs.clear_disk_errors(folder):
        plots.training_plot(folder / runs.TRAINING_PLOT, config.preset.name, rows)
        accuracy_plot(folder / runs.ACCURACY_PLOT, config.preset.name, result)
    show(f"{config.preset.name}, seed {config.seed}: {data.name}", result)
    print_pairs([("training", f"{seconds:.0f} s"), ("run folder", folder)])
    return result


def part_of(data: DataSet, hold_out: float) -> DataSet:
    """The data as a run uses it: with `hold_out` > 0 a part of training is the test split."""
    return data.hold_out(hold_out) if hold_out else data


def data_files(spec: str, root: str | Path | None) -> list[Path]:
    """The file that is read, where the data is one: no output may replace it."""
    from sortnet.data.sets import resolve

    kind, _, path = resolve(spec, root)[0].partition(":")
    return [Path(path)] if kind in ("npz", "table") else []


def first(split: Split, limit: int | None) -> Split:
    """The first `limit` samples; all without a limit."""
    return split if limit is None else split.take(np.arange(min(limit, len(split))))


def warn_too_large(spec: InputSpec, eps: Sequence[str]) -> None:
    """Say of a radius that two different answers cannot both be certified at it."""
    limit = spec.meeting_radius
    for text in eps:
        if parse_eps(text, MAX_UNITS_OF_RADIUS) >= limit:
            warn(
                f"eps {text} is at least half of the box ({limit:.4g}): the balls of any two "
                "samples meet, so no two different labels can be certified together"
            )


def warn_outside(outside: Sequence[int], names: Sequence[str]) -> None:
    """Say which samples lie outside of the box."""
    if len(outside):
        shown = ", ".join(names[place] for place in outside[:10])
        more = f", and {len(outside) - 10} more" if len(outside) > 10 else ""
        # Numbers stand in for names that are not there.
        more += FROM_ZERO if all(names[place].isdigit() for place in outside) else ""
        warn(
            f"{len(outside)} of {len(names)} samples lie outside of the box of the inputs, about "
            f"which nothing is certified; their radius is 0: {shown}{more}"
        )


def warn_idle(result: Evaluation, config: RunConfig, data: DataSet) -> None:
    """Say of a finished training that it learned nothing, or nothing that is certified."""
    from sortnet.training.own import NAME
    from sortnet.training.reproduction import best_guess, majority

    recipe, share = config.preset.recipe, majority(data.test)
    steps = round(recipe.epochs * max(1, len(data.train) // recipe.batch_size))
    flag = "--eps" if config.preset.name == NAME else "--set recipe.eps_train="
    ways = (
        f"train longer (--epochs; this run took {recipe.epochs:g} epochs, {steps} steps) or "
        f"for a smaller radius ({flag}; this run: {recipe.eps_train}); docs/training.md, "
        '"Reading the curves"'
    )
    if result.clean <= best_guess(data):
        warn(
            f"nothing was learned: clean accuracy {percent(result.clean)} is within chance of "
            f"always naming one class ({percent(share)}): {ways}"
        )
    elif low := [eps for eps, value in result.certified.items() if value <= share]:
        warn(
            f"no certificates worth having at eps {', '.join(low)}: always naming one class would "
            f"be right and certified for {percent(share)} at every eps: {ways}"
        )


def show(title: str, result: Evaluation) -> None:
    """Print the accuracies."""
    console.print(accuracy_table(title, result.clean, result.pgd, result.certified))
    attacked = f", PGD on {result.pgd_samples} of them" if result.pgd_samples else ", no attack"
    console.print(f"{result.samples} samples{attacked}; {result.seconds:.0f} s", highlight=False)


def accuracy_plot(path: Path, title: str, result: Evaluation) -> None:
    """Draw accuracy against eps."""
    from . import plots

    plots.accuracy_plot(
        path,
        title,
        result.clean,
        {float(parse_eps(k, MAX_UNITS_OF_RADIUS)): v for k, v in result.pgd.items()},
        {float(parse_eps(k, MAX_UNITS_OF_RADIUS)): v for k, v in result.certified.items()},
        result.radii,
    )
