"""Clean, attacked and certified accuracy, checked against each other sample by sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from sortnet.base.names import FROM_ZERO
from sortnet.base.units import MAX_UNITS_OF_RADIUS, parse_eps
from sortnet.data.sets import Split
from sortnet.models import CertifiedNet, estimate_means
from sortnet.nn.layer import LayerError

from .attack import pgd
from .certifier import Certifier
from .naive import NaiveCertifier


class CertificateViolationError(RuntimeError):
    """A certified sample was attacked with success: a sound certificate that is false."""


@dataclass(frozen=True)
class Evaluation:
    """Fractions of 1; `pgd` and `certified` by the eps they were asked for.

    Attributes:
        samples: size of the split behind `clean` and `certified`.
        pgd_samples: its part that was attacked (evenly spaced); 0 without attack.
        radii: certified radius of each sample in pixels, 0 where misclassified. correct: bool [N].
        robust: by eps, bool [pgd_samples]: classified right and not fooled by PGD.
        seconds: wall-clock time.
        kind: "sound"; or "naive" where a layer's rounding is unknown (`sortnet.evaluation.naive`),
            with the names of the layers whose word it takes: "naive, as declared by Clamp".
        broken: by eps, the samples that were certified and yet fooled. Sound certificates: a bug.
        Naive ones: rounding; these samples do not count as certified.
        outside: int64, places of samples outside of the box of the inputs (`evaluate`'s `outside`).
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
    kind: str = "sound"
    broken: dict[str, list[int]] = field(default_factory=dict)
    outside: np.ndarray = field(
        default_factory=lambda: np.empty(0, np.int64), repr=False, compare=False
    )

    def check(self) -> None:
        """Call it after the figures are safe in a file.

        Raises:
            CertificateViolationError: a sound certificate was broken; names the samples.
        """
        if self.kind != "sound" or not self.broken:
            return
        parts = []
        for eps, samples in self.broken.items():
            names = ", ".join(map(str, samples[:20])) + (" ..." if len(samples) > 20 else "")
            parts.append(f"{len(samples)} samples at eps {eps}: samples {names}")
        raise CertificateViolationError(
            f"certified but fooled by PGD: {'; '.join(parts)}{FROM_ZERO}"
        )

    def summary(self) -> dict[str, Any]:
        """What belongs into a JSON file."""
        return {
            "clean": self.clean,
            "pgd": self.pgd,
            "certified": self.certified,
            "certificates": self.kind,
            "samples": self.samples,
            "pgd_samples": self.pgd_samples,
            "seconds": self.seconds,
            **({"broken": self.broken} if self.broken else {}),
            **({"outside": self.outside.tolist()} if len(self.outside) else {}),
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
    outside: Literal["error", "zero"] = "error",
) -> Evaluation:
    """Accuracy of a model whose running means are already estimated.

    A sample counts as certified at eps if it is classified right and its certified radius is at
    least eps, or interval bounds over the ball clipped to [0, 1] prove it. Attacks run beside it:
    certified <= attacked <= clean holds for every sample (see `Evaluation.broken`).

    Args:
        model: used in evaluation mode and left as it was.
        split: labelled images.
        eps: radii in pixels such as "8/255"; exact, rounded up to float32.
        attack_steps: PGD steps; 0 for none.
        attack_samples: attack that many samples, evenly spaced; None for all.
        batch_size: samples per pass.
        progress: called with (done, total) passes.
        outside: what to do with samples outside of the box: "error" refuses the split; "zero" gives
            them radius 0, and counts them neither as certified nor as robust. A split without any
            sample inside is refused.

    Raises:
        TypeError: a model that build_model did not make.
        ValueError: an eps out of (0, 1], an empty split, images or labels of another network.
    """
    if not len(split):
        raise ValueError("cannot evaluate on an empty split")
    if not isinstance(model, CertifiedNet):
        raise TypeError(
            f"expected a network of build_model or load_run, got {type(model).__name__}; for other "
            "models use sortnet.certified_accuracy, or NaiveCertifier for layers of your own"
        )
    spec = model.config.input
    inside = split.certifiable(spec.shape, model.config.classes, spec.low, spec.high)
    if outside == "error":
        split.check(spec.shape, model.config.classes, spec.low, spec.high)
    started = time.monotonic()
    names = list(dict.fromkeys(eps))
    for name in names:
        parse_eps(name, 1 if spec.images else MAX_UNITS_OF_RADIUS)  # refused before any work
    device = next(model.parameters()).device
    chosen = _evenly(len(split), 0 if attack_steps == 0 else attack_samples)
    total = -(-len(split) // batch_size) + len(names) * -(-len(chosen) // batch_size)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    certifier, kind = _certifier(model)
    correct, radii = [], []
    certified: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for start in range(0, len(split), batch_size):
        part = slice(start, start + batch_size)
        x = torch.from_numpy(split.floats(part)).to(device)
        y = torch.from_numpy(split.labels[part]).to(device)
        held = torch.from_numpy(inside[part]).to(device)
        right = torch.zeros(len(x), dtype=torch.bool, device=device)
        radius = torch.zeros(len(x), device=device)
        if not held.all():
            with torch.no_grad():
                right[~held] = certifier.chain.logits(x[~held]).argmax(1) == y[~held]
        prediction = certifier.predict(x[held])
        right[held] = prediction.label == y[held]
        radius[held] = torch.where(right[held], prediction.radius, 0)
        correct.append(right.cpu().numpy())
        radii.append(radius.cpu().numpy())
        for name in names:
            sure = torch.zeros_like(right)
            sure[held] = right[held] & certifier.certify(x[held], name, prediction)
            certified[name].append(sure.cpu().numpy())
        tick()
    is_correct = np.concatenate(correct)
    is_certified = {name: np.concatenate(parts) for name, parts in certified.items()}
    attacked: dict[str, np.ndarray] = {}
    broken: dict[str, list[int]] = {}
    for name in names if len(chosen) else ():
        survived = []
        for start in range(0, len(chosen), batch_size):
            index = chosen[start : start + batch_size]
            stands = inside[index].copy()
            index = index[stands]
            x = torch.from_numpy(split.floats(index)).to(device)
            y = torch.from_numpy(split.labels[index]).to(device)
            point = pgd(certifier.chain, x, y, name, attack_steps, input=spec)
            stands[stands] = (certifier.predict(point).label == y).cpu().numpy()
            survived.append(stands)
            tick()
        # A float32 tie may fall either way in another batch: wrong once is wrong.
        attacked[name] = np.concatenate(survived) & is_correct[chosen]
        false = chosen[is_certified[name][chosen] & ~attacked[name]]
        if len(false):
            broken[name] = false.tolist()
            is_certified[name][false] = False
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
        kind=kind,
        broken=broken,
        outside=np.flatnonzero(~inside),
    )


def _certifier(model: nn.Module) -> tuple[Certifier | NaiveCertifier, str]:
    """The sound certificates where the rounding of every layer is known, else the naive ones."""
    try:
        return Certifier(model), "sound"
    except LayerError:
        naive = NaiveCertifier(model)
        return naive, naive.claim


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
