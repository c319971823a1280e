"""A training in memory, for data that fit there: what `fit` runs."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sortnet.models import CertifiedNet, estimate_means, set_p
from sortnet.training.schedule import cheap_power, cosine, exponential_ramp

P_FIRST, P_LAST = 8.0, 256.0
RAMP = (0.1, 0.6)  # parts of the training between which p grows; then it is infinite
CHECKS = 12  # times at which a network is judged, evenly over what remains after the ramp

Loss = Callable[[CertifiedNet, Tensor, Tensor, Tensor, float], Tensor]
"""(network, inputs [B, ...], targets [B], weights [B], progress in [0, 1]) -> scalar."""


@dataclass
class Plan:
    """How long and in which steps.

    Attributes:
        steps: updates in all. batch_size: samples of each. lr, weight_decay: AdamW's.
        patience: judgements without a better one after which training ends; None for no early end.
        seed: of the order of samples and of dropped inputs.
        threads: of torch while training.
    """

    steps: int
    batch_size: int
    lr: float
    weight_decay: float
    patience: int | None
    seed: int
    threads: int


def train(
    net: CertifiedNet,
    x: Tensor,
    y: Tensor,
    weight: Tensor,
    loss: Loss,
    plan: Plan,
    judge: Callable[[CertifiedNet], float] | None = None,
    extra: list[torch.nn.Parameter] | None = None,
    report: Callable[[int, int], Any] | None = None,
) -> tuple[int, float | None]:
    """Train a network in place; it ends in evaluation mode with its means estimated.

    Args:
        net: freshly built.
        x: float32 [N, ...]. y: [N]. weight: float32 [N], >= 0.
        judge: figure of merit, larger is better, of the network in evaluation; the best one judged
            is kept. None keeps the last.
        extra: parameters of the loss that are trained along.
        report: called with (step, steps).

    Returns:
        Steps made, and the figure of merit of what was kept.

    Raises:
        FloatingPointError: the loss or a gradient became NaN or infinite.
    """
    parameters = [p for p in net.parameters() if p.requires_grad] + (extra or [])
    optimizer = torch.optim.AdamW(
        parameters, lr=plan.lr, betas=(0.9, 0.99), eps=1e-10, weight_decay=plan.weight_decay
    )
    best: tuple[float, dict[str, Tensor]] | None = None
    stale, step = 0, 0
    first = math.ceil(RAMP[1] * plan.steps)
    every = max(1, (plan.steps - first) // CHECKS)
    with _threads(plan.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        order = torch.randperm(len(x))
        place = 0
        while step < plan.steps:
            if place + plan.batch_size > len(order) and len(order) > plan.batch_size:
                order, place = torch.randperm(len(x)), 0
            rows = order[place : place + plan.batch_size]
            place = place + plan.batch_size if len(order) > plan.batch_size else 0
            part = step / plan.steps
            p = exponential_ramp(part, *RAMP, P_FIRST, P_LAST)
            set_p(net, cheap_power(p) if part < RAMP[1] else math.inf)
            for group in optimizer.param_groups:
                group["lr"] = plan.lr * cosine(part, 1.0)
            net.train()
            optimizer.zero_grad(set_to_none=True)
            value = loss(net, x[rows], y[rows], weight[rows], part)
            torch.autograd.backward(value)
            total = torch.nn.utils.get_total_norm(
                [p.grad for p in parameters if p.grad is not None]
            )
            if not bool(torch.stack([value.detach(), total]).isfinite().all()):
                raise FloatingPointError(
                    f"training diverged at step {step}: the loss or a gradient is not finite; "
                    "try a smaller learning_rate"
                )
            optimizer.step()
            step += 1
            if report is not None:
                report(step, plan.steps)
            last = step == plan.steps
            if judge is None or step < first or ((step - first) % every and not last):
                continue
            settle(net, x)
            merit = judge(net)
            if best is None or merit > best[0]:
                best, stale = (merit, copy.deepcopy(net.state_dict())), 0
            else:
                stale += 1
            if plan.patience is not None and stale >= plan.patience:
                break
    if best is not None:
        net.load_state_dict(best[1])
        set_p(net, math.inf)
        net.eval()
        return step, best[0]
    settle(net, x)
    return step, None


def settle(net: CertifiedNet, x: Tensor) -> None:
    """Evaluation mode, p = inf, running means over `x`."""
    set_p(net, math.inf)
    with torch.no_grad():
        estimate_means(net, torch.split(x, 1024))
    net.eval()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
