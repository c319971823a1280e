"""Check and time the GPU kernels against the chip's own limits: one command for one visit to a GPU.

    python benchmarks/gpu.py run --data DIR --reference DIR --minutes 28 --output RESULTS
    python benchmarks/gpu.py run ... --resume      # goes on with what is not done
    python benchmarks/gpu.py run --dry-run         # no GPU: every stage in small, on the CPU
    python benchmarks/gpu.py static                # no GPU: counts compiled instructions

`run` goes through stages, each in a process of its own with a time limit, so that none takes the
rest down with it: build, check, speed, tests, reference, step, sanitizer, curve. Each writes its
rows to RESULTS/STAGE.json as it goes, and its output to RESULTS/STAGE.log; `run` ends with one
table and one CSV of all of them. Nothing stops at the first failure: a failure is a row.

`speed` measures the chip's ceilings (min/max, add, multiply-add and exponential instructions,
memory) and each kernel beside two floors: the time that its instructions take at those ceilings,
and the time that its bytes take. `reference` builds the public extension (a clone of
zbh2047/SortNet) and times it in turns with ours; nothing of it is kept. `curve` trains
Fashion-MNIST at width 5120 and records certified accuracy against GPU time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from gpu_stages.processes import run_limited
from gpu_stages.setup import Record, Setup
from gpu_stages.stages import STAGES
from gpu_stages.static import count_instructions
from gpu_stages.summary import summarize
from rich.console import Console

from sortnet.backend import cuda

console = Console()


@click.group()
def main() -> None:
    """Check, time and count the GPU kernels."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    path = click.Path(path_type=Path)
    for option in (
        click.option("--batch", type=click.IntRange(1), default=512, show_default=True),
        click.option("--inputs", type=click.IntRange(10), default=5120, show_default=True),
        click.option("--outputs", type=click.IntRange(1), default=5120, show_default=True),
        click.option("--reference", type=path, help="A clone of zbh2047/SortNet."),
        click.option("--data", type=path, help="Folder of Fashion-MNIST."),
        click.option("--epochs", default=300.0, show_default=True, help="Of the curve."),
        click.option("--output", type=path, default=Path("benchmarks/results/gpu")),
        click.option("--dry-run", "dry", is_flag=True, help="Every stage in small, on the CPU."),
    ):
        command = option(command)
    return command


@main.command()
@_options
@click.option("--minutes", default=28.0, show_default=True, help="Stop before that.")
@click.option("--resume", is_flag=True, help="Leave out the stages that are done.")
@click.option("--only", multiple=True, type=click.Choice(list(STAGES)), help="These stages.")
def run(minutes: float, resume: bool, only: tuple[str, ...], output: Path, **options: Any) -> None:
    """All stages, one process each; results in --output."""
    deadline = time.monotonic() + 60 * minutes
    if not options["dry"] and not (torch.cuda.is_available() and cuda.available()):
        raise click.ClickException("no GPU: --dry-run and `static` are what can be had without one")
    output = output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    if not resume and any(output.glob("*.json")):
        raise click.ClickException(f"{output} holds results; add --resume or change --output")
    arguments = ["--output", str(output)]
    for name in ("batch", "inputs", "outputs", "epochs", "reference", "data"):
        value = options[name]
        if value is not None:
            arguments += [f"--{name}", str(value.resolve() if isinstance(value, Path) else value)]
    arguments += ["--dry-run"] if options["dry"] else []
    for stage, (_, limit) in STAGES.items():
        path = output / f"{stage}.json"
        if only and stage not in only:
            continue
        if resume and path.exists() and json.loads(path.read_text(encoding="utf-8"))["done"]:
            continue
        left = min(limit, deadline - time.monotonic() - 5)
        if left < 10:
            console.print(f"{stage}: no time left; go on with --resume")
            break
        console.rule(f"{stage}, at most {left:.0f} s")
        command = [sys.executable, __file__, "stage", stage, "--seconds", str(left), *arguments]
        with (output / f"{stage}.log").open("ab") as log:
            code = run_limited(command, left, log)
        console.print("no time left; its rows are kept" if code is None else f"exit status {code}")
    summarize(output, console)


@main.command("stage", hidden=True)
@_options
@click.argument("name", type=click.Choice(list(STAGES)))
@click.option("--seconds", type=float, required=True)
def run_stage(name: str, **options: Any) -> None:
    """One stage, in this process."""
    if options["dry"]:
        options.update(batch=64, inputs=24, outputs=16)
    setup = Setup(**options)
    torch.manual_seed(0)
    record = Record(name, setup)
    record.attempt(name, lambda: STAGES[name][0](setup, record))
    record.finish()
    sys.exit(0 if record.document["done"] else 1)


@main.command()
@click.option("--arch", default=90, show_default=True)
def static(arch: int) -> None:
    """Count the instructions of the compiled inner loops. Expected figures, not measured ones."""
    console.print(count_instructions(arch))


if __name__ == "__main__":
    main()
