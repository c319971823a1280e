"""Training: one loop for every network family, on one process or many.

Everything random is a function of (seed, step), every schedule a function of the step; so a
checkpoint is weights, optimizer moments and a step number, and resuming is bit-identical on CPU.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sortnet.base.units import eps_to_float
from sortnet.data.batches import TrainingBatches, step_seed
from sortnet.data.sets import DataSet
from sortnet.evaluation.evaluate import reestimate_means
from sortnet.models.net import CertifiedNet, ModelConfig, build_model, set_dropping, set_p
from sortnet.training import runs, schedule

from .objective import Masks, Objective, Settings
from .presets import Preset, Recipe

MASK_GROUP = 32  # samples that share a random subset of inputs


class TrainingDivergedError(RuntimeError):
    """A loss or gradient became NaN or infinite; names the step and the layer."""


class InterruptedTrainingError(KeyboardInterrupt):
    """Ctrl-C: the step was finished and a checkpoint written."""


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


Listener = Callable[[Progress], None]


def model_config(preset: Preset, data: DataSet) -> ModelConfig:
    """The preset's network for this data, which gives shape, classes, mean and std left open.

    Raises:
        ValueError: a field is unknown or out of range; one line.
    """
    fields = dict(preset.model)
    fields.setdefault("input_shape", data.input_shape)
    fields.setdefault("classes", data.classes)
    if "mean" not in fields or "std" not in fields:
        mean, std = data.statistics()
        fields.setdefault("mean", round(sum(mean) / len(mean), 6))
        fields.setdefault("std", std)
    return runs.validated(ModelConfig, fields, f"model of preset {preset.name}")


def settings_at(recipe: Recipe, epoch: float) -> Settings:
    """What the recipe's schedules say at a (fractional) epoch."""
    start, end = recipe.p_ramp
    p = math.inf
    if epoch < end:
        p = schedule.exponential_ramp(epoch, start, end, recipe.p_first, recipe.p_last)
        p = schedule.cheap_power(p) if recipe.p_cheap else p
    progress = schedule.smooth_ramp(epoch, recipe.eps_ramp) if recipe.eps_ramp else 1.0
    return Settings(
        lr=recipe.lr * schedule.cosine(epoch, recipe.epochs, recipe.warmup),
        p=p,
        dropping=schedule.linear_ramp(epoch, *recipe.keep_ramp),
        ce_weight=schedule.exponential_ramp(epoch, start, end, *recipe.ce_weight),
        eps=eps_to_float(recipe.eps_train) * progress,
        eps_progress=progress,
    )


