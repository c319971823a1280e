"""Training: one loop for every network family, on one process or many.

Everything random is a function of (seed, step), every schedule a function of the step; so a
checkpoint is weights, optimizer moments and a step number, and resuming is bit-identical on CPU.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sortnet.data.batches import TrainingBatches, step_seed
from sortnet.data.fingerprint import DataRows
from sortnet.data.sets import DataSet
from sortnet.models import (
    CertifiedNet,
    build_model,
    estimate_means,
    set_dropping,
    set_p,
)

from . import runs
from .distributed import rank_and_world
from .log import Log, Progress, Recent
from .objective import Loss, Masks, Objective
from .prototypes import start_at_samples
from .recipe import Recipe
from .same_data import check_schema, check_training_rows
from .schedule import Settings, settings_at
from .signals import Stop, stop_on_signals

ROWS = "training_rows"  # in a checkpoint: the hash of the split that it learned from
MASK_GROUP = 32  # samples that share a random subset of inputs
DATA_FIELDS = ("data_root", "data_schema", "data_rows")  # compared by what they mean
MEAN_BATCH = 1000  # images of a batch over which means are estimated


class TrainingDivergedError(RuntimeError):
    """A loss or gradient became NaN or infinite; names the step and the layer."""


class InterruptedTrainingError(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: the step was finished and a checkpoint written.

    Attributes:
        signal: which of the two.
    """

    def __init__(self, message: str, signum: signal.Signals = signal.SIGINT) -> None:
        super().__init__(message)
        self.signal = signum


Listener = Callable[[Progress], None]


