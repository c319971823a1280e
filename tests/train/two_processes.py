"""Run by test_two_processes_train_as_one under torchrun."""

import sys
from pathlib import Path

import tiny
import torch
import torch.distributed as dist

from sortnet.training.train import Trainer, processes

with processes():
    run = Trainer(tiny.config(), tiny.dataset(), Path(sys.argv[1]), log_steps=1)
    model = run.run()
    for name, value in model.state_dict().items():
        mine, others = value.clone(), value.clone()
        dist.broadcast(others, 0)
        assert torch.equal(mine, others), f"{name} differs between processes"
