"""`sortnet quickstart`: the whole way once, from real scans to a certificate in ONNX Runtime."""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np

from sortnet.base.files import check_outputs
from sortnet.base.units import parse_eps

from .console import accuracy_table, console, plain_bar, print_pairs, training_bar, write_json
from .options import json_option, seed_option


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/quickstart"),
    show_default=True,
    help="Run folder; a previous quickstart there is replaced.",
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
    from sortnet.evaluation.evaluate import check_order, evaluate
    from sortnet.export import CertifiedSession, export_model
    from sortnet.training import runs
    from sortnet.training.presets import get_preset
    from sortnet.training.train import InterruptedTrainingError, Trainer, model_config

    from . import plots

    onnx = out / "model.onnx"
    own = [*runs.own_files(out), onnx]
    check_outputs({"--json": json_file}, folder=out, inputs=own)
    if (out / runs.CONFIG).exists() and (other := runs.read_config(out).preset.name) != "digits":
        raise click.UsageError(f"{out} holds a run of {other}; choose another folder with --out")
    started = time.monotonic()
    # A network this small gains little from a second thread, and loses much on a busy machine.
    torch.set_num_threads(1)
    preset = get_preset("digits")
    eps = preset.recipe.eps_test
    data = load(preset.data)
    config = runs.RunConfig(
        preset=preset, model=model_config(preset, data), seed=seed, environment=runs.environment()
    )
    trainer = Trainer(config, data, out)
    # What is replaced goes first: after an interruption nothing old lies beside the new.
    for path in own:
        if path.is_file():
            path.unlink()
    try:
        with training_bar("training") as listener:
            model = trainer.run(listener)
    except InterruptedTrainingError:
        raise KeyboardInterrupt(f"interrupted in training; {out} holds no finished run") from None
    export_model(model, onnx, preset=preset.name)
    with plain_bar("attacking") as progress:
        result = evaluate(model, data.test, eps, attack_steps=40, progress=progress)

    session = CertifiedSession(onnx)
    x, y = data.test.floats(), data.test.labels
    prediction = session.predict(x)
    right = prediction.label == y
    everyone = np.arange(len(y))
    certified = {}
    for name in eps:
        safe = right & session.certify(x, name, prediction)
        # The file's certificates against the attack on the torch model, sample by sample.
        check_order(name, everyone, right, result.robust[name], safe)
        certified[name] = float(safe.mean())
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
