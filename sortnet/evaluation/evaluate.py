"""Clean, attacked and certified accuracy, checked against each other sample by sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from sortnet.base.units import eps_to_float
from sortnet.data.sets import Split
from sortnet.models.net import CertifiedNet, estimate_means

from .attack import pgd
from .certify import certificates, margin_radius


class CertificateViolationError(RuntimeError):
    """A certified sample was attacked with success: a bug somewhere, never noise."""


@dataclass(frozen=True)
class Evaluation:
    """Fractions of 1; `pgd` and `certified` by the eps they were asked for.

    Attributes:
        samples: size of the split behind `clean` and `certified`.
        pgd_samples: its part that was attacked (evenly spaced); 0 without attack.
        radii: margin radius of each sample in pixels, 0 where misclassified. correct: bool [N].
        robust: by eps, bool [pgd_samples]: not fooled by PGD.
        seconds: wall-clock time.
    """

    clean: float
    pgd: dict[str, float]
    certified: dict[str, float]
    samples: int
    pgd_samples: int
    seconds: float
    radii: np.ndarray = field(repr=False, compare=False)
    correct: np.ndarray = field(repr=False, compare=False)
    robust: dict[str, np.ndarray] = field(repr=False, compare=False)

    def summary(self) -> dict[str, Any]:
        """What belongs into a JSON file."""
        return {
            "clean": self.clean,
            "pgd": self.pgd,
            "certified": self.certified,
            "samples": self.samples,
            "pgd_samples": self.pgd_samples,
            "seconds": self.seconds,
        }


def evaluate(
    model: CertifiedNet,
    split: Split,
    eps: Sequence[str],
    *,
    attack_steps: int = 100,
    attack_samples: int | None = None,
    batch_size: int = 500,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Accuracy of a model whose running means are already estimated.

    A sample counts as certified at eps if it is classified right and its margin radius is at least
    eps, or interval bounds over the ball clipped to [0, 1] prove it. Attacks run beside it.

    Args:
        model: used in evaluation mode and left as it was.
        split: labelled images.
        eps: radii in pixels such as "8/255"; exact, rounded up to float32.
        attack_steps: PGD steps; 0 for none.
        attack_samples: attack that many samples, evenly spaced; None for all.
        batch_size: samples per pass.
        progress: called with (done, total) passes.

    Raises:
        CertificateViolationError: not certified <= attacked <= clean for some sample; names them.
        ValueError: an eps out of (0, 1], an empty split, images or labels of another network.
    """
    if not len(split):
        raise ValueError("cannot evaluate on an empty split")
    split.check(model.config.input_shape, model.config.classes)
    started = time.monotonic()
    numbers = {name: eps_to_float(name) for name in eps}
    device = next(model.parameters()).device
    chosen = _evenly(len(split), 0 if attack_steps == 0 else attack_samples)
    total = -(-len(split) // batch_size) + len(numbers) * -(-len(chosen) // batch_size)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    was_training = model.training
    model.eval()
    correct, radii = [], []
    certified: dict[str, list[np.ndarray]] = {name: [] for name in numbers}
    try:
        for images, labels in split.batches(batch_size):
            x, y = torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)
            with torch.no_grad():
                right = model(x).argmax(1) == y
            correct.append(right.cpu().numpy())
            radii.append(torch.where(right, margin_radius(model, x), 0).cpu().numpy())
            proved = certificates(model, x, y, list(numbers.values()))
            for name, number in numbers.items():  # two names may mean one number
                certified[name].append(proved[number].cpu().numpy())
            tick()
        is_correct = np.concatenate(correct)
        is_certified = {name: np.concatenate(parts) for name, parts in certified.items()}
        attacked: dict[str, np.ndarray] = {}
        for name, number in numbers.items() if len(chosen) else ():
            survived = []
            for start in range(0, len(chosen), batch_size):
                index = chosen[start : start + batch_size]
                x = torch.from_numpy(split.floats(index)).to(device)
                y = torch.from_numpy(split.labels[index]).to(device)
                point = pgd(model, x, y, number, attack_steps)
                with torch.no_grad():
                    survived.append((model(point).argmax(1) == y).cpu().numpy())
                tick()
            robust = np.concatenate(survived)
            check_order(name, chosen, is_correct[chosen], robust, is_certified[name][chosen])
            attacked[name] = robust
    finally:
        model.train(was_training)
    return Evaluation(
        clean=float(is_correct.mean()),
        pgd={name: float(flags.mean()) for name, flags in attacked.items()},
        certified={name: float(flags.mean()) for name, flags in is_certified.items()},
        samples=len(split),
        pgd_samples=len(chosen),
        seconds=time.monotonic() - started,
        radii=np.concatenate(radii),
        correct=is_correct,
        robust=attacked,
    )


def check_order(
    eps: str, index: np.ndarray, clean: np.ndarray, attacked: np.ndarray, certified: np.ndarray
) -> None:
    """Check certified <= attacked <= clean for every sample; all bool [n], index int64 [n].

    Raises:
        CertificateViolationError: names the samples.
    """
    for better, worse, text in (
        (attacked, certified, "certified but fooled by PGD"),
        (clean, attacked, "misclassified but not fooled by PGD"),
    ):
        broken = index[worse & ~better]
        if len(broken):
            names = ", ".join(str(i) for i in broken[:20]) + (" ..." if len(broken) > 20 else "")
            raise CertificateViolationError(
                f"{len(broken)} samples are {text} at eps {eps}: samples {names}"
            )


def reestimate_means(
    model: CertifiedNet, split: Split, batch_size: int = 1000, rank: int = 0, world: int = 1
) -> None:
    """Set all running means to those over `split` with sorted sums (before every evaluation).

    Of several processes each passes every `world`-th sample of a batch; the sums are shared.
    """
    device = next(model.parameters()).device
    estimate_means(
        model,
        (torch.from_numpy(x[rank::world]).to(device) for x, _ in split.batches(batch_size)),
    )


def _evenly(total: int, wanted: int | None) -> np.ndarray:
    if wanted is None or wanted >= total:
        return np.arange(total)
    return np.linspace(0, total - 1, wanted).round().astype(np.int64) if wanted else np.arange(0)
