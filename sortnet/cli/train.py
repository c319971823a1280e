"""`sortnet train`: train a preset and leave a run folder."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click
from click.core import ParameterSource

from sortnet.base.files import check_outputs, write_json
from sortnet.base.names import as_written

from .console import console, training_bar, warnings_as_lines
from .options import (
    Command,
    data_option,
    drop_option,
    eps_option,
    folder_option,
    json_option,
    own_data,
    root_option,
    seed_option,
    target_option,
)
from .results import data_files, finish_run, part_of, warn_idle, warn_too_large

if TYPE_CHECKING:
    from sortnet.evaluation.accuracy import Evaluation
    from sortnet.training.recipe import Preset


_UNIT = (
    "What eps is a multiple of, for each feature: its range in training, its std, or a number "
    "[default: range] (own)."
)


@click.command(cls=Command)
@click.argument("preset")
@folder_option("Run folder [default: runs/PRESET].")
@data_option("Train on this data set, folder:PATH or file instead of the preset's.")
@root_option
@target_option
@drop_option
@eps_option()
@click.option("--unit", metavar="UNIT", help=_UNIT)
@click.option(
    "--immutable",
    multiple=True,
    metavar="COLUMN",
    help="A feature that nobody can change: its unit is 0; several allowed (own).",
)
@click.option("--download", is_flag=True, help="Fetch MNIST, Fashion-MNIST or CIFAR if missing.")
@seed_option
@click.option("--epochs", type=float, help="Squeeze or stretch the recipe to this length.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the preset, e.g. recipe.lr=0.01 or model.width=256 (`sortnet presets --fields`).",
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
    data: str | None,
    data_root: Path | None,
    target: str | None,
    drop: tuple[str, ...],
    eps: tuple[str, ...],
    unit: str | None,
    immutable: tuple[str, ...],
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

    PRESET may also be the data itself (folder:PATH, npz:FILE, table:FILE), or `own` with --data:
    network and recipe are then chosen by its kind and size, and said. Data of one split are parted,
    each class in proportion. Classes are kept by name.

    \b
    The folder holds
      config.json             everything that determines the run
      model.safetensors       the weights
      metrics.jsonl           training and evaluation, one JSON object per line
      tensorboard/            the same for TensorBoard
      training.png, accuracy.png
      checkpoint.safetensors  to continue from with --resume

    A resumed run goes on as it was begun, on the same training rows; --data says where they were
    moved. Options and rows that say otherwise are refused.

    \b
    Examples:
      sortnet train digits
      sortnet train fashion-mnist-0.1 --seed 1 --out runs/fashion-1
      sortnet train cifar10-8/255 --root ~/data --download
      sortnet train folder:photos
      sortnet train own --data table:wine.csv --target cultivar --eps 0.05
      sortnet train fashion-mnist-0.1 --data folder:photos --epochs 10 --hold-out 0.1
      torchrun --nproc-per-node 2 --no-python sortnet train mnist-0.1 --root ~/data
    """
    from sortnet.data.sets import load, resolve, user_folder
    from sortnet.training import own, presets, runs
    from sortnet.training.distributed import processes
    from sortnet.training.same_data import UnknownRowsWarning
    from sortnet.training.trainer import InterruptedTrainingError, Trainer

    if epochs is not None and not 0 < epochs < float("inf"):
        raise click.UsageError(f"--epochs must be finite and > 0, got {epochs}")

    def changed(base: Preset) -> Preset:
        preset = base.override(settings)
        return preset if epochs is None else preset.scaled(epochs)

    title, data = own_data(preset, data)
    mine = title is not None
    if not mine and (eps or unit is not None or immutable):
        raise click.UsageError(
            "--eps, --unit and --immutable are for `sortnet train own`; a preset's radii are "
            "recipe.eps_train and recipe.eps_test of --set"
        )
    number = _unit(unit)
    if not 0 <= hold_out < 1:
        raise click.UsageError(f"--hold-out must be in [0, 1), got {hold_out}")
    folder = out or runs.default_folder(title or preset)
    known = None if mine else changed(presets.get_preset(preset))
    config: runs.RunConfig | None = None
    if resume:
        config = runs.read_config(folder)
        name = own.NAME if mine else preset
        if config.preset.name != name:
            raise click.UsageError(f"{folder} holds a run of {config.preset.name}, not of {name}")
        if eps or unit is not None or immutable:
            raise click.UsageError(
                f"--eps, --unit and --immutable were chosen when {folder} was begun: resume it "
                "without them"
            )
        known = changed(config.preset) if known is None else known
        if config.loss is not None:
            raise click.UsageError(
                f"{folder} trains with the loss {config.loss}, which only Python code has: resume "
                "it with Trainer(..., loss=...).resume()"
            )
        wanted = None if data is None else resolve(data, data_root)[0]
        if wanted is not None and _may_have_moved(config, wanted):
            spec, root = wanted, None  # the trainer compares the rows
            config = dataclasses.replace(
                config, preset=dataclasses.replace(config.preset, data=spec)
            )
        else:
            spec, root = resolve(config.preset.data, data_root or config.data_root)
        _refuse_changes(folder, config, known, settings, wanted)
        config = dataclasses.replace(config, data_root=root)
        target, drop = config.target, config.drop
    elif (folder / runs.CONFIG).exists():
        wanted = None if data is None else resolve(data, data_root)[0]
        _refuse_begun(folder, runs.read_config(folder), wanted)
    elif left := [n for n in (runs.CHECKPOINT, runs.WEIGHTS) if (folder / n).exists()]:
        raise click.UsageError(
            f"{folder} holds {' and '.join(left)} of a run whose {runs.CONFIG} is gone: remove "
            "that or change --out"
        )
    else:
        asked = data if known is None else data or known.data
        if asked is None:
            raise click.UsageError("`own` needs --data, such as --data table:FILE.csv")
        spec, root = resolve(asked, data_root)
    check_outputs(
        {"--json": json_file},
        folder=folder,
        inputs=[*runs.own_files(folder), *data_files(spec, root)],
        data=user_folder(spec, root),
    )

    def work(device: Any) -> tuple[Evaluation, float] | None:
        nonlocal config
        whole = load(spec, root, download, target=target, drop=drop)
        loaded = part_of(whole, config.hold_out if config else hold_out)
        said = list(loaded.notes)
        if config is None:
            if known is None:
                chosen = changed(own.own_preset(loaded, spec, eps, number, immutable))
                said += own.choices(chosen, loaded)
            else:
                chosen = dataclasses.replace(known, data=spec)
            config = runs.new_config(
                chosen,
                loaded,
                seed=seed,
                hold_out=hold_out,
                data_root=root,
                target=target,
                drop=drop,
                precision=precision,
            )
        trainer = Trainer(config, loaded, folder, device=device, compile=compiled)
        if resume:
            with warnings_as_lines(UnknownRowsWarning):
                trainer.resume()
        if trainer.rank:
            try:
                trainer.run()
            except InterruptedTrainingError as stop:
                sys.exit(128 + stop.signal)  # the first process says it
            return None
        for line in said:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        warn_too_large(config.model.input, config.preset.recipe.eps_test)
        with training_bar(preset) as listener:
            model = trainer.run(listener)
        result = finish_run(folder, config, model, loaded, trainer.seconds, pgd_samples)
        warn_idle(result, config, loaded)
        return result, trainer.seconds

    with processes() as device:
        done = work(device)
    if done is not None:
        result, seconds = done
        write_json(json_file, {**result.summary(), "seconds": seconds, "run": str(folder)})
        result.check()  # last: nothing of a finished training is lost


