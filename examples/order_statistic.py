"""Fit the k-th largest of d numbers below the error that no standard Lipschitz network can beat.

python examples/order_statistic.py OUTPUT_FOLDER [--d 8] [--k 4] [--steps 400] [--seed 0]

Theorem 3.6: whatever its depth, width and activation, a standard network that is 1-Lipschitz in
l-inf errs by at least 1/2 - 1/(2d) somewhere. A SortNet does not, and its file says within which
bounds each value stays while every number moves by EPS.
"""

import argparse
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sortnet import CertifiedSession, export_model, verify
from sortnet.nn import Abs, LipschitzLinear, OrderStatisticLinear
from sortnet.theory.objects.convert import exact_network
from sortnet.theory.theorems.order_statistics import bound, cyclic_error

EPS = "0.01"


def sort_net(d: int) -> nn.Sequential:
    layer = OrderStatisticLinear(d, 1, bias=True)
    # Centres outside the cube: inside it |x - w| is not monotone, and the fit can get stuck.
    nn.init.normal_(layer.weight, mean=-1.0, std=0.1)
    return nn.Sequential(layer)


def standard_net(d: int, width: int = 16) -> nn.Sequential:
    return nn.Sequential(
        LipschitzLinear(d, width),
        Abs(),
        LipschitzLinear(width, width),
        Abs(),
        LipschitzLinear(width, 1),
    )


def corners(d: int) -> torch.Tensor:
    """All of {0, 1}^d: [2^d, d]."""
    return torch.from_numpy(((np.arange(2**d)[:, None] >> np.arange(d)) & 1).astype(np.float32))


def kth_largest(x: torch.Tensor, k: int) -> torch.Tensor:
    return x.sort(dim=1, descending=True).values[:, k - 1]


def fit(net: nn.Sequential, d: int, k: int, steps: int, seed: int) -> None:
    """Adam on the mean squared error at random points of the cube, half of them corners."""
    draw = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.03 * (1 - step / steps)
        # The share of ones differs from corner to corner, so that the rank of 1 does too.
        ones = torch.rand(128, 1, generator=draw)
        corner = (torch.rand(128, d, generator=draw) < ones).float()
        x = torch.cat([corner, torch.rand(128, d, generator=draw)])
        error = net(x)[:, 0] - kth_largest(x, k)
        loss = error.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def worst_error(net: nn.Sequential, d: int, k: int) -> float:
    """The largest error over all corners of the cube, each tried."""
    x = corners(d)
    return float((net(x)[:, 0] - kth_largest(x, k)).abs().max())


def main(folder: Path, d: int = 8, k: int = 4, steps: int = 400, seed: int = 0) -> dict[str, float]:
    """Fit both, export and verify the SortNet; returns the figures that are printed."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    nets = {"sortnet": sort_net(d), "standard": standard_net(d)}
    figures = {"bound": float(bound(d, k))}
    for name, net in nets.items():
        fit(net, d, k, steps, seed)
        net.eval()
        figures[name] = worst_error(net, d, k)
        # In exact arithmetic, on the 2d points of the proof.
        exact: Fraction = cyclic_error(exact_network(net), k)
        figures[f"{name}, cyclic points"] = float(exact)
    path = folder / "order_statistic.onnx"
    export_model(nets["sortnet"], path, EPS, input_shape=(d,))
    proof = verify(path)
    if not proof.proved:
        raise RuntimeError(f"the file is not proved: {proof.reasons}")
    x = np.random.default_rng(seed).random((1000, d), dtype=np.float32)
    answer = CertifiedSession(path).predict_interval(x)
    figures["widest interval"] = float((answer.upper - answer.lower).max())
    for name, value in figures.items():
        print(f"{name:24} {value:.4f}")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    for name, default in (("d", 8), ("k", 4), ("steps", 400), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    main(chosen.folder, chosen.d, chosen.k, chosen.steps, chosen.seed)
