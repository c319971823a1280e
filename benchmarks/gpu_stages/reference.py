"""The stage reference: the public extension, and the same layers of both in turns."""

from __future__ import annotations

import importlib
import math
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType

import torch
from torch import Tensor

from sortnet.backend import ops

from .setup import Record, Setup
from .timing import median_ms

INF = math.inf


def load_reference(setup: Setup) -> tuple[ModuleType, ModuleType]:
    """The extension of zbh2047/SortNet, built as its setup.py does, and its module of networks.

    A dry run imports norm_dist_cuda.py of that folder in the extension's place.
    """
    assert setup.reference is not None
    sys.path.insert(0, str(setup.reference))
    if setup.dry:
        extension = importlib.import_module("norm_dist_cuda")
    else:
        from torch.utils.cpp_extension import load

        sources = sorted((setup.reference / "core" / "cuda").iterdir())
        os.environ.setdefault("TORCH_CUDA_ARCH_LIST", "{}.{}".format(*_capability()))
        extension = load(
            "norm_dist_cuda",
            [
                str(file)
                for file in sources
                if file.suffix in (".cpp", ".cu") and not file.name.startswith("test_")
            ],
            extra_include_paths=[str(setup.reference)],
            verbose=True,
        )
        sys.modules["norm_dist_cuda"] = extension
    return extension, importlib.import_module("ell_inf_models")


def _capability() -> tuple[int, int]:
    return torch.cuda.get_device_capability()


def reference(setup: Setup, record: Record) -> None:
    """The same layers in turns with the public extension."""
    if setup.reference is None:
        record.add("reference", skipped="no --reference")
        return
    started = time.monotonic()
    theirs, _ = load_reference(setup)
    record.add("build of the reference", seconds=time.monotonic() - started)
    batch, inputs, outputs = setup.batch, setup.inputs, setup.outputs

    def empty(*shape: int, kind: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(shape, device=setup.device, dtype=kind)

    x, w = empty(batch, inputs, 1).normal_(), empty(outputs, inputs).normal_()
    y, dy, dx, dw = empty(batch, outputs, 1), empty(batch, outputs, 1).normal_(), x * 0, w * 0
    position = empty(batch, outputs, 1, kind=torch.int)
    flat, flat_dy = x[:, :, 0].contiguous(), dy[:, :, 0].contiguous()

    def both(
        name: str, wanted: float, ours: Callable[[], object], other: Callable[[], object]
    ) -> None:
        mine, their = median_ms(setup, ours, other)
        values = {"p20": mine[0], "p50": mine[1], "p80": mine[2], "reference_p50": their[1]}
        record.add(name, **values, times_faster=their[1] / mine[1], times_faster_wanted=wanted)

    def norm(p: float, wanted: float) -> None:
        def ours() -> None:
            out = ops.lp_distance(flat, w, p, None, None, 1)
            ops.lp_distance_backward(flat, w, p, None, None, 1, out, flat_dy, True, True)

        def other() -> None:
            if math.isinf(p):
                theirs.inf_dist_forward(x, w, y, position, 1)
                theirs.inf_dist_backward_input_weight(dy, position, dx, dw, 1)
            else:
                theirs.norm_dist_forward(x, w, y, 1, p)
                theirs.norm_dist_backward_input_weight(dy, x, w, y, dx, dw, 1, p)

        both(f"l_{p:g} forward + backward", wanted, ours, other)

    for p, wanted in ((INF, 3.0), (8.0, 1.8), (17.3, 3.0), (100.0, 3.0), (300.0, 3.0)):
        record.attempt(f"l_{p:g} forward + backward", partial(norm, p, wanted))
    coef = torch.full((10,), 0.1, device=setup.device)
    record.attempt(
        "sort 10 forward",
        lambda: both(
            "sort 10 forward",
            4.0,
            lambda: ops.sort_neuron(flat, w, coef),
            lambda: theirs.sort_neuron_forward_nograd(x, w, y, 1, 0.75, 10),
        ),
    )
