"""Check and time the GPU kernels against the chip's own limits: one command for one visit to a GPU.

    python benchmarks/gpu.py run --data DIR --reference DIR --minutes 28 --output RESULTS
    python benchmarks/gpu.py run ... --resume      # goes on with what is not done
    python benchmarks/gpu.py run --dry-run         # no GPU: every stage in small, on the CPU
    python benchmarks/gpu.py static                # no GPU: counts compiled instructions

`run` goes through stages, each in a process of its own with a time limit, so that none takes the
rest down with it: build, check, speed, tests, reference, step, sanitizer, curve. Each writes its
rows to RESULTS/STAGE.json as it goes, and its output to RESULTS/STAGE.log; `run` ends with one
table and one CSV of all of them. Nothing stops at the first failure: a failure is a row.

`speed` measures the chip's ceilings (min/max, add, multiply-add and exponential instructions,
memory) and each kernel beside two floors: the time that its instructions take at those ceilings,
and the time that its bytes take. `reference` builds the public extension (a clone of
zbh2047/SortNet) and times it in turns with ours; nothing of it is kept. `curve` trains
Fashion-MNIST at width 5120 and records certified accuracy against GPU time.
"""

from __future__ import annotations

import copy
import csv
import ctypes
import datetime
import importlib
import json
import math
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import click
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from sortnet.backend import cuda, ops
from sortnet.base.files import atomic_write

ROOT = Path(__file__).parents[1]
DEVICE = ROOT / "kernels" / "cuda" / "device"
INF = math.inf
console = Console()


@dataclass(frozen=True)
class Setup:
    """What a stage is told. `dry`: small sizes on the CPU, to find mistakes where no GPU is."""

    output: Path
    batch: int = 512
    inputs: int = 5120
    outputs: int = 5120
    reference: Path | None = None
    data: Path | None = None
    epochs: float = 300
    seconds: float = 1e9
    dry: bool = False

    @property
    def device(self) -> str:
        return "cpu" if self.dry else "cuda"


class Record:
    """The rows of one stage, on disk after every one."""

    def __init__(self, stage: str, setup: Setup) -> None:
        self.path = setup.output / f"{stage}.json"
        self.document: dict[str, Any] = {
            "stage": stage,
            "device": f"dry run on {platform.machine()}"
            if setup.dry
            else torch.cuda.get_device_name(),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "torch": torch.__version__,
            "shape": [setup.batch, setup.inputs, setup.outputs],
            "done": False,
            "rows": [],
        }
        if self.path.exists():
            before = json.loads(self.path.read_text())
            if before["device"] == self.document["device"]:
                self.document["rows"] = [r for r in before["rows"] if "failure" not in r]
        self.write()

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.document["rows"]

    def add(self, name: str, **values: Any) -> None:
        """A row; one of the same name, of an earlier try, is replaced."""
        self.document["rows"] = [r for r in self.rows if r["name"] != name]
        self.rows.append({"name": name, **values})
        print(f"{name}: {values}", flush=True)
        self.write()

    def attempt(self, name: str, body: Callable[[], object]) -> None:
        """Run one part of a stage; what it raises becomes a row."""
        try:
            body()
        except Exception as error:
            traceback.print_exc()
            self.add(name, failure=f"{type(error).__name__}: {str(error)[:500]}")

    def finish(self) -> None:
        self.document["done"] = not any("failure" in row for row in self.rows)
        self.write()

    def write(self) -> None:
        with atomic_write(self.path) as temporary:
            temporary.write_text(json.dumps(self.document, indent=1) + "\n")


# ------------------------------------------------------------------------------------ measuring


def median_ms(
    setup: Setup, *bodies: Callable[[], object], repeats: int = 30, warm_up: int = 5
) -> list[tuple[float, float, float]]:
    """20th, 50th and 80th percentile in milliseconds of each body; they run in turns.

    Device events on a GPU, wall time in a dry run.
    """
    if setup.dry:
        repeats, warm_up = 3, 1
    for _ in range(warm_up):
        for body in bodies:
            body()
    times: list[list[float]] = [[] for _ in bodies]
    for _ in range(repeats):
        for body, list_ in zip(bodies, times, strict=True):
            if setup.dry:
                started = time.perf_counter()
                body()
                list_.append(1e3 * (time.perf_counter() - started))
            else:
                begin = torch.cuda.Event(enable_timing=True)
                end = torch.cuda.Event(enable_timing=True)
                begin.record()
                body()
                end.record()
                end.synchronize()
                list_.append(begin.elapsed_time(end))
    results = []
    for list_ in times:
        tenths = statistics.quantiles(list_, n=10)
        results.append((tenths[1], statistics.median(list_), tenths[7]))
    return results


