"""Other certified trainings on the same images, processor time, attack and machine.

    P="python benchmarks/peers/peers.py"
    $P train --method ctrain-ibp --budget 30m --out runs/ibp
    $P train --method ctrain-mtl-ibp --budget 30m --out runs/mtl-ibp
    $P sortnet RUN                  the same columns for a run of `sortnet train`
    $P cost RUN --peer runs/ibp     milliseconds of a certificate

A budget is processor time of one thread. The attack is `sortnet.evaluation.attack.pgd` on evenly
spaced test images. Each network is certified by its own certificate: the peers by auto_LiRPA's
interval bounds of all margins.
"""

from __future__ import annotations

import csv
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn

from sortnet.data import sets
from sortnet.data.sets import Split
from sortnet.evaluation import evaluate
from sortnet.evaluation.attack import pgd
from sortnet.evaluation.frozen import FrozenChain

EPS = 0.1
PARTS = 20  # of a training, which CTRAIN sees as epochs: its schedules count in them
RAMP, DECAY = 12, (16, 18)
RESULTS = Path(__file__).parents[1] / "results"


class Foreign(FrozenChain):
    """A module that is no chain of known layers, for the attack alone."""

    def __init__(self, module: nn.Module) -> None:
        self.layers, self.module = [], module.eval()

    def logits(self, x: Tensor) -> Tensor:
        result: Tensor = self.module(x)
        return result


class Batches:
    """What CTRAIN asks of a loader: `steps` batches of an endless shuffled stream of [0, 1]."""

    def __init__(self, split: Split, size: int, steps: int, seed: int) -> None:
        self.split, self.batch_size, self.steps = split, size, steps
        self.mean, self.std, self.normalised = torch.zeros(1), torch.ones(1), False
        self.min, self.max = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
        self._stream = self._endless(np.random.default_rng(seed))
        self.times: list[float] = []  # processor time of each step

    def _endless(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            order = rng.permutation(len(self.split))
            for at in range(0, len(order) - self.batch_size + 1, self.batch_size):
                rows = order[at : at + self.batch_size]
                yield (
                    torch.from_numpy(self.split.floats(rows)),
                    torch.from_numpy(self.split.labels[rows]),
                )

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self.steps):
            begun = time.process_time()
            yield next(self._stream)
            self.times.append(time.process_time() - begun)


def seconds_of(budget: str) -> float:
    """Seconds of "90s" or "30m"."""
    unit = {"s": 1.0, "m": 60.0}.get(budget[-1:])
    if unit is None:
        raise click.BadParameter(f"expected a time such as 90s or 30m, got {budget!r}")
    return float(budget[:-1]) * unit


def wrapper(method: str, width: int, hidden: int, parts: int, lr: float) -> Any:
    """A network of CTRAIN, untrained."""
    from CTRAIN.model_definitions import CNN7_Shi
    from CTRAIN.model_wrappers import MTLIBPModelWrapper, ShiIBPModelWrapper

    kind = {"ctrain-ibp": ShiIBPModelWrapper, "ctrain-mtl-ibp": MTLIBPModelWrapper}[method]
    return kind(
        CNN7_Shi(in_shape=(1, 28, 28), width=width, linear_size=hidden, n_classes=10),
        (1, 28, 28), EPS, parts, lr=lr, warm_up_epochs=1, ramp_up_epochs=RAMP,
        lr_decay_kwargs={"milestones": DECAY, "gamma": 0.2}, device="cpu",
    )  # fmt: skip


def lirpa_margins(bounded: Any, x: Tensor, label: Tensor, eps: float, method: str) -> Tensor:
    """Least logit[label] - other for each other class, over the ball clipped to [0, 1]: [N, 9]."""
    from auto_LiRPA import BoundedTensor, PerturbationLpNorm

    ball = PerturbationLpNorm(
        norm=np.inf, eps=eps, x_L=(x - eps).clamp(0, 1), x_U=(x + eps).clamp(0, 1)
    )
    one = torch.eye(10)
    keep = ~one[label].bool()
    c = (one[label][:, None] - one[None])[keep].view(len(x), 9, 10)
    lower, _ = bounded.compute_bounds(
        x=(BoundedTensor(x, ball),), C=c, method=method, bound_upper=False
    )
    result: Tensor = lower
    return result


