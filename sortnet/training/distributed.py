"""The processes of a distributed run."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist


@contextlib.contextmanager
def processes() -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; gives this process's device.

    NCCL on GPUs, gloo on CPUs. What is made inside the block should be gone at its end (put the
    work into a function): threads that outlive the process group may abort the process at its exit.
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
        gc.collect()
        dist.destroy_process_group()


def rank_and_world() -> tuple[int, int]:
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1