# Independent chains of one instruction, so that nothing but its rate limits the kernel.
_CEILINGS = """
#define CHAIN(name, statement)                                              \\
  extern "C" __global__ void ceiling_##name(float *out, int n) {            \\
    float a[16], c = threadIdx.x * 1e-3f;                                   \\
    for (int j = 0; j < 16; ++j) a[j] = j + c;                              \\
    for (int i = 0; i < n; ++i) {                                           \\
      _Pragma("unroll") for (int r = 0; r < 8; ++r)                         \\
      _Pragma("unroll") for (int j = 0; j < 16; ++j) { statement; }         \\
    }                                                                       \\
    float s = 0; for (int j = 0; j < 16; ++j) s += a[j];                    \\
    if (s == 123.0f) out[0] = s;                                            \\
  }
CHAIN(minmax, asm volatile("max.f32 %0, %0, %1;" : "+f"(a[j]) : "f"(c)))
CHAIN(add, asm volatile("add.rn.f32 %0, %0, %1;" : "+f"(a[j]) : "f"(c)))
CHAIN(fma, asm volatile("fma.rn.f32 %0, %0, %1, %1;" : "+f"(a[j]) : "f"(c)))
CHAIN(exp2, asm volatile("ex2.approx.ftz.f32 %0, %0;" : "+f"(a[j])))
"""


class Program:
    """CUDA C++ compiled by NVRTC for an architecture such as 90; loaded when first launched."""

    def __init__(self, source: str, arch: int) -> None:
        path = cuda.nvrtc_path()
        if path is None:
            raise RuntimeError("NVRTC is not installed (nvidia-cuda-nvrtc)")
        cuda.open_builtins(path)
        nvrtc = ctypes.CDLL(path)
        handle, size = ctypes.c_void_p(), ctypes.c_size_t()
        nvrtc.nvrtcCreateProgram(ctypes.byref(handle), source.encode(), b"c.cu", 0, None, None)
        option = f"--gpu-architecture=sm_{arch}".encode()
        if nvrtc.nvrtcCompileProgram(handle, 1, (ctypes.c_char_p * 1)(option)) != 0:
            nvrtc.nvrtcGetProgramLogSize(handle, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value)
            nvrtc.nvrtcGetProgramLog(handle, log)
            raise RuntimeError(f"the ceilings do not compile: {log.value.decode()}")
        nvrtc.nvrtcGetCUBINSize(handle, ctypes.byref(size))
        self.code = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetCUBIN(handle, self.code)
        nvrtc.nvrtcDestroyProgram(ctypes.byref(handle))
        self.functions: dict[str, ctypes.c_void_p] = {}

    def _check(self, result: int) -> None:
        if result != 0:
            raise RuntimeError(f"CUDA error {result}")

    def load(self, *names: str) -> None:
        """Needs the context that torch has made current."""
        self.driver = ctypes.CDLL("libcuda.so.1")
        self.module = ctypes.c_void_p()
        self._check(self.driver.cuModuleLoadData(ctypes.byref(self.module), self.code))
        for name in names:
            function = self.functions[name] = ctypes.c_void_p()
            self._check(
                self.driver.cuModuleGetFunction(
                    ctypes.byref(function), self.module, f"ceiling_{name}".encode()
                )
            )

    def launch(self, name: str, blocks: int, threads: int, out: Tensor, count: int) -> None:
        pointer, n = ctypes.c_void_p(out.data_ptr()), ctypes.c_int(count)
        arguments = (ctypes.c_void_p * 2)(ctypes.addressof(pointer), ctypes.addressof(n))
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        sizes = (blocks, 1, 1, threads, 1, 1, 0)
        self._check(
            self.driver.cuLaunchKernel(self.functions[name], *sizes, stream, arguments, None)
        )


