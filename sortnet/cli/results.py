"""What commands do with a trained network: evaluate, show and keep the result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sortnet.base.units import parse_eps

from .console import accuracy_table, console, plain_bar, print_pairs

if TYPE_CHECKING:
    from sortnet.data.sets import DataSet
    from sortnet.evaluation.accuracy import Evaluation
    from sortnet.models.net import CertifiedNet
    from sortnet.training.runs import RunConfig


def finish_run(
    folder: Path,
    config: RunConfig,
    model: CertifiedNet,
    data: DataSet,
    seconds: float,
    pgd_samples: int | None,
) -> Evaluation:
    """Evaluate a trained network, add the result and plots to its folder and print it."""
    from sortnet.evaluation.accuracy import evaluate
    from sortnet.training import runs

    from . import plots

    eps = config.preset.recipe.eps_test
    with plain_bar("evaluating") as progress:
        result = evaluate(
            model,
            data.test,
            eps,
            attack_steps=0 if pgd_samples == 0 else 100,
            attack_samples=pgd_samples,
            progress=progress,
        )
    rows = [row for row in runs.read_metrics(folder) if "evaluation" not in row]
    with runs.clear_disk_errors(folder):
        runs.write_metrics(folder, [*rows, {"evaluation": result.summary()}])
        plots.training_plot(folder / runs.TRAINING_PLOT, config.preset.name, rows)
        _accuracy_plot(folder / runs.ACCURACY_PLOT, config.preset.name, result)
    show(f"{config.preset.name}, seed {config.seed}: {data.name}", result)
    print_pairs([("training", f"{seconds:.0f} s"), ("run folder", folder)])
    return result


def part_of(data: DataSet, hold_out: float) -> DataSet:
    """The data as a run uses it: with `hold_out` > 0 a part of training is the test split."""
    return data.hold_out(hold_out) if hold_out else data


def show(title: str, result: Evaluation) -> None:
    """Print the accuracies."""
    console.print(accuracy_table(title, result.clean, result.pgd, result.certified))
    attacked = f", PGD on {result.pgd_samples} of them" if result.pgd_samples else ", no attack"
    console.print(f"{result.samples} samples{attacked}; {result.seconds:.0f} s", highlight=False)


def _accuracy_plot(path: Path, title: str, result: Evaluation) -> None:
    from . import plots

    plots.accuracy_plot(
        path,
        title,
        result.clean,
        {float(parse_eps(k)): v for k, v in result.pgd.items()},
        {float(parse_eps(k)): v for k, v in result.certified.items()},
        result.radii,
    )
