"""`sortnet quickstart`: the whole way once, from real scans to a certificate in ONNX Runtime."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import click
import numpy as np

from sortnet.base.files import check_outputs, write_json
from sortnet.base.names import FROM_ZERO
from sortnet.base.units import parse_eps

from .console import accuracy_table, console, plain_bar, print_pairs, training_bar
from .options import folder_option, json_option, seed_option

NAME = "quickstart"


@click.command()
@folder_option(
    "Run folder; a previous quickstart there is replaced.",
    default=Path("runs/quickstart"),
    show_default=True,
)
@seed_option
@json_option
def quickstart_command(out: Path, seed: int, json_file: Path | None) -> None:
    """Train a SortNet on scikit-learn's digits, export it, certify it with ONNX Runtime.

    Takes about a minute on one CPU core and downloads nothing. The held-out fifth is certified by
    the exported file alone, as on a machine without torch; PGD-40 attacks beside it, in torch.
    """
    import torch

    from sortnet.data.sets import load
    from sortnet.evaluation.accuracy import CertificateViolationError, evaluate
    from sortnet.export import CertifiedSession, export_model
    from sortnet.training import runs
    from sortnet.training.presets import get_preset
    from sortnet.training.trainer import InterruptedTrainingError, Trainer

    from . import plots

    onnx = out / "model.onnx"
    own = [*runs.own_files(out), onnx]
    check_outputs({"--json": json_file}, folder=out, inputs=own)
    _refuse_to_replace(out, own)
    started = time.monotonic()
    # A network this small gains little from a second thread, and loses much on a busy machine.
    torch.set_num_threads(1)
    # Under a name of its own: what a later quickstart may replace.
    preset = dataclasses.replace(get_preset("digits"), name=NAME)
    eps = preset.recipe.eps_test
    data = load(preset.data)
    config = runs.new_config(preset, data, seed=seed)
    trainer = Trainer(config, data, out)
    # What is replaced goes first: after an interruption nothing old lies beside the new. The
    # configuration, which says whose folder it is, goes last.
    for path in reversed(own):
        if path.is_file():
            path.unlink()
    try:
        with training_bar("training") as listener:
            model = trainer.run(listener)
    except InterruptedTrainingError as stop:
        text = f"interrupted in training; {out} holds no finished run"
        raise InterruptedTrainingError(text, stop.signal) from None
    export_model(model, onnx, preset="digits")
    with plain_bar("attacking") as progress:
        result = evaluate(model, data.test, eps, attack_steps=40, progress=progress)

    session = CertifiedSession(onnx)
    x, y = data.test.floats(), data.test.labels
    prediction = session.predict(x)
    right = prediction.label == y
    safe = {name: right & session.certify(x, name, prediction) for name in eps}
    certified = {name: float(flags.mean()) for name, flags in safe.items()}
    clean = float(right.mean())
    seconds = time.monotonic() - started

    with runs.clear_disk_errors(out):
        rows = runs.read_metrics(out)
        summary = {**result.summary(), "onnx_clean": clean, "onnx_certified": certified}
        runs.write_metrics(out, [*rows, {"evaluation": summary}])
        plots.training_plot(out / runs.TRAINING_PLOT, "digits", rows)
        plots.accuracy_plot(
            out / runs.ACCURACY_PLOT,
            "digits, certified by ONNX Runtime",
            clean,
            {float(parse_eps(k)): v for k, v in result.pgd.items()},
            {float(parse_eps(k)): v for k, v in certified.items()},
            np.where(right, prediction.radius, 0),
        )
    title = f"digits, held-out fifth ({len(y)} scans), certified by ONNX Runtime"
    console.print(accuracy_table(title, clean, result.pgd, certified))
    print_pairs([("time", f"{seconds:.0f} s (training {trainer.seconds:.0f} s)"), ("files", "")])
    print_pairs([(str(path), "") for path in sorted(out.iterdir())])
    write_json(
        json_file,
        {
            "clean": clean,
            "pgd": result.pgd,
            "certified": certified,
            "seconds": seconds,
            "onnx": str(onnx),
            "run": str(out),
        },
    )
    # Last, so that nothing is lost: both certificates against the attack, sample by sample.
    result.check()
    for name in eps:
        if len(fooled := np.flatnonzero(safe[name] & ~result.robust[name])):
            raise CertificateViolationError(
                f"{len(fooled)} samples are certified by the file but fooled by PGD at eps {name}: "
                f"samples {', '.join(map(str, fooled[:20]))}{FROM_ZERO}"
            )


def _refuse_to_replace(folder: Path, own: list[Path]) -> None:
    """Refuse a folder with files of our names that no quickstart has made."""
    from sortnet.training import runs

    there = [path.name for path in own if path.exists()]
    if not there:
        return
    if runs.CONFIG not in there:
        found = f"{', '.join(there)}, which no quickstart has made"
    elif (name := runs.read_config(folder).preset.name) == NAME:
        return
    else:
        found = f"a run of {name}, which no quickstart has made"
    raise click.UsageError(f"{folder} holds {found}; choose another folder with --out")