class Trainer:
    """Trains one network and leaves a run folder.

    Args:
        config: the run; its seed fixes weights, data order, augmentation and masks.
        data: already loaded; only its training split is read.
        folder: the run folder; created if missing.
        device: "cpu" or "cuda"...
        compile: put the whole step but the optimizer through torch.compile.
        checkpoint_seconds: at least so much time between checkpoints.
        log_steps: steps between lines of metrics.jsonl (and TensorBoard).

    Raises:
        ValueError: preset, network and data do not fit together; `compile` with a p that changes at
            every step.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        config: runs.RunConfig,
        data: DataSet,
        folder: Path,
        *,
        device: torch.device | str = "cpu",
        compile: bool = False,
        checkpoint_seconds: float = 60.0,
        log_steps: int = 50,
    ) -> None:
        self.config, self.data, self.folder = config, data, Path(folder)
        self.recipe = config.preset.recipe
        self.device = torch.device(device)
        self.rank, self.world = _rank_and_world()
        self.checkpoint_seconds, self.log_steps = checkpoint_seconds, log_steps
        for split in (data.train, data.test):
            split.check(config.model.input_shape, config.model.classes)
        self.batches = TrainingBatches(data.train, self.recipe, config.seed, self.rank, self.world)
        if self.world > 1 and (self.batches.batch_size // self.world) % MASK_GROUP:
            raise ValueError(
                f"each of {self.world} processes needs a multiple of {MASK_GROUP} samples per "
                f"batch, got {self.batches.batch_size} / {self.world}"
            )
        torch.manual_seed(config.seed)
        self.net: CertifiedNet = build_model(config.model).to(self.device)
        self.objective = Objective(self.net, self.recipe).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.objective.parameters(),
            lr=self.recipe.lr,
            betas=self.recipe.betas,
            eps=self.recipe.adam_eps,
            weight_decay=self.recipe.weight_decay,
            fused=True,
        )
        self.average = [p.detach().clone() for p in self.net.parameters()]
        self.step = 0
        self.seconds = 0.0
        self._run_step: nn.Module = self.objective
        if compile:
            self._run_step = _compiled(self.objective, self.recipe)
        if self.world > 1:
            # The mean shift keeps its buffers equal on all processes by itself.
            self._run_step = DistributedDataParallel(self._run_step, broadcast_buffers=False)
        with runs.clear_disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def resume(self) -> None:
        """Continue from the folder's checkpoint; from the start if it has none.

        Raises:
            RunError: the checkpoint is damaged or of another run.
        """
        path = self.folder / runs.CHECKPOINT
        if not path.is_file():
            return
        tensors, metadata = runs.read_tensors(path)
        problem = f"{path} does not fit this run"
        parameters = dict(self.objective.named_parameters())
        expected = self._tensors()
        for name, parameter in parameters.items():
            expected[f"optimizer.step.{name}"] = torch.zeros(())
            expected[f"optimizer.exp_avg.{name}"] = parameter
            expected[f"optimizer.exp_avg_sq.{name}"] = parameter
        runs.check_tensors(tensors, expected, problem)
        try:
            step, seconds = int(metadata["step"]), float(metadata["seconds"])
        except (KeyError, ValueError):
            raise runs.RunError(f"{problem}: its step and time are missing") from None
        if not (0 <= step <= self.batches.steps and 0 <= seconds < math.inf):
            raise runs.RunError(f"{problem}: step {step} of {self.batches.steps}, {seconds} s")
        self.objective.load_state_dict(_under(tensors, "objective."))
        for (name, _), average in zip(self.net.named_parameters(), self.average, strict=True):
            average.copy_(tensors[f"average.{name}"])
        state = {
            index: {
                key: tensors[f"optimizer.{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
            }
            for index, name in enumerate(parameters)
        }
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.step, self.seconds = step, seconds

    def checkpoint(self) -> None:
        """Write the checkpoint (atomically, by the first process)."""
        if self.rank:
            return
        tensors = self._tensors()
        for name, parameter in self.objective.named_parameters():
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{key}.{name}"] = value
        metadata = {"step": str(self.step), "seconds": repr(self.seconds)}
        runs.write_tensors(self.folder / runs.CHECKPOINT, tensors, metadata)

    def _tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds beside the optimizer's state."""
        tensors = {f"objective.{k}": v for k, v in self.objective.state_dict().items()}
        for (name, _), average in zip(self.net.named_parameters(), self.average, strict=True):
            tensors[f"average.{name}"] = average
        return tensors

    def run(self, listener: Listener | None = None, until: int | None = None) -> CertifiedNet:
        """Train to the end, estimate the means and write model.safetensors.

        Args:
            listener: called after every step (first process only).
            until: stop after this step with a checkpoint, as if interrupted; None to the end.

        Returns:
            The network as evaluated, in evaluation mode.

        Raises:
            TrainingDivergedError: NaN or infinity; the last checkpoint is kept.
            InterruptedTrainingError: Ctrl-C; a checkpoint was written.
            OSError: the folder cannot be written.
        """
        writer = _Log(self.folder, self.step, self.config) if not self.rank else None
        last_save = time.monotonic()
        recent = _Recent(self.batches.batch_size)
        steps = self.batches.steps
        end = steps if until is None else min(until, steps)
        with _finish_step_on_interrupt() as interrupted, contextlib.ExitStack() as stack:
            if writer is not None:
                stack.callback(writer.close)
            for x, y in self.batches.loader(self.step, self.device):
                if self.step >= end:
                    break
                started = time.monotonic()
                settings = settings_at(self.recipe, self.step / self.batches.steps_per_epoch)
                loss, counts = self.train_step(x.to(self.device), y.to(self.device), settings)
                self.step += 1
                self.seconds += time.monotonic() - started
                recent.add(loss, counts)
                state = Progress(
                    self.step,
                    steps,
                    self.step / self.batches.steps_per_epoch,
                    *recent.means(),
                    self.seconds,
                    settings,
                )
                if writer is not None and (self.step % self.log_steps == 0 or self.step == steps):
                    writer.write(state)
                if listener is not None and not self.rank:
                    listener(state)
                if interrupted():
                    self.checkpoint()
                    raise InterruptedTrainingError(
                        f"interrupted after step {self.step} of {steps}; --resume continues there"
                    )
                if time.monotonic() - last_save >= self.checkpoint_seconds:
                    self.checkpoint()
                    last_save = time.monotonic()
            self.checkpoint()
            if self.step < steps:
                return self.net
            return self.finish()

    def finish(self) -> CertifiedNet:
        """Take the averaged weights, estimate the means over the training split and save.

        Raises:
            TrainingDivergedError: a mean is not finite; nothing is saved.
        """
        if self.recipe.ema:
            with torch.no_grad():
                for parameter, average in zip(self.net.parameters(), self.average, strict=True):
                    parameter.copy_(average)
        set_p(self.net, math.inf)
        set_dropping(self.net, 1.0)
        try:
            reestimate_means(self.net, self.data.train, rank=self.rank, world=self.world)
        except FloatingPointError as error:
            raise TrainingDivergedError(
                f"training diverged by step {self.step}: {error}; try a smaller learning rate"
            ) from None
        if not self.rank:
            runs.write_model(self.folder, self.net)
        return self.net.eval()

    def train_step(self, x: Tensor, y: Tensor, settings: Settings) -> tuple[float, Tensor]:
        """One update; returns the loss over all processes and the counts of `Objective.forward`.

        Raises:
            TrainingDivergedError: the loss or a gradient is not finite; nothing is updated.
        """
        self.net.train()
        set_p(self.net, settings.p)
        set_dropping(self.net, settings.dropping)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.lr
        self.optimizer.zero_grad(set_to_none=True)
        amp = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=amp):
            loss, counts = self._run_step(
                x, y, self._masks(), settings.eps, settings.eps_progress, settings.ce_weight
            )
        loss.backward()
        gradients = [p.grad for p in self.objective.parameters() if p.grad is not None]
        total = torch.stack([loss.detach(), torch.nn.utils.get_total_norm(gradients)])
        report = torch.cat([total, counts])
        if self.world > 1:
            dist.all_reduce(report)
            report[:2] /= self.world
        if not bool(report[:2].isfinite().all()):
            raise TrainingDivergedError(
                f"training diverged at step {self.step}: {self._culprit(x)} is not finite "
                f"(loss {float(report[0]):g}); try a smaller learning rate"
            )
        self.optimizer.step()
        if self.recipe.ema:
            # A short run-in, so that the average forgets the random start.
            decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                torch._foreach_lerp_(self.average, list(self.net.parameters()), 1 - decay)
        return float(report[0]), report[2:]

    def _masks(self) -> Masks:
        """This process's rows of the step's random subsets, the same for every world size."""
        seed = step_seed(self.config.seed, self.step, stream=2)
        # Convolutional layers draw from the default generator.
        torch.manual_seed(seed + self.rank)
        generator = torch.Generator().manual_seed(seed)
        masks = self.net.draw_masks(self.batches.batch_size, generator)
        if self.world == 1:
            return masks
        rows = self.batches.batch_size // self.world // MASK_GROUP
        part = slice(self.rank * rows, (self.rank + 1) * rows)
        return {k: None if mask is None else mask[part] for k, mask in masks.items()}

    @torch.no_grad()
    def _culprit(self, x: Tensor) -> str:
        """The first thing that is not finite, in words."""
        for name, parameter in self.net.named_parameters():
            if not bool(parameter.isfinite().all()):
                return f"parameter {name}"
        found: list[str] = []

        def look(name: str) -> Callable[[nn.Module, object, Tensor], None]:
            def hook(_: nn.Module, __: object, output: Tensor) -> None:
                if not found and not bool(output.isfinite().all()):
                    found.append(f"the output of layer {name}")

            return hook

        handles = [
            layer.register_forward_hook(look(f"layers.{i} ({type(layer).__name__})"))
            for i, layer in enumerate(self.net.layers)
        ]
        try:
            self.net(x)
        finally:
            for handle in handles:
                handle.remove()
        if found:
            return found[0]
        for name, parameter in self.objective.named_parameters():
            if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
                return f"the gradient of {name}"
        return "the loss"