def share_statistics(net: Any) -> None:
    """Give the original network the statistics of batches that only its bounded twin collected.

    The two share parameters, not buffers.
    """
    collected = dict(net.bounded_model.named_buffers())
    for name, buffer in net.original_model.named_buffers():
        if name in collected:
            buffer.copy_(collected[name])
    probe = torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(net.original_model(probe), net.bounded_model(probe))


def evenly(total: int, wanted: int) -> np.ndarray:
    return np.linspace(0, total - 1, wanted).round().astype(np.int64)


def survive(chain: Any, split: Split, samples: int, steps: int) -> float:
    """Fraction of evenly spaced samples that are classified right and stay so under attack."""
    rows = evenly(len(split), samples)
    x, y = torch.from_numpy(split.floats(rows)), torch.from_numpy(split.labels[rows])
    with torch.no_grad():
        stands = chain.logits(x).argmax(1) == y
        stands &= chain.logits(pgd(chain, x, y, str(EPS), steps)).argmax(1) == y
    return float(stands.float().mean())


def save(row: dict[str, Any], name: str) -> None:
    """Append a row to a table of the results."""
    path = RESULTS / name
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
    click.echo(json.dumps(row))


@click.group(help=__doc__)
def main() -> None:
    torch.set_num_threads(1)


def attack_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--attacked", default=500, show_default=True, help="Test images."),
        click.option("--steps", default=100, show_default=True, help="Of the attack."),
    ):
        command = option(command)
    return command