def measure_ceilings(setup: Setup) -> dict[str, float]:
    """Operations per second of each kind of instruction, and bytes per second of memory."""
    names = ("minmax", "add", "fma", "exp2")
    if setup.dry:  # compiled, but there is nothing to measure
        if cuda.nvrtc_path() is not None:
            Program(_CEILINGS, 90)
        return dict.fromkeys((*names, "issue", "bytes"), math.nan)
    major, minor = torch.cuda.get_device_capability()
    program = Program(_CEILINGS, major * 10 + minor)
    processors = torch.cuda.get_device_properties(0).multi_processor_count
    out = torch.zeros(1, device="cuda")
    program.load(*names)
    blocks, threads, loops = processors * 8, 256, 512
    rates = {}
    for name in names:
        ((_, ms, _),) = median_ms(
            setup, partial(program.launch, name, blocks, threads, out, loops), warm_up=20
        )
        rates[name] = blocks * threads * loops * 128 / (ms * 1e-3)
    # Issue slots: one instruction per lane, whatever it does.
    rates["issue"] = max(rates["add"], rates["fma"])
    source = torch.zeros(1 << 28, device="cuda")
    target = torch.empty_like(source)
    ((_, ms, _),) = median_ms(setup, lambda: target.copy_(source))
    rates["bytes"] = 2 * source.numel() * 4 / (ms * 1e-3)
    return rates


# --------------------------------------------------------------------------------------- floors


