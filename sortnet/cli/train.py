"""`sortnet train`: train a preset and leave a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from sortnet.base.files import check_outputs, write_json

from .console import training_bar
from .options import json_option, root_option, seed_option
from .results import finish_run, part_of


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
    from sortnet.training.distributed import processes
    from sortnet.training.trainer import Trainer

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
            data = part_of(load(config.preset.data, root, download), config.hold_out)
        else:
            data = part_of(load(chosen.data, data_root, download), hold_out)
            config = runs.RunConfig(
                preset=chosen,
                model=runs.model_config(chosen, data),
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