@main.command()
@click.option("--method", type=click.Choice(["ctrain-ibp", "ctrain-mtl-ibp"]), required=True)
@click.option("--budget", default="30m", show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--width", default=8, show_default=True, help="Channels; CNN7's own are 64.")
@click.option("--hidden", default=128, show_default=True, help="Linear units; CNN7's are 512.")
@click.option("--batch", default=128, show_default=True)
@click.option("--lr", default=1e-3, show_default=True, help="CTRAIN's default is 5e-4.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@attack_options
def train(
    method: str, budget: str, seed: int, width: int, hidden: int, batch: int, lr: float,
    out: Path, attacked: int, steps: int,
) -> None:  # fmt: skip
    """Train a network of CTRAIN for a budget, and measure it."""
    data = sets.load("fashion-mnist")
    torch.manual_seed(seed)
    # Steps in the ramp, the dearest kind; the first ones compile, so the median counts.
    trial, few = wrapper(method, width, hidden, PARTS, lr), Batches(data.train, batch, 4, seed)
    trial.train_model(few, start_epoch=0, end_epoch=6)
    step = statistics.median(few.times)
    torch.manual_seed(seed)
    net = wrapper(method, width, hidden, PARTS, lr)
    each = max(1, int(seconds_of(budget) / step / PARTS))
    begun = time.process_time()
    net.train_model(Batches(data.train, batch, each, seed))
    seconds = time.process_time() - begun
    net.eval()
    net.original_model.eval()
    share_statistics(net)
    out.mkdir(parents=True, exist_ok=True)
    torch.save(net.original_model.state_dict(), out / "model.pt")
    shape = {"method": method, "width": width, "hidden": hidden}
    (out / "peer.json").write_text(json.dumps(shape), encoding="utf-8")
    right, sure = [], []
    for x, y in data.test.batches(250):
        images, labels = torch.from_numpy(x), torch.from_numpy(y)
        with torch.no_grad():
            hit = net.original_model(images).argmax(1) == labels
            margin = lirpa_margins(net.bounded_model, images, labels, EPS, "IBP")
        right.append(hit)
        sure.append(hit & (margin > 0).all(1))
    save(
        {
            "method": method, "budget_s": seconds_of(budget), "training_s": round(seconds, 1),
            "epochs": round(each * PARTS * batch / len(data.train), 2), "seed": seed,
            "network": f"CNN7 width {width}, linear {hidden}",
            "clean": float(torch.cat(right).float().mean()),
            "attacked": survive(Foreign(net.original_model), data.test, attacked, steps),
            "attacked_images": attacked, "certified": float(torch.cat(sure).float().mean()),
        },
        "peers.csv",
    )  # fmt: skip


@main.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@attack_options
def sortnet(run: Path, attacked: int, steps: int) -> None:
    """Measure the network of a run folder of `sortnet train`."""
    from sortnet.training.runs import load_run, read_metrics

    model, config = load_run(run)
    told = evaluate(
        model, sets.load("fashion-mnist").test, [str(EPS)],
        attack_steps=steps, attack_samples=attacked,
    )  # fmt: skip
    save(
        {
            "method": config.preset.name, "budget_s": "", "training_s": "",
            "epochs": max(row.get("epoch", 0) for row in read_metrics(run)),
            "seed": config.seed, "network": config.model.family,
            "clean": told.clean, "attacked": told.pgd[str(EPS)], "attacked_images": attacked,
            "certified": told.certified[str(EPS)],
        },
        "peers.csv",
    )  # fmt: skip


def milliseconds(call: Callable[[], object], samples: int, repeat: int) -> float:
    """Median processor time for a sample."""
    call()
    times = []
    for _ in range(repeat):
        begun = time.process_time()
        call()
        times.append(time.process_time() - begun)
    return statistics.median(times) * 1e3 / samples


@main.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option("--peer", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--repeat", default=5, show_default=True)
def cost(run: Path, peer: Path, repeat: int) -> None:
    """Milliseconds of a certificate: of a run of `sortnet train` beside a trained peer."""
    from sortnet.evaluation.certifier import Certifier
    from sortnet.training.runs import load_run

    model, config = load_run(run)
    certifier = Certifier(model)
    shape = json.loads((peer / "peer.json").read_text(encoding="utf-8"))
    net = wrapper(shape["method"], shape["width"], shape["hidden"], PARTS, 1e-3)
    net.original_model.load_state_dict(torch.load(peer / "model.pt"))
    net.eval()
    name = f"CNN7 width {shape['width']}, linear {shape['hidden']} ({shape['method']})"
    test = sets.load("fashion-mnist").test
    for batch in (256, 1):
        x = torch.from_numpy(test.floats(slice(0, batch)))
        label = certifier.predict(x).label

        def interval(x: Tensor = x, label: Tensor = label) -> object:
            reach = x.new_tensor(EPS)
            low, high = (x - reach).clamp(0, 1), (x + reach).clamp(0, 1)
            return certifier.chain.worst_margin(low, high, label)

        def lirpa(method: str, x: Tensor = x, label: Tensor = label) -> object:
            with torch.no_grad():
                return lirpa_margins(net.bounded_model, x, label, EPS, method)

        def clean(x: Tensor = x) -> object:
            with torch.no_grad():
                return net.original_model(x)

        kinds: list[tuple[str, str, Callable[[], object]]] = [
            (config.preset.name, "margin radius", lambda x=x: certifier.predict(x)),
            (config.preset.name, "interval bounds", interval),
            (name, "forward alone", clean),
            (name, "auto_LiRPA IBP", lambda f=lirpa: f("IBP")),
            (name, "auto_LiRPA CROWN-IBP", lambda f=lirpa: f("CROWN-IBP")),
            (name, "auto_LiRPA CROWN", lambda f=lirpa: f("CROWN")),
        ]
        for network, kind, call in kinds:
            # CROWN at once on 256 samples needs gigabytes.
            times = 2 if kind.endswith("CROWN") and batch > 1 else repeat
            save(
                {
                    "network": network, "certificate": kind, "batch": batch,
                    "milliseconds_a_sample": round(milliseconds(call, batch, times), 4),
                },
                "certificate-cost.csv",
            )  # fmt: skip


if __name__ == "__main__":
    main()