def _unit(text: str | None) -> str | float | None:
    if text in (None, "range", "std"):
        return text
    try:
        return float(text or "")
    except ValueError:
        raise click.UsageError(f"--unit is range, std or a number above 0, got {text!r}") from None


def _may_have_moved(config: Any, wanted: str) -> bool:
    """Whether `wanted` may be the run's file or folder at another place, of the same kind."""
    kind, colon, _ = config.preset.data.partition(":")
    return bool(colon) and config.data_rows is not None and wanted.startswith(f"{kind}:")


def _data_options(config: Any, data: str | None) -> list[tuple[str, object, object]]:
    """Options about the data that are on the command line: as the run has them, as they are now."""
    given = click.get_current_context()
    pairs: list[tuple[str, object, object]] = []
    if data is not None:
        pairs.append(("--data", config.preset.data, data))
    for option in ("target", "drop"):
        if given.get_parameter_source(option) is not ParameterSource.DEFAULT:
            pairs.append((f"--{option}", getattr(config, option), given.params[option]))
    return pairs


def _refuse_begun(folder: Path, config: Any, data: str | None) -> NoReturn:
    """Refuse to begin where a run is; --resume is no way out if that run has other data."""
    for name, before, after in _data_options(config, data):
        if before != after:
            raise click.UsageError(
                f"{folder} holds a run with {name} {as_written(before)}, not "
                f"{as_written(after)}: change --out to begin another, or look at {name} again"
            )
    raise click.UsageError(f"{folder} holds a run already; add --resume or change --out")


def _refuse_changes(
    folder: Path, config: Any, chosen: Any, settings: tuple[str, ...], data: str | None
) -> None:
    """Refuse options on the command line that say other than the run in `folder`."""
    given = click.get_current_context()

    def named(option: str) -> bool:
        return given.get_parameter_source(option) is not ParameterSource.DEFAULT

    keys = [setting.partition("=")[0] for setting in settings]
    # The recipe was stretched after its settings were made.
    if not named("epochs") and "recipe.epochs" not in keys:
        chosen = chosen.scaled(config.preset.recipe.epochs)
    pairs = _data_options(config, data)
    for key in dict.fromkeys(keys):
        part, _, field = key.partition(".")
        if part != "data":
            before, after = _value(config.preset, part, field), _value(chosen, part, field)
            pairs.append((f"--set {key}", before, after))
    if named("epochs"):
        pairs.append(("--epochs", config.preset.recipe.epochs, given.params["epochs"]))
    for option in ("seed", "precision", "hold_out"):
        if named(option):
            name = "--" + option.replace("_", "-")
            pairs.append((name, getattr(config, option), given.params[option]))
    for name, before, after in pairs:
        if before != after:
            raise click.UsageError(
                f"{folder} was begun with {name} {as_written(before)}, not "
                f"{as_written(after)}: resume it without {name}, or train a new run in another "
                "--out"
            )


def _value(preset: Any, part: str, field: str) -> object:
    if part == "recipe":
        return getattr(preset.recipe, field)
    value = preset.model.get(field, "as the data says")
    return list(value) if isinstance(value, tuple) else value
