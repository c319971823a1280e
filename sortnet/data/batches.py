"""The batches of a training run as a function of (seed, step), so that resuming needs no state."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from . import augment
from .images import ImageFiles
from .split import Split


class BatchRecipe(Protocol):
    """The part of a training recipe that batches depend on (`sortnet.training.Recipe` has it)."""

    @property
    def batch_size(self) -> int: ...
    @property
    def epochs(self) -> float: ...
    @property
    def crop(self) -> int: ...
    @property
    def crop_mode(self) -> str: ...
    @property
    def flip(self) -> bool: ...


class TrainingBatches(Dataset[tuple[Tensor, Tensor]]):
    """Item `step` is this process's part of the step's batch.

    A pair of samples float32 [n, ...] and labels int64 [n] (float32 for a regression).

    Every epoch is a fresh permutation (the last incomplete batch is left out); order and
    augmentation depend on seed, epoch and step only, and not on the number of processes.

    Args:
        split: training samples.
        recipe: batch size and augmentation. A batch larger than the split is cut to its size.
        seed: of the run.
        rank, world: this process and the number of processes; each takes an equal part.

    Raises:
        ValueError: an empty split, a batch that `world` does not divide, or augmentation of what is
            no image.
    """

    def __init__(
        self, split: Split, recipe: BatchRecipe, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.batch_size = min(recipe.batch_size, len(split))
        if not self.batch_size:
            raise ValueError("cannot train on an empty split")
        if self.batch_size % world:
            raise ValueError(f"batch size {self.batch_size} is not divisible by {world} processes")
        if (recipe.crop or recipe.flip) and len(split.inputs.shape) != 4:
            shape = list(split.inputs.shape[1:])
            raise ValueError(f"crop and flip are for images [C, H, W], the samples are {shape}")
        self.split, self.recipe, self.seed = split, recipe, seed
        part = self.batch_size // world
        self._part = slice(rank * part, (rank + 1) * part)
        self.steps_per_epoch = len(split) // self.batch_size
        self.steps = max(1, round(recipe.epochs * self.steps_per_epoch))
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        epoch, position = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            generator = np.random.default_rng((self.seed, epoch))
            self._order = (epoch, generator.permutation(len(self.split)))
        start = position * self.batch_size
        index = self._order[1][start : start + self.batch_size][self._part]
        inputs = self._augment(torch.from_numpy(self.split.inputs[index]), step).float()
        if self.split.levels != 1:
            inputs /= self.split.levels
        labels = torch.from_numpy(self.split.labels[index])
        return inputs, labels.float() if self.split.regression else labels

    def _augment(self, images: Tensor, step: int) -> Tensor:
        recipe, n = self.recipe, self.batch_size
        generator = torch.Generator().manual_seed(step_seed(self.seed, step, stream=1))
        if recipe.crop:
            shift = torch.randint(0, 2 * recipe.crop + 1, (2, n), generator=generator)
            images = augment.crop(images, shift[:, self._part], recipe.crop, recipe.crop_mode)
        if recipe.flip:
            chosen = torch.rand(n, generator=generator) < 0.5
            images = augment.flip(images, chosen[self._part])
        return images

    def loader(self, first: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches from step `first` on; images that must be decoded are read ahead.

        Raises:
            ValueError, OSError: as reading the batch does, whichever process reads it.
        """
        from_files = isinstance(self.split.inputs, ImageFiles)
        loader = DataLoader(
            _Guarded(self),
            batch_size=None,
            sampler=range(first, self.steps),
            num_workers=2 if from_files else 0,
            # Ctrl-C reaches the readers too; the step that is under way still needs them.
            worker_init_fn=_ignore_signals,
            pin_memory=device.type == "cuda",
            # Its draw for worker seeds must not touch the run's random state.
            generator=torch.Generator().manual_seed(self.seed),
        )
        for batch in loader:
            if isinstance(batch, Exception):
                raise batch
            yield batch


class _Guarded(Dataset[Any]):
    """Hands an expected error out as an item: raised in a worker, it would come as a traceback."""

    def __init__(self, batches: TrainingBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor] | Exception:
        try:
            return self.batches[step]
        except (ValueError, OSError) as error:
            return error.with_traceback(None)


def _ignore_signals(worker: int) -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)


def step_seed(seed: int, step: int, stream: int) -> int:
    """An independent 63-bit seed for every (seed, step, stream)."""
    words = np.random.SeedSequence((seed, step, stream)).generate_state(2, np.uint32)
    return (int(words[0]) << 31) ^ int(words[1])
