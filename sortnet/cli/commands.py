"""`sortnet presets`, `sortnet train` and `sortnet evaluate`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from sortnet.base.files import check_outputs
from sortnet.base.units import parse_eps

from .console import accuracy_table, console, plain_bar, print_pairs, training_bar, write_json
from .options import Eps, json_option, root_option, seed_option

if TYPE_CHECKING:
    from sortnet.data.sets import DataSet
    from sortnet.evaluation.evaluate import Evaluation
    from sortnet.models.net import CertifiedNet
    from sortnet.training.runs import RunConfig


@click.command()
@json_option
def presets_command(json_file: Path | None) -> None:
    """List the presets that `sortnet train` and `sortnet reproduce` know."""
    from sortnet.training.presets import PRESETS

    check_outputs({"--json": json_file})
    print_pairs([(name, preset.about) for name, preset in PRESETS.items()])
    write_json(json_file, {n: dataclasses.asdict(preset) for n, preset in PRESETS.items()})


@click.command()
@click.argument("preset")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Run folder [default: runs/PRESET].",
)
@root_option("--data")
@click.option("--download", is_flag=True, help="Fetch MNIST, Fashion-MNIST or CIFAR if missing.")
@seed_option
@click.option("--epochs", type=float, help="Squeeze or stretch the recipe to this length.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the preset, e.g. recipe.lr=0.01, model.width=256, data=folder:photos.",
)
@click.option(
    "--hold-out",
    default=0.0,
    metavar="FRACTION",
    help="Evaluate on this part of the training split and leave the test split alone.",
)
@click.option("--resume", is_flag=True, help="Continue the run in --out where it stopped.")
@click.option("--compile", "compiled", is_flag=True, help="Use torch.compile.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Of affine layers in training; distances, evaluation and certificates stay float32.",
)
@click.option(
    "--pgd-samples",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="Attack so many at the end.",
)
@json_option
def train_command(
    preset: str,
    out: Path | None,
    data_root: Path | None,
    download: bool,
    seed: int,
    epochs: float | None,
    settings: tuple[str, ...],
    hold_out: float,
    resume: bool,
    compiled: bool,
    precision: Literal["float32", "bfloat16"],
    pgd_samples: int,
    json_file: Path | None,
) -> None:
    """Train PRESET (`sortnet presets` lists them) and leave a run folder.

    \b
    The folder holds
      config.json             everything that determines the run
      model.safetensors       the weights
      metrics.jsonl           training and evaluation, one JSON object per line
      tensorboard/            the same for TensorBoard
      training.png, accuracy.png
      checkpoint.safetensors  to continue from with --resume

    \b
    Examples:
      sortnet train digits
      sortnet train fashion-mnist-0.1 --seed 1 --out runs/fashion-1
      sortnet train cifar10-8/255 --root ~/data --download
      sortnet train fashion-mnist-0.1 --set model.width=256 --epochs 10 --hold-out 0.1
      torchrun --nproc-per-node 2 --no-python sortnet train mnist-0.1 --root ~/data
    """
    from sortnet.data.sets import load, user_folder
    from sortnet.training import presets, runs
    from sortnet.training.train import Trainer, model_config, processes

    chosen = presets.get_preset(preset).override(settings)
    if epochs is not None:
        if not 0 < epochs < float("inf"):
            raise click.UsageError(f"--epochs must be finite and > 0, got {epochs}")
        chosen = chosen.scaled(epochs)
    if not 0 <= hold_out < 1:
        raise click.UsageError(f"--hold-out must be in [0, 1), got {hold_out}")
    folder = out or runs.default_folder(preset)
    check_outputs(
        {"--json": json_file},
        folder=folder,
        inputs=runs.own_files(folder),
        data=user_folder(chosen.data, data_root),
    )
    if resume:
        config = runs.read_config(folder)
        if config.preset.name != preset:
            raise click.UsageError(f"{folder} holds a run of {config.preset.name}, not of {preset}")
    elif (folder / runs.CONFIG).exists():
        raise click.UsageError(f"{folder} holds a run already; add --resume or change --out")
    with processes() as device:
        if resume:
            root = Path(config.data_root) if data_root is None and config.data_root else data_root
            data = _data(load(config.preset.data, root, download), config.hold_out)
        else:
            data = _data(load(chosen.data, data_root, download), hold_out)
            config = runs.RunConfig(
                preset=chosen,
                model=model_config(chosen, data),
                seed=seed,
                hold_out=hold_out,
                data_root=None if data_root is None else str(data_root),
                precision=precision,
                environment=runs.environment(),
            )
        trainer = Trainer(config, data, folder, device=device, compile=compiled)
        if resume:
            trainer.resume()
        if trainer.rank:
            trainer.run()
            return
        with training_bar(preset) as listener:
            model = trainer.run(listener)
        result = finish_run(folder, config, model, data, trainer.seconds, pgd_samples)
    write_json(json_file, {**result.summary(), "seconds": trainer.seconds, "run": str(folder)})


def finish_run(
    folder: Path,
    config: RunConfig,
    model: CertifiedNet,
    data: DataSet,
    seconds: float,
    pgd_samples: int | None,
) -> Evaluation:
    """Evaluate a trained network, add the result and plots to its folder and print it."""
    from sortnet.evaluation.evaluate import evaluate
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
    _show(f"{config.preset.name}, seed {config.seed}: {data.name}", result)
    print_pairs([("training", f"{seconds:.0f} s"), ("run folder", folder)])
    return result


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
        data = _data(load(config.preset.data, root), config.hold_out)
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
    _show(f"{config.preset.name}, seed {config.seed}: {name}", result)
    write_json(json_file, {**result.summary(), "run": str(run)})


def _data(data: DataSet, hold_out: float) -> DataSet:
    return data.hold_out(hold_out) if hold_out else data


def _show(title: str, result: Evaluation) -> None:
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