class Trainer:
    """Trains one network and leaves a run folder.

    Args:
        config: the run; its seed fixes weights, data order, augmentation and masks.
        data: already loaded; only its training split is read.
        folder: the run folder; created if missing.
        loss: an own loss in place of the recipe's: (logits [N, K], labels int64 [N], eps) ->
            scalar, eps the training radius in the logits' units (see `objective.Loss`). The run's
            config then names it, and only code that has it can resume the run.
        device: "cpu" or "cuda"...
        compile: put the whole step but the optimizer through torch.compile.
        checkpoint_seconds: at least so much time between checkpoints.
        log_steps: steps between lines of metrics.jsonl (and TensorBoard).

    Raises:
        ValueError: preset, network and data do not fit together; prototypes for a network without
            a first distance layer that is linear; `compile` with a p that changes at every step.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        config: runs.RunConfig,
        data: DataSet,
        folder: Path,
        *,
        loss: Loss | None = None,
        device: torch.device | str = "cpu",
        compile: bool = False,
        checkpoint_seconds: float = 60.0,
        log_steps: int = 50,
    ) -> None:
        name = None if loss is None else getattr(loss, "__qualname__", type(loss).__qualname__)
        # Whatever the config says of rows, it is these that are trained on.
        self.config = dataclasses.replace(config, loss=name, data_rows=DataRows.of(data))
        self.data, self.folder = data, Path(folder)
        self.recipe = config.preset.recipe
        self.device = torch.device(device)
        self.rank, self.world = rank_and_world()
        self.checkpoint_seconds, self.log_steps = checkpoint_seconds, log_steps
        spec = config.model.input
        for split in (data.train, data.test):
            split.check(spec.shape, config.model.classes, spec.low, spec.high)
        self.batches = TrainingBatches(data.train, self.recipe, config.seed, self.rank, self.world)
        if self.world > 1 and (self.batches.batch_size // self.world) % MASK_GROUP:
            raise ValueError(
                f"each of {self.world} processes needs a multiple of {MASK_GROUP} samples per "
                f"batch, got {self.batches.batch_size} / {self.world}"
            )
        torch.manual_seed(config.seed)
        self.net: CertifiedNet = build_model(config.model).to(self.device)
        if self.recipe.prototypes:
            start_at_samples(self.net, data.train, config.seed)
        self.objective = Objective(self.net, self.recipe, loss).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.objective.parameters(),
            lr=self.recipe.lr,
            betas=self.recipe.betas,
            eps=self.recipe.adam_eps,
            weight_decay=self.recipe.weight_decay,
            fused=True,
        )
        self.average = [p.detach().clone() for p in self.net.parameters()]
        self.stop = Stop()
        self.step = 0
        self.seconds = 0.0
        self._resumed = False
        self._run_step: nn.Module = self.objective
        if compile:
            self._run_step = _compiled(self.objective, self.recipe)
        with runs.clear_disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def resume(self) -> None:
        """Continue from the folder's checkpoint; from the start if it has none.

        Warns with `UnknownRowsWarning` where the run is of a version that kept no fingerprint.

        Raises:
            RunError: the checkpoint is damaged or of another run, or the folder's config says
                something else than this run's: settings, what its data means, or the rows
                trained on.
        """
        path = self.folder / runs.CHECKPOINT
        if path.is_file() or (self.folder / runs.CONFIG).is_file():
            self._check_begun(runs.read_config(self.folder))  # a checkpoint alone says too little
            self._resumed = True
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
        rows = self.config.data_rows
        # Runs of older versions kept none.
        if rows is not None and metadata.get(ROWS, rows.train.sha256) != rows.train.sha256:
            raise runs.RunError(
                f"{problem}: it learned from other training rows; remove it to begin anew"
            )
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

    def _check_begun(self, before: runs.RunConfig) -> None:
        """Refuse another run's folder, and other rows than it was begun on, wherever they lie."""
        for name, old, new in runs.differences(before, self.config):
            moved = name == "preset.data" and before.data_rows is not None
            if not moved and name.partition(".")[0] not in ("environment", *DATA_FIELDS):
                raise runs.RunError(f"{self.folder} holds a run with {name} {old}, not {new}")
        check_schema(self.folder, before, self.data)
        now = self.config.data_rows
        assert now is not None
        check_training_rows(self.folder, before, now, self.data.name)
        # Of rows that nobody kept, nothing is known later either.
        self.config = dataclasses.replace(self.config, data_rows=before.data_rows)

    def checkpoint(self) -> None:
        """Write the checkpoint (atomically, by the first process)."""
        if self.rank:
            return
        tensors = self._tensors()
        for name, parameter in self.objective.named_parameters():
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{key}.{name}"] = value
        metadata = {"step": str(self.step), "seconds": repr(self.seconds)}
        if self.config.data_rows is not None:
            metadata[ROWS] = self.config.data_rows.train.sha256
        runs.write_tensors(self.folder / runs.CHECKPOINT, tensors, metadata)

    def _tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds beside the optimizer's state."""
        tensors = {f"objective.{k}": v for k, v in self.objective.state_dict().items()}
        for (name, _), average in zip(self.net.named_parameters(), self.average, strict=True):
            tensors[f"average.{name}"] = average
        return tensors

    def run(self, listener: Listener | None = None, until: int | None = None) -> CertifiedNet:
        """Train to the end, estimate the means and write model.safetensors.

        Without `resume` before it, weights and checkpoint of another run in the folder are removed.

        Args:
            listener: called after every step (first process only).
            until: stop after this step with a checkpoint, as if interrupted; None to the end.

        Returns:
            The network as evaluated, in evaluation mode.

        Raises:
            TrainingDivergedError: NaN or infinity; the last checkpoint is kept.
            InterruptedTrainingError: Ctrl-C or SIGTERM, at this process or another of the run: all
                finish the same step; a checkpoint was written.
            OSError: the folder cannot be written.
        """
        last_save = time.monotonic()
        recent = Recent(self.batches.batch_size)
        steps = self.batches.steps
        end = steps if until is None else min(until, steps)
        self.stop = Stop()
        stopping = stop_on_signals(self.stop, alone=self.world == 1)
        with stopping, self._averaged_gradients(), contextlib.ExitStack() as stack:
            if not (self.rank or self.step or self._resumed):
                self._remove_old()
            # Only now: a signal may come as soon as others see the log.
            writer = Log(self.folder, self.step, self.config) if not self.rank else None
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
                if self._stopped():
                    self.checkpoint()
                    self._interrupt(f"after step {self.step} of {steps}; --resume continues there")
                if time.monotonic() - last_save >= self.checkpoint_seconds:
                    self.checkpoint()
                    last_save = time.monotonic()
            self.checkpoint()
            if self.step < steps:
                return self.net
            self.finish()
            if self.stop.asked:
                self._interrupt("after the last step; --resume evaluates the trained network")
            return self.net

    def _remove_old(self) -> None:
        """What another run left here goes before the config that it would be taken to belong to."""
        with runs.clear_disk_errors(self.folder):
            for name in (runs.CHECKPOINT, runs.WEIGHTS):
                (self.folder / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _averaged_gradients(self) -> Iterator[None]:
        """Of several processes, each steps with the gradients of all."""
        if self.world == 1:
            yield
            return
        alone = self._run_step
        # The mean shift keeps its buffers equal on all processes by itself.
        self._run_step = DistributedDataParallel(alone, broadcast_buffers=False)
        try:
            yield
        finally:
            self._run_step = alone

    def _stopped(self) -> bool:
        """Whether this process, of several the whole run, was asked to stop."""
        if self.world == 1:
            self.stop.agreed = self.stop.asked
        return self.stop.agreed is not None

    def _interrupt(self, where: str) -> NoReturn:
        if self.world > 1 and self.stop.agreed:
            dist.barrier()  # torchrun ends the others as soon as one has left
        signum = self.stop.agreed or self.stop.asked or signal.SIGINT
        verb = "terminated" if signum is signal.SIGTERM else "interrupted"
        raise InterruptedTrainingError(f"{verb} {where}", signum)

    def finish(self) -> CertifiedNet:
        """Take the averaged weights, estimate the means over the training split and save.

        Raises:
            TrainingDivergedError: a mean is not finite; nothing is saved.
            InterruptedTrainingError: Ctrl-C or SIGTERM between two batches; nothing is saved.
        """
        if self.recipe.ema:
            with torch.no_grad():
                for parameter, average in zip(self.net.parameters(), self.average, strict=True):
                    parameter.copy_(average)
        set_p(self.net, math.inf)
        set_dropping(self.net, 1.0)
        try:
            estimate_means(self.net, self._mean_batches())
        except FloatingPointError as error:
            raise TrainingDivergedError(
                f"training diverged by step {self.step}: {error}; try a smaller learning rate"
            ) from None
        if not self.rank:
            runs.write_model(self.folder, self.net)
        return self.net.eval()

    def _mean_batches(self) -> Iterator[Tensor]:
        """This process's part of the training split, as long as nobody asks to stop."""
        for images, _ in self.data.train.batches(MEAN_BATCH):
            if self.world > 1:
                votes = torch.tensor(self.stop.votes(), device=self.device)
                dist.all_reduce(votes)
                self.stop.agree(votes.tolist())
            if self._stopped():
                self._interrupt("while the means were estimated; --resume continues there")
            yield torch.from_numpy(images[self.rank :: self.world]).to(self.device)

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
            # Who was asked to stop travels along: all processes stop after the same step.
            report = torch.cat([report, torch.tensor(self.stop.votes(), device=self.device)])
            dist.all_reduce(report)
            report[:2] /= self.world
            self.stop.agree(report[4:].tolist())
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
        return float(report[0]), report[2:4]

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


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
