"""Run under torchrun by the tests: trains tiny bars on two processes.

two_processes.py FOLDER            to the end; weights and means must be equal on both
two_processes.py FOLDER SIGNAL N   process 1 alone gets the signal during step N (-1: while means
                                   are estimated); prints "rank step signal" of each process
"""

import signal
import sys
from pathlib import Path

import tiny
import torch
import torch.distributed as dist

from sortnet.training import InterruptedTrainingError, Trainer, processes


def whole(run: Trainer) -> None:
    model = run.run()
    for name, value in model.state_dict().items():
        mine, others = value.clone(), value.clone()
        dist.broadcast(others, 0)
        assert torch.equal(mine, others), f"{name} differs between processes"


def stopped(run: Trainer, name: str, when: int) -> None:
    step, batches = run.train_step, run._mean_batches

    def train_step(*arguments):
        if run.rank == 1 and run.step == when:
            signal.raise_signal(signal.Signals[name])
        return step(*arguments)

    def mean_batches():
        if run.rank == 1 and when == -1:
            signal.raise_signal(signal.Signals[name])
        yield from batches()

    run.train_step, run._mean_batches = train_step, mean_batches
    try:
        run.run()
    except InterruptedTrainingError as stop:
        print(f"<{run.rank} {run.step} {stop.signal.name}>", flush=True)


def main(folder: str, name: str = "", when: str = "") -> None:
    run = Trainer(tiny.config(), tiny.dataset(), Path(folder), log_steps=1)
    if name:
        stopped(run, name, int(when))
    else:
        whole(run)


with processes():
    main(*sys.argv[1:])
