"""What a run tells while it trains: progress after each step, metrics.jsonl and TensorBoard."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from . import runs
from .schedule import Settings


@dataclass(frozen=True)
class Progress:
    """State of a run after a step, for whoever shows it.

    Attributes:
        step, steps: steps done and in total. epoch: the same in epochs.
        loss, clean, certified: running means over about the last 50 batches, of the training
            relaxation on training images (fractions of 1).
        seconds: training time so far, that before a resume included.
    """

    step: int
    steps: int
    epoch: float
    loss: float
    clean: float
    certified: float
    seconds: float
    settings: Settings


class Recent:
    """Means of loss and counts over about the last 50 batches."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size, self.weight = batch_size, 0.0
        self.sums = [0.0, 0.0, 0.0]

    def add(self, loss: float, counts: Tensor) -> None:
        values = [loss, *(float(c) / self.batch_size for c in counts)]
        self.sums = [0.98 * s + v for s, v in zip(self.sums, values, strict=True)]
        self.weight = 0.98 * self.weight + 1

    def means(self) -> tuple[float, float, float]:
        loss, clean, certified = (s / self.weight for s in self.sums)
        return loss, clean, certified


class Log:
    """Training rows in metrics.jsonl and TensorBoard."""

    def __init__(self, folder: Path, step: int, config: runs.RunConfig) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        runs.write_config(folder, config)
        # What came after the checkpoint is done again.
        rows = [row for row in runs.read_metrics(folder) if row.get("step", step + 1) <= step]
        runs.write_metrics(folder, rows)
        with runs.clear_disk_errors(folder):
            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, state: Progress) -> None:
        row = {
            "step": state.step,
            "epoch": state.epoch,
            "loss": state.loss,
            "clean": state.clean,
            "certified": state.certified,
            "seconds": state.seconds,
            **{k: v for k, v in dataclasses.asdict(state.settings).items() if math.isfinite(v)},
        }
        runs.append_metrics(self.folder, row)
        for name, value in row.items():
            if name not in ("step", "epoch"):
                self.board.add_scalar(f"training/{name}", value, state.step)

    def close(self) -> None:
        self.board.close()