def _multiplications(power: int) -> int:
    """Of |a|^power, power = 2^k or 3 * 2^k."""
    return {1: 0, 3: 2}.get(power) or (0 if power == 1 else _multiplications(power // 2) + 1)


def _multiplications_one_less(power: int) -> int:
    """Of a^(power - 1)."""
    return {1: 0, 2: 0, 3: 1}[power] if power <= 3 else _multiplications_one_less(power // 2) + 2


def instructions(kernel: str, p: float) -> dict[str, float]:
    """What a (sample, input, output) triple needs at least, by pipe; each takes an issue slot."""
    if kernel == "sort" or math.isinf(p):
        return {"add": 1, "minmax": 1}
    if p in (8.0, 12.0, 64.0):
        whole = int(p)
        if kernel == "backward":
            return {"add": 1, "fma": 5 + _multiplications_one_less(whole // 2)}
        if whole <= 8:
            return {"add": 1, "fma": 1 + _multiplications(whole // 2)}
        return {"add": 2, "minmax": 1, "fma": 2 + _multiplications(whole // 2)}
    if kernel == "backward":
        return {"add": 1, "fma": 4, "exp2": 2}
    return {"add": 3, "minmax": 1, "fma": 2, "exp2": 2}


def instruction_floor(kernel: str, p: float, triples: float, rates: dict[str, float]) -> float:
    """Milliseconds: the slowest pipe, or all the issue slots."""
    use = instructions(kernel, p)
    times = [count / rates[pipe] for pipe, count in use.items()]
    return 1e3 * triples * max([*times, sum(use.values()) / rates["issue"]])


# --------------------------------------------------------------------------------------- stages

POWERS = (INF, 8.0, 12.0, 17.3, 64.0, 100.0, 300.0)


def build(setup: Setup, record: Record) -> None:
    """Compile the programs that the other stages need."""
    if not setup.dry:
        torch.zeros(1, device="cuda")  # makes the context
    for p, count in ((INF, 10), *((p, 0) for p in POWERS[1:])):
        started = time.monotonic()
        if not setup.dry:
            cuda.call("prepare", p, count)
        record.add(f"compile p = {p:g}, K = {count}", seconds=time.monotonic() - started)


def check(setup: Setup, record: Record) -> None:
    """Compare with float64 on odd shapes."""
    shapes = ((67, 301, 130), (64, 512, 257), (300, 784, 64))
    for shape in ((5, 12, 3),) if setup.dry else shapes:
        for p in POWERS:
            record.attempt(f"l_{p:g} {list(shape)}", partial(check_norm, setup, record, shape, p))
        record.attempt(f"sort 10 {list(shape)}", partial(check_sort, setup, record, shape))


def _compare(record: Record, name: str, found: Tensor, exact: Tensor, allowed: Tensor) -> None:
    excess = ((found.double() - exact).abs() / (allowed + 1e-30)).max().item()
    ok = excess <= 1  # false for NaN too
    record.add(
        name,
        of_allowed_error=excess,
        **({} if ok else {"failure": "the error is larger than stated"}),
    )


def _operands(setup: Setup, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, w, dy and |x - w|."""
    batch, inputs, outputs = shape
    generator = torch.Generator().manual_seed(0)
    x, w, dy = (
        torch.randn(size, generator=generator).to(setup.device)
        for size in ((batch, inputs), (outputs, inputs), (batch, outputs))
    )
    return x, w, dy, (x[:, None] - w).abs()


def check_norm(setup: Setup, record: Record, shape: tuple[int, int, int], p: float) -> None:
    """Forward and backward of one norm."""
    x, w, dy, a = _operands(setup, shape)
    y = ops.lp_distance(x, w, p, None, None, 1)
    if math.isinf(p):
        exact = a.amax(2).double()
        _compare(record, f"l_inf forward {list(shape)}", y, exact, torch.zeros_like(exact))
        return
    exact = torch.linalg.vector_norm(a.double(), ord=p, dim=2)
    _compare(record, f"l_{p:g} forward {list(shape)}", y, exact, 4e-6 * exact)
    dx, dw = ops.lp_distance_backward(x, w, p, None, None, 1, y, dy, True, True)
    g = (a.double() / y.double()[:, :, None]) ** (p - 1)
    g *= (x[:, None] - w).sign() * dy.double()[:, :, None]
    slack = (p * 4e-7 + 1e-5) * g.abs() + 2.0**-40 * dy.double().abs()[:, :, None]
    _compare(record, f"l_{p:g} dx {list(shape)}", dx, g.sum(1), slack.sum(1) + 1e-9)
    _compare(record, f"l_{p:g} dw {list(shape)}", dw, -g.sum(0), slack.sum(0) + 1e-9)


def check_sort(setup: Setup, record: Record, shape: tuple[int, int, int]) -> None:
    """The bits of the sorted sum."""
    x, w, _, a = _operands(setup, shape)
    coef = torch.full((10,), 0.1, device=setup.device)
    top = a.topk(10, dim=2).values
    y = top[..., 9] * coef[9]
    for k in reversed(range(9)):
        y = y + top[..., k] * coef[k]
    found = ops.sort_neuron(x, w, coef)
    _compare(record, f"sort 10 forward {list(shape)}", found, y.double(), torch.zeros_like(y))


def speed(setup: Setup, record: Record) -> None:
    """Ceilings, then every kernel with its two floors, then the ceilings again."""
    rates = measure_ceilings(setup)
    record.add("ceilings, before", **rates)
    batch, inputs, outputs = setup.batch, setup.inputs, setup.outputs
    x = torch.randn(batch, inputs, device=setup.device)
    w = torch.randn(outputs, inputs, device=setup.device)
    dy = torch.randn(batch, outputs, device=setup.device)
    operands = batch * inputs + outputs * inputs + batch * outputs
    groups = -(-batch // 32)
    keep_in = torch.rand(groups, inputs, device=setup.device) < 0.75
    keep_out = torch.rand(groups, outputs, device=setup.device) < 0.75

    def add(
        name: str, kernel: str, p: float, passes: int, share: float, body: Callable[[], object]
    ) -> None:
        ((p20, p50, p80),) = median_ms(setup, body)
        floor = instruction_floor(kernel, p, share * batch * inputs * outputs, rates)
        moved = 1e3 * passes * operands * 4 / rates["bytes"]
        target = {"l_inf forward": 0.6}.get(name)
        record.add(
            name,
            p20=p20,
            p50=p50,
            p80=p80,
            instruction_floor=floor,
            byte_floor=moved,
            of_floor=max(floor, moved) / p50,
            **({} if target is None else {"of_floor_wanted": target}),
        )

    def norm(p: float, masked: bool) -> None:
        masks = (keep_in, keep_out, 32) if masked else (None, None, 1)
        share, text = (0.75**2, ", 3/4 kept") if masked else (1.0, "")
        y = ops.lp_distance(x, w, p, *masks)
        forward = partial(ops.lp_distance, x, w, p, *masks)
        add(f"l_{p:g} forward{text}", "forward", p, 1, share, forward)
        backward = partial(ops.lp_distance_backward, x, w, p, *masks, y, dy, True, True)
        add(f"l_{p:g} backward{text}", "backward", p, 2, share, backward)

    for p in POWERS:
        record.attempt(f"l_{p:g}", partial(norm, p, False))
    for p in (INF, 8.0, 17.3, 300.0):
        record.attempt(f"l_{p:g}, 3/4 kept", partial(norm, p, True))
    coef = torch.full((10,), 0.1, device=setup.device)
    lower, upper = x - 0.1, x + 0.1
    for name, passes, body in (
        ("sort 10 forward", 1, partial(ops.sort_neuron, x, w, coef)),
        (
            "sort 10 backward",
            2,
            partial(ops.sort_neuron_backward, x, w, coef, dy, True, True, False),
        ),
        ("sort 10 bounds", 1, partial(ops.sort_neuron_bounds, lower, upper, w, coef)),
        ("l_inf bounds", 1, partial(ops.lp_distance_bounds, lower, upper, w, INF)),
    ):
        record.attempt(name, partial(add, name, "sort", INF, passes, 1.0, body))
    record.add("ceilings, after", **measure_ceilings(setup))


def tests(setup: Setup, record: Record) -> None:
    """pytest -m gpu."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "tests/cuda", "-q", "-W", "default"]
    command += ["--collect-only"] if setup.dry else []
    _run_tests(record, "pytest -m gpu", command, setup.seconds - 20)


def sanitizer(setup: Setup, record: Record) -> None:
    """compute-sanitizer on small shapes, one tool after the other."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        record.add("compute-sanitizer", skipped="not installed")
        return
    # torch's allocator hands out parts of large blocks, past whose ends nothing would be noticed.
    os.environ["PYTORCH_NO_CUDA_MEMORY_CACHING"] = "1"
    chosen = "(test_lp or test_sort or test_bounds) and (shape1 or shape2)"
    for check_ in ("memcheck", "racecheck", "synccheck", "initcheck"):
        command = [tool, "--tool", check_, "--error-exitcode", "9", sys.executable, "-m", "pytest"]
        command += ["-m", "gpu", "tests/cuda/test_gpu.py", "-q", "-W", "default", "-k", chosen]
        _run_tests(record, check_, [*command, "-o", "timeout=0"], setup.seconds / 4 - 5)


def _run_tests(record: Record, name: str, command: list[str], limit: float) -> None:
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        code = run_limited(command, limit, output)
        output.seek(0)
        text = output.read()
    print(text, flush=True)
    values = {"seconds": time.monotonic() - started, "last": text.strip().splitlines()[-3:]}
    failure = f"not finished in {limit:.0f} s" if code is None else f"exit status {code}"
    record.add(name, **values, **({} if code == 0 else {"failure": failure}))


def run_limited(command: list[str], limit: float, output: IO[Any]) -> int | None:
    """Exit status; None after `limit` seconds, which end the command and all that it started."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        return process.wait(limit)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            return None
        raise


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


def step(setup: Setup, record: Record) -> None:
    """A training step of cifar10-2/255 (forward, loss, backward, AdamW) over its p schedule."""
    from sortnet.models import ModelConfig, build_model, set_p
    from sortnet.training.losses import clipped_hinge
    from sortnet.training.presets import get_preset
    from sortnet.training.schedule import exponential_ramp

    chosen = get_preset("cifar10-2/255")
    recipe = chosen.recipe
    settings = {**chosen.model, "input_shape": (3, 32, 32), "classes": 10}
    settings["width"] = setup.outputs
    model = build_model(ModelConfig(**settings)).to(setup.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, fused=True)
    images = torch.rand(setup.batch, 3, 32, 32, device=setup.device)
    labels = torch.randint(0, 10, (setup.batch,), device=setup.device)

    def ours() -> None:
        optimizer.zero_grad(set_to_none=True)
        logits = model(images)
        loss = clipped_hinge(logits, labels, recipe.eps_train_float).mean()
        (loss + torch.nn.functional.cross_entropy(logits, labels)).backward()
        optimizer.step()

    bodies: list[Callable[[], object]] = [ours]
    other_model: Any = None

    def prepare_other() -> None:
        nonlocal other_model
        _, networks = load_reference(setup)
        other_model = networks.SortMLPModel(
            depth=settings["depth"],
            width=setup.outputs,
            input_dim=(3, 32, 32),
            dropout=settings["keep"],
            scalar=True,
        ).to(setup.device)
        other_model.train()
        other_optimizer = torch.optim.AdamW(other_model.parameters(), lr=recipe.lr)

        def other() -> None:
            other_optimizer.zero_grad(set_to_none=True)
            logits, worst = other_model(images, targets=labels, eps=recipe.eps_train_float)
            loss = worst.amax(1).clamp(0, 1).mean()
            (loss + torch.nn.functional.cross_entropy(logits, labels)).backward()
            other_optimizer.step()

        bodies.append(other)

    if setup.reference is not None:
        record.attempt("the reference's step", prepare_other)
    start, end = recipe.p_ramp
    medians: list[list[float]] = []
    for part in range(8):
        epoch = recipe.epochs * (part + 0.5) / 8
        p = (
            INF
            if epoch > end
            else exponential_ramp(epoch, start, end, recipe.p_first, recipe.p_last)
        )
        set_p(model, p)
        for module in other_model.modules() if other_model is not None else ():
            if hasattr(module, "p") and hasattr(module, "weight"):
                module.p = p
        times = median_ms(setup, *bodies, repeats=10, warm_up=3)
        medians.append([t[1] for t in times])
        _add_step(record, f"training step, p = {p:.3g}", medians[-1])
    mean = [statistics.mean(column) for column in zip(*medians, strict=True)]
    _add_step(record, "training step, mean of the schedule", mean)


def _add_step(record: Record, name: str, times: list[float]) -> None:
    more: dict[str, float] = {}
    if len(times) > 1:
        more = {"reference_p50": times[1], "times_faster": times[1] / times[0]}
        if "mean" in name:
            more["times_faster_wanted"] = 2.5
    record.add(name, p50=times[0], **more)


def curve(setup: Setup, record: Record) -> None:
    """Train Fashion-MNIST at width 5120; certified accuracy against seconds of training.

    Stops with a checkpoint when the time is nearly up; goes on from it with --resume.
    """
    from sortnet.data.sets import load
    from sortnet.evaluation.accuracy import evaluate, reestimate_means
    from sortnet.models import set_p
    from sortnet.training import Trainer, model_config, runs, settings_at
    from sortnet.training.presets import get_preset

    began = time.monotonic()
    chosen = get_preset("fashion-mnist-0.1-reference").scaled(setup.epochs)
    if setup.dry:
        small = ["data=digits", "model.width=32", "recipe.crop=0", "recipe.batch_size=64"]
        chosen = chosen.override(small).scaled(0.5)
    data = load(chosen.data, None if setup.dry else setup.data)
    config = runs.RunConfig(preset=chosen, model=model_config(chosen, data))
    folder = setup.output / "curve"
    trainer = Trainer(config, data, folder, device=setup.device, checkpoint_seconds=30)
    if (folder / runs.CONFIG).exists():
        if runs.read_config(folder) != config:
            raise RuntimeError(f"{folder} holds another run; change --output")
        trainer.resume()
    else:
        runs.write_config(folder, config)
    total = trainer.batches.steps
    marks = sorted({math.ceil(total * part / 20) for part in range(1, 21)})
    for mark in marks:
        if trainer.step >= mark and any(row.get("step") == mark for row in record.rows):
            continue
        started = time.monotonic()
        if trainer.step < mark:
            trainer.run(until=mark)
        net = copy.deepcopy(trainer.net)
        set_p(net, INF)
        reestimate_means(net, data.train)
        eps = chosen.recipe.eps_test
        result = evaluate(net.eval(), data.test, eps, attack_steps=0)
        epoch = trainer.step / trainer.batches.steps_per_epoch
        record.add(
            f"after {trainer.step} of {total} steps",
            step=trainer.step,
            epoch=epoch,
            p=settings_at(chosen.recipe, epoch).p,
            minutes=trainer.seconds / 60,
            clean=result.clean,
            **{f"certified at {name}": value for name, value in result.certified.items()},
            samples=result.samples,
        )
        taken = time.monotonic() - started
        if mark != marks[-1] and time.monotonic() - began + 1.2 * taken > setup.seconds:
            record.add("curve", failure=f"stopped at step {trainer.step} of {total}: --resume")
            return


# What each stage is given at most, in seconds; in order of what must not be missed.
STAGES: dict[str, tuple[Callable[[Setup, Record], None], float]] = {
    "build": (build, 180),
    "check": (check, 120),
    "speed": (speed, 240),
    "tests": (tests, 420),
    "reference": (reference, 600),
    "step": (step, 300),
    "sanitizer": (sanitizer, 480),
    "curve": (curve, 1800),
}


# ------------------------------------------------------------------------------------------ output


def summarize(output: Path) -> None:
    """One table and one CSV of all rows that there are."""
    rows: list[dict[str, Any]] = []
    for stage in STAGES:
        path = output / f"{stage}.json"
        if path.exists():
            document = json.loads(path.read_text())
            head = {k: document[k] for k in ("device", "date", "torch", "stage")}
            rows += [{**head, **row} for row in document["rows"]]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with atomic_write(output / "rows.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    shown = ("p50", "instruction_floor", "byte_floor", "of_floor", "reference_p50", "times_faster")
    table = Table("stage", "row", *shown, "wanted", "failure")
    for row in rows:
        wanted = row.get("of_floor_wanted", row.get("times_faster_wanted", ""))
        cells = [f"{row[key]:.3f}" if key in row else "" for key in shown]
        failure = row.get("failure", row.get("skipped", ""))
        table.add_row(row["stage"], escape(row["name"]), *cells, str(wanted), escape(failure))
    console.print(table)
    console.print(f"written to {output}")


@click.group()
def main() -> None:
    """Check, time and count the GPU kernels."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    path = click.Path(path_type=Path)
    for option in (
        click.option("--batch", type=click.IntRange(1), default=512, show_default=True),
        click.option("--inputs", type=click.IntRange(10), default=5120, show_default=True),
        click.option("--outputs", type=click.IntRange(1), default=5120, show_default=True),
        click.option("--reference", type=path, help="A clone of zbh2047/SortNet."),
        click.option("--data", type=path, help="Folder of Fashion-MNIST."),
        click.option("--epochs", default=300.0, show_default=True, help="Of the curve."),
        click.option("--output", type=path, default=Path("benchmarks/results/gpu")),
        click.option("--dry-run", "dry", is_flag=True, help="Every stage in small, on the CPU."),
    ):
        command = option(command)
    return command


@main.command()
@_options
@click.option("--minutes", default=28.0, show_default=True, help="Stop before that.")
@click.option("--resume", is_flag=True, help="Leave out the stages that are done.")
@click.option("--only", multiple=True, type=click.Choice(list(STAGES)), help="These stages.")
def run(minutes: float, resume: bool, only: tuple[str, ...], output: Path, **options: Any) -> None:
    """All stages, one process each; results in --output."""
    deadline = time.monotonic() + 60 * minutes
    if not options["dry"] and not (torch.cuda.is_available() and cuda.available()):
        raise click.ClickException("no GPU: --dry-run and `static` are what can be had without one")
    output = output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    if not resume and any(output.glob("*.json")):
        raise click.ClickException(f"{output} holds results; add --resume or change --output")
    arguments = ["--output", str(output)]
    for name in ("batch", "inputs", "outputs", "epochs", "reference", "data"):
        value = options[name]
        if value is not None:
            arguments += [f"--{name}", str(value.resolve() if isinstance(value, Path) else value)]
    arguments += ["--dry-run"] if options["dry"] else []
    for stage, (_, limit) in STAGES.items():
        path = output / f"{stage}.json"
        if only and stage not in only:
            continue
        if resume and path.exists() and json.loads(path.read_text())["done"]:
            continue
        left = min(limit, deadline - time.monotonic() - 5)
        if left < 10:
            console.print(f"{stage}: no time left; go on with --resume")
            break
        console.rule(f"{stage}, at most {left:.0f} s")
        command = [sys.executable, __file__, "stage", stage, "--seconds", str(left), *arguments]
        with (output / f"{stage}.log").open("ab") as log:
            code = run_limited(command, left, log)
        console.print("no time left; its rows are kept" if code is None else f"exit status {code}")
    summarize(output)


@main.command("stage", hidden=True)
@_options
@click.argument("name", type=click.Choice(list(STAGES)))
@click.option("--seconds", type=float, required=True)
def run_stage(name: str, **options: Any) -> None:
    """One stage, in this process."""
    if options["dry"]:
        options.update(batch=64, inputs=24, outputs=16)
    setup = Setup(**options)
    torch.manual_seed(0)
    record = Record(name, setup)
    record.attempt(name, lambda: STAGES[name][0](setup, record))
    record.finish()
    sys.exit(0 if record.document["done"] else 1)


# ------------------------------------------------------------------------------ without a GPU

# (program, parameter, kernel, triples per pass of the inner loop)
_LOOPS = [
    (0, 0, "sn_max_forward", 128),
    (0, 0, "sn_max_select", 128),
    (1, 8, "sn_power_forward", 128),
    (1, 8, "sn_power_backward", 64),
    (1, 12, "sn_power_forward", 128),
    (1, 12, "sn_power_backward", 64),
    (1, 0, "sn_power_forward", 128),
    (1, 0, "sn_power_backward", 64),
    (2, 10, "sn_sort_forward", 32),
]


def _tool(name: str) -> str:
    found = shutil.which(name)
    triton = find_spec("triton")
    if found is None and triton is not None and triton.origin is not None:
        bundled = Path(triton.origin).parent / "backends" / "nvidia" / "bin" / name
        found = str(bundled) if bundled.exists() else None
    if found is None:
        raise click.ClickException(f"{name} is needed: install the CUDA toolkit or triton")
    return found


def inner_loop(disassembly: str, kernel: str) -> Counter[str]:
    """Instructions of the largest loop body without a barrier in it."""
    lines: list[tuple[int, str]] = []
    inside = False
    for line in disassembly.splitlines():
        if "Function : " in line:
            inside = line.split("Function : ")[1].strip() == kernel
        match = re.match(r"\s+/\*([0-9a-f]+)\*/\s+(.*?);", line)
        if inside and match:
            lines.append((int(match[1], 16), match[2]))
    best: Counter[str] = Counter()
    for address, text in lines:
        jump = re.search(r"\bBRA\b\S*\s+(?:.*,\s*)?0x([0-9a-f]+)", text)
        if not jump or int(jump[1], 16) > address:
            continue
        body = [t for a, t in lines if int(jump[1], 16) <= a <= address]
        names = Counter(re.sub(r"^@!?U?PT?\d*\s+", "", t).split()[0].split(".")[0] for t in body)
        if (
            "BAR" not in names
            and "DFMA" not in names
            and "STG" not in names
            and names.total() > best.total()
        ):
            best = names
    return best


@main.command()
@click.option("--arch", default=90, show_default=True)
def static(arch: int) -> None:
    """Count the instructions of the compiled inner loops. Expected figures, not measured ones."""
    nvcc, cuobjdump = _tool("nvcc"), _tool("cuobjdump")
    table = Table("kernel", "triples", "instructions", "per triple", "which")
    dumps: dict[tuple[int, int], str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for program, parameter, kernel, triples in _LOOPS:
            if (program, parameter) not in dumps:
                cubin = Path(folder, f"{program}-{parameter}.cubin")
                options = [f"-arch=sm_{arch}", "-std=c++17", "-cubin", "--fmad=false"]
                options += [f"-DSN_PROGRAM={program}"]
                options += [f"-DSN_P={parameter}"] if program == 1 else []
                options += [f"-DSN_TOPK={parameter}"] if program == 2 else []
                source = str(DEVICE / "program.cu")
                subprocess.run([nvcc, *options, source, "-o", str(cubin)], check=True)
                dump = subprocess.run(
                    [cuobjdump, "-sass", str(cubin)], capture_output=True, text=True
                )
                dumps[program, parameter] = dump.stdout
            names = inner_loop(dumps[program, parameter], kernel)
            which = ", ".join(f"{n} {c}" for n, c in names.most_common(7))
            label = f"{kernel} ({parameter})" if program else kernel
            per = f"{names.total() / triples:.2f}"
            table.add_row(label, str(triples), str(names.total()), per, which)
    console.print(table)


if __name__ == "__main__":
    main()