class _Recent:
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


class _Log:
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


@contextlib.contextmanager
def _finish_step_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C only sets a flag, so that no step is torn; a second one stops at once."""
    flag: list[bool] = []

    def handler(signum: int, frame: FrameType | None) -> None:
        if flag:
            raise KeyboardInterrupt
        flag.append(True)

    try:
        previous = signal.signal(signal.SIGINT, handler)
    except ValueError:  # not the main thread: nobody sends us signals
        yield lambda: False
        return
    try:
        yield lambda: bool(flag)
    finally:
        signal.signal(signal.SIGINT, previous)


@contextlib.contextmanager
def processes() -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; gives this process's device.

    NCCL on GPUs, gloo on CPUs.
    """
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if cuda:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def _compiled(objective: Objective, recipe: Recipe) -> nn.Module:
    """The objective under torch.compile, one version for every p that the schedule takes."""
    if objective.net.config.family in ("sortnet", "linf-dist") and not recipe.p_cheap:
        raise ValueError(
            "torch.compile would compile again at every step, since p is a constant of what it "
            "compiles; add --set recipe.p_cheap=true, which lets p take some 15 values only"
        )
    config = torch._dynamo.config
    limit = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"
    setattr(config, limit, max(64, getattr(config, limit)))
    return torch.compile(objective)  # type: ignore[return-value]


def _rank_and_world() -> tuple[int, int]:
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
