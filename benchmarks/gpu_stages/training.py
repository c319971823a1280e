"""The stages step and curve: a whole network that trains."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from .reference import load_reference
from .setup import Record, Setup
from .timing import median_ms

INF = math.inf


def step(setup: Setup, record: Record) -> None:
    """A training step of cifar10-2/255 (forward, loss, backward, AdamW) over its p schedule."""
    from sortnet.models import ModelConfig, build_model, set_p
    from sortnet.training.losses import clipped_hinge
    from sortnet.training.presets import get_preset
    from sortnet.training.schedule import exponential_ramp

    chosen = get_preset("cifar10-2/255")
    recipe = chosen.recipe
    settings = {**chosen.model, "input_shape": (3, 32, 32), "classes": 10}
    settings["width"] = setup.outputs
    model = build_model(ModelConfig(**settings)).to(setup.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, fused=True)
    images = torch.rand(setup.batch, 3, 32, 32, device=setup.device)
    labels = torch.randint(0, 10, (setup.batch,), device=setup.device)

    def ours() -> None:
        optimizer.zero_grad(set_to_none=True)
        logits = model(images)
        loss = clipped_hinge(logits, labels, recipe.eps_train_float).mean()
        (loss + torch.nn.functional.cross_entropy(logits, labels)).backward()
        optimizer.step()

    bodies: list[Callable[[], object]] = [ours]
    other_model: Any = None

    def prepare_other() -> None:
        nonlocal other_model
        _, networks = load_reference(setup)
        other_model = networks.SortMLPModel(
            depth=settings["depth"],
            width=setup.outputs,
            input_dim=(3, 32, 32),
            dropout=settings["keep"],
            scalar=True,
        ).to(setup.device)
        other_model.train()
        other_optimizer = torch.optim.AdamW(other_model.parameters(), lr=recipe.lr)

        def other() -> None:
            other_optimizer.zero_grad(set_to_none=True)
            logits, worst = other_model(images, targets=labels, eps=recipe.eps_train_float)
            loss = worst.amax(1).clamp(0, 1).mean()
            (loss + torch.nn.functional.cross_entropy(logits, labels)).backward()
            other_optimizer.step()

        bodies.append(other)

    if setup.reference is not None:
        record.attempt("the reference's step", prepare_other)
    start, end = recipe.p_ramp
    medians: list[list[float]] = []
    for part in range(8):
        epoch = recipe.epochs * (part + 0.5) / 8
        p = (
            INF
            if epoch > end
            else exponential_ramp(epoch, start, end, recipe.p_first, recipe.p_last)
        )
        set_p(model, p)
        for module in other_model.modules() if other_model is not None else ():
            if hasattr(module, "p") and hasattr(module, "weight"):
                module.p = p
        times = median_ms(setup, *bodies, repeats=10, warm_up=3)
        medians.append([t[1] for t in times])
        _add_step(record, f"training step, p = {p:.3g}", medians[-1])
    mean = [statistics.mean(column) for column in zip(*medians, strict=True)]
    _add_step(record, "training step, mean of the schedule", mean)


def _add_step(record: Record, name: str, times: list[float]) -> None:
    more: dict[str, float] = {}
    if len(times) > 1:
        more = {"reference_p50": times[1], "times_faster": times[1] / times[0]}
        if "mean" in name:
            more["times_faster_wanted"] = 2.5
    record.add(name, p50=times[0], **more)


def curve(setup: Setup, record: Record) -> None:
    """Train Fashion-MNIST at width 5120; certified accuracy against seconds of training.

    Stops with a checkpoint when the time is nearly up; goes on from it with --resume.
    """
    from sortnet.data.sets import load
    from sortnet.evaluation.accuracy import evaluate, reestimate_means
    from sortnet.models import set_p
    from sortnet.training import Trainer, model_config, runs, settings_at
    from sortnet.training.presets import get_preset

    began = time.monotonic()
    chosen = get_preset("fashion-mnist-0.1-reference").scaled(setup.epochs)
    if setup.dry:
        small = ["data=digits", "model.width=32", "recipe.crop=0", "recipe.batch_size=64"]
        chosen = chosen.override(small).scaled(0.5)
    data = load(chosen.data, None if setup.dry else setup.data)
    config = runs.RunConfig(preset=chosen, model=model_config(chosen, data))
    folder = setup.output / "curve"
    trainer = Trainer(config, data, folder, device=setup.device, checkpoint_seconds=30)
    if (folder / runs.CONFIG).exists():
        if runs.read_config(folder) != config:
            raise RuntimeError(f"{folder} holds another run; change --output")
        trainer.resume()
    else:
        runs.write_config(folder, config)
    total = trainer.batches.steps
    marks = sorted({math.ceil(total * part / 20) for part in range(1, 21)})
    for mark in marks:
        if trainer.step >= mark and any(row.get("step") == mark for row in record.rows):
            continue
        started = time.monotonic()
        if trainer.step < mark:
            trainer.run(until=mark)
        net = copy.deepcopy(trainer.net)
        set_p(net, INF)
        reestimate_means(net, data.train)
        eps = chosen.recipe.eps_test
        result = evaluate(net.eval(), data.test, eps, attack_steps=0)
        epoch = trainer.step / trainer.batches.steps_per_epoch
        record.add(
            f"after {trainer.step} of {total} steps",
            step=trainer.step,
            epoch=epoch,
            p=settings_at(chosen.recipe, epoch).p,
            minutes=trainer.seconds / 60,
            clean=result.clean,
            **{f"certified at {name}": value for name, value in result.certified.items()},
            samples=result.samples,
        )
        taken = time.monotonic() - started
        if mark != marks[-1] and time.monotonic() - began + 1.2 * taken > setup.seconds:
            record.add("curve", failure=f"stopped at step {trainer.step} of {total}: --resume")
            return
