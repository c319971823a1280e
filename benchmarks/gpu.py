"""Check and time the GPU kernels against the chip's own limits, in one run on one GPU.

    python benchmarks/gpu.py run --output benchmarks/results
    python benchmarks/gpu.py run --reference DIR   # also times the public extension
    python benchmarks/gpu.py static                # no GPU: counts compiled instructions

`run` first compares every kernel with a slow reference in float64 and stops if one is wrong. It
then measures the chip's ceilings (min/max, add, multiply-add and exponential instructions, memory),
times every kernel with device events, and writes one row per kernel with two floors: the time that
its instructions take at the measured ceilings, and the time that its bytes take.
"""

from __future__ import annotations

import csv
import ctypes
import datetime
import json
import math
import re
import shutil
import statistics
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from sortnet import cuda, ops

DEVICE = Path(__file__).parents[1] / "kernels" / "cuda" / "device"
console = Console()

# --------------------------------------------------------------------------------------- ceilings

# Independent chains of one instruction, so that nothing but its rate limits the kernel.
_CEILINGS = """
#define CHAIN(name, statement)                                              \\
  extern "C" __global__ void name(float *out, int n) {                      \\
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
    """CUDA C++ compiled by NVRTC for the current device."""

    def __init__(self, source: str) -> None:
        path = cuda.nvrtc_path()
        if path is None:
            raise click.ClickException("NVRTC is not installed (nvidia-cuda-nvrtc)")
        nvrtc, self.driver = ctypes.CDLL(path), ctypes.CDLL("libcuda.so.1")
        handle, size = ctypes.c_void_p(), ctypes.c_size_t()
        nvrtc.nvrtcCreateProgram(ctypes.byref(handle), source.encode(), b"c.cu", 0, None, None)
        major, minor = torch.cuda.get_device_capability()
        option = f"--gpu-architecture=sm_{major}{minor}".encode()
        if nvrtc.nvrtcCompileProgram(handle, 1, (ctypes.c_char_p * 1)(option)) != 0:
            raise click.ClickException("the ceilings do not compile")
        nvrtc.nvrtcGetCUBINSize(handle, ctypes.byref(size))
        code = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetCUBIN(handle, code)
        self.module = ctypes.c_void_p()
        self._check(self.driver.cuModuleLoadData(ctypes.byref(self.module), code))

    def _check(self, result: int) -> None:
        if result != 0:
            raise click.ClickException(f"CUDA error {result}")

    def launch(self, name: str, blocks: int, threads: int, out: Tensor, count: int) -> None:
        function = ctypes.c_void_p()
        self._check(
            self.driver.cuModuleGetFunction(ctypes.byref(function), self.module, name.encode())
        )
        pointer, n = ctypes.c_void_p(out.data_ptr()), ctypes.c_int(count)
        arguments = (ctypes.c_void_p * 2)(ctypes.addressof(pointer), ctypes.addressof(n))
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        sizes = (blocks, 1, 1, threads, 1, 1, 0)
        self._check(self.driver.cuLaunchKernel(function, *sizes, stream, arguments, None))


def median_ms(
    body: Callable[[], object], repeats: int = 30, warm_up: int = 5
) -> tuple[float, float, float]:
    """20th, 50th and 80th percentile of the device time of `body`, in milliseconds."""
    for _ in range(warm_up):
        body()
    times = []
    for _ in range(repeats):
        begin = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        begin.record()
        body()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    tenths = statistics.quantiles(times, n=10)
    return tenths[1], statistics.median(times), tenths[7]


def measure_ceilings() -> dict[str, float]:
    """Operations per second of each kind of instruction, and bytes per second of memory."""
    program = Program(_CEILINGS)
    processors = torch.cuda.get_device_properties(0).multi_processor_count
    out = torch.empty(1, device="cuda")
    rates = {}
    blocks, threads, loops = processors * 8, 256, 512
    for name in ("minmax", "add", "fma", "exp2"):

        def body(name: str = name) -> None:
            program.launch(name, blocks, threads, out, loops)

        rates[name] = blocks * threads * loops * 128 / (median_ms(body)[1] * 1e-3)
    # Issue slots: one instruction per lane, whatever it does.
    rates["issue"] = max(rates["add"], rates["fma"])
    source = torch.empty(1 << 28, device="cuda")
    target = torch.empty_like(source)
    copy = median_ms(lambda: target.copy_(source))[1] * 1e-3
    rates["bytes"] = 2 * source.numel() * 4 / copy
    return rates


# ---------------------------------------------------------------------------------------- kernels


@dataclass
class Row:
    """One line of the table. Times in milliseconds, device events."""

    kernel: str
    p20: float
    p50: float
    p80: float
    instruction_floor: float = math.nan
    byte_floor: float = math.nan
    reference: float = math.nan
    speedup: float = math.nan
    note: str = ""


# Instructions that a (sample, input, output) triple cannot do without, by pipe; all of them take
# issue slots.
_FLOORS: dict[str, dict[str, float]] = {
    "linf forward": {"add": 1, "minmax": 1},
    "linf backward": {"add": 1, "minmax": 1},
    "p=8 forward": {"add": 1, "fma": 3},
    "p=8 backward": {"add": 1, "fma": 7},
    "general forward": {"add": 2, "fma": 2, "exp2": 2},
    "general backward": {"add": 1, "fma": 4, "exp2": 2},
    "sort": {"add": 1, "minmax": 1},
}


def instruction_floor(kind: str, triples: float, rates: dict[str, float]) -> float:
    """Milliseconds: the slowest pipe, or all the issue slots."""
    use = _FLOORS[kind]
    times = [count / rates[pipe] for pipe, count in use.items()]
    return 1e3 * triples * max([*times, sum(use.values()) / rates["issue"]])


def check_kernels() -> None:
    """Compare with float64 on odd shapes; raises if anything is wrong."""
    generator = torch.Generator(device="cuda").manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, device="cuda", generator=generator)

    for batch, inputs, outputs in ((67, 301, 130), (64, 512, 257), (300, 784, 64)):
        x, w, dy = normal(batch, inputs), normal(outputs, inputs), normal(batch, outputs)
        a = (x[:, None] - w).abs()
        top = ops.lp_distance(x, w, math.inf, None, None, 1)
        assert torch.equal(top, a.amax(2)), "l_inf forward"
        for p in (8.0, 17.3, 300.0):
            y = ops.lp_distance(x, w, p, None, None, 1)
            exact = torch.linalg.vector_norm(a.double(), ord=p, dim=2)
            assert ((y - exact).abs() <= 4e-6 * exact).all(), f"l_{p} forward"
            dx, dw = ops.lp_distance_backward(x, w, p, None, None, 1, y, dy, True, True)
            g = (a.double() / y.double()[:, :, None]) ** (p - 1)
            g *= (x[:, None] - w).sign() * dy.double()[:, :, None]
            for found, sum_, slack in (
                (dx, g.sum(1), g.abs().sum(1)),
                (dw, -g.sum(0), g.abs().sum(0)),
            ):
                assert ((found - sum_).abs() <= (p * 4e-7 + 1e-5) * slack + 1e-9).all(), (
                    f"l_{p} backward"
                )
        coef = torch.full((10,), 0.1, device="cuda")
        sorted_ = a.topk(10, dim=2).values
        y = sorted_[..., 9] * coef[9]
        for k in reversed(range(9)):
            y = y + sorted_[..., k] * coef[k]
        assert torch.equal(ops.sort_neuron(x, w, coef), y), "sort forward"
    console.print("kernels agree with float64 on odd shapes")


def time_kernels(batch: int, inputs: int, outputs: int, rates: dict[str, float]) -> list[Row]:
    x, w = torch.randn(batch, inputs, device="cuda"), torch.randn(outputs, inputs, device="cuda")
    dy = torch.randn(batch, outputs, device="cuda")
    triples = float(batch) * inputs * outputs
    forward_bytes, backward_bytes = (
        (batch * inputs + outputs * inputs + batch * outputs) * 4,
        (2 * batch * inputs + 2 * outputs * inputs + 2 * batch * outputs) * 4,
    )
    rows = []

    def add(kernel: str, kind: str, moved: int, body: Callable[[], object], note: str = "") -> None:
        times = median_ms(body)
        floor = instruction_floor(kind, triples, rates)
        rows.append(Row(kernel, *times, floor, 1e3 * moved / rates["bytes"], note=note))

    for p in (math.inf, 8.0, 17.3, 100.0, 300.0):
        kind = "linf" if math.isinf(p) else "p=8" if p == 8 else "general"
        y = ops.lp_distance(x, w, p, None, None, 1)
        note = "terms below rounding are skipped: may beat the floor" if kind == "general" else ""
        add(
            f"l_{p:g} forward",
            f"{kind} forward",
            forward_bytes,
            partial(ops.lp_distance, x, w, p, None, None, 1),
            note,
        )
        add(
            f"l_{p:g} backward",
            f"{kind} backward",
            backward_bytes,
            partial(ops.lp_distance_backward, x, w, p, None, None, 1, y, dy, True, True),
            note,
        )
    coef = torch.full((10,), 0.1, device="cuda")
    add("sort 10 forward", "sort", forward_bytes, lambda: ops.sort_neuron(x, w, coef))
    add(
        "sort 10 backward",
        "sort",
        backward_bytes,
        lambda: ops.sort_neuron_backward(x, w, coef, dy, True, True, False),
    )
    lower, upper = x - 0.1, x + 0.1
    add(
        "sort 10 bounds",
        "sort",
        forward_bytes,
        lambda: ops.sort_neuron_bounds(lower, upper, w, coef),
    )
    return rows


def time_training_step(batch: int) -> list[Row]:
    """One step of the cifar10-2/255 preset (forward, loss, backward, AdamW) over its p schedule."""
    from sortnet.losses import clipped_hinge
    from sortnet.models import ModelConfig, build_model, set_p
    from sortnet.presets import get_preset
    from sortnet.schedule import exponential_ramp

    chosen = get_preset("cifar10-2/255")
    config = ModelConfig(**{"input_shape": (3, 32, 32), "classes": 10, **chosen.model})
    model = build_model(config).cuda().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=chosen.recipe.lr)
    images = torch.rand(batch, 3, 32, 32, device="cuda")
    labels = torch.randint(0, 10, (batch,), device="cuda")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        logits = model(images)
        loss = clipped_hinge(logits, labels, chosen.recipe.eps_train_float).mean()
        (loss + torch.nn.functional.cross_entropy(logits, labels)).backward()
        optimizer.step()

    rows, (start, end) = [], chosen.recipe.p_ramp
    for part in range(8):
        epoch = chosen.recipe.epochs * (part + 0.5) / 8
        ramp = exponential_ramp(epoch, start, end, chosen.recipe.p_first, chosen.recipe.p_last)
        p = math.inf if epoch > end else ramp
        set_p(model, p)
        rows.append(Row(f"training step, p = {p:.3g}", *median_ms(step, 10, 3)))
    mean = statistics.mean(row.p50 for row in rows)
    rows.append(Row("training step, mean of the schedule", mean, mean, mean))
    return rows


def compare_with_reference(
    folder: Path, batch: int, inputs: int, outputs: int, rows: list[Row]
) -> None:
    """Build the extension of zbh2047/SortNet (core/cuda) and time the same layers beside ours."""
    from torch.utils.cpp_extension import load

    sources = [
        str(file)
        for file in sorted((folder / "core" / "cuda").iterdir())
        if file.suffix in (".cpp", ".cu") and not file.name.startswith("test_")
    ]
    flags = ["-O3", "--use_fast_math"]
    extension = load("norm_dist_cuda", sources, extra_cuda_cflags=flags, verbose=False)
    x, w = torch.randn(batch, inputs, 1, device="cuda"), torch.randn(outputs, inputs, device="cuda")
    y, dy = (
        torch.empty(batch, outputs, 1, device="cuda"),
        torch.randn(batch, outputs, 1, device="cuda"),
    )
    dx, dw = torch.empty_like(x), torch.empty_like(w)
    position = torch.empty(batch, outputs, 1, device="cuda", dtype=torch.int)
    found = {row.kernel: row for row in rows}

    def both(name: str, forward: Callable[[], object], backward: Callable[[], object]) -> None:
        theirs = median_ms(forward)[1] + median_ms(backward)[1]
        ours = found[f"{name} forward"].p50 + found[f"{name} backward"].p50
        rows.append(
            Row(
                f"{name} forward + backward",
                ours,
                ours,
                ours,
                reference=theirs,
                speedup=theirs / ours,
            )
        )

    both(
        "l_inf",
        lambda: extension.inf_dist_forward(x, w, y, position, 1),
        lambda: extension.inf_dist_backward_input_weight(dy, position, dx, dw, 1),
    )
    for p in (8.0, 17.3, 100.0, 300.0):
        both(
            f"l_{p:g}",
            partial(extension.norm_dist_forward, x, w, y, 1, p),
            partial(extension.norm_dist_backward_input_weight, dy, x, w, y, dx, dw, 1, p),
        )
    theirs = median_ms(lambda: extension.sort_neuron_forward_nograd(x, w, y, 1, 0.75, 10))[1]
    row = found["sort 10 forward"]
    row.reference, row.speedup = theirs, theirs / row.p50


# ------------------------------------------------------------------------------------------ output


@dataclass
class Report:
    """What a run writes."""

    device: str
    date: str
    torch_version: str
    driver: str
    shape: tuple[int, int, int]
    ceilings: dict[str, float]
    rows: list[Row] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"cuda-{re.sub(r'[^A-Za-z0-9]+', '-', self.device)}-{self.date[:10]}"
        (folder / f"{stem}.json").write_text(json.dumps(asdict(self), indent=2) + "\n")
        with (folder / f"{stem}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["device", "date", *asdict(self.rows[0])])
            writer.writeheader()
            for row in self.rows:
                writer.writerow({"device": self.device, "date": self.date, **asdict(row)})
        console.print(f"written to {folder / stem}.json and .csv")

    def show(self) -> None:
        ceilings = ", ".join(f"{name} {rate:.3g}/s" for name, rate in self.ceilings.items())
        console.print(f"{self.device}, {self.date}, torch {self.torch_version}\n{ceilings}")
        table = Table(
            "kernel", "ms (p50)", "floor: instr.", "floor: bytes", "of floor", "reference", "x"
        )
        for row in self.rows:
            floor = max(row.instruction_floor, row.byte_floor)
            values = (
                row.p50,
                row.instruction_floor,
                row.byte_floor,
                floor / row.p50,
                row.reference,
            )
            cells = ["" if math.isnan(v) else f"{v:.3f}" for v in values]
            table.add_row(
                row.kernel, *cells, "" if math.isnan(row.speedup) else f"{row.speedup:.2f}"
            )
        console.print(table)


@click.group()
def main() -> None:
    """Check, time and count the GPU kernels."""


@main.command()
@click.option("--batch", default=512, show_default=True)
@click.option("--inputs", default=5120, show_default=True)
@click.option("--outputs", default=5120, show_default=True)
@click.option("--reference", type=click.Path(exists=True, path_type=Path), help="zbh2047/SortNet.")
@click.option("--step/--no-step", default=True, help="Also time a training step.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("benchmarks/results"))
def run(
    batch: int, inputs: int, outputs: int, reference: Path | None, step: bool, output: Path
) -> None:
    """Check, then time everything on the GPU."""
    if not torch.cuda.is_available() or not cuda.available():
        raise click.ClickException("no GPU: `static` is what can be had without one")
    check_kernels()
    driver = ctypes.c_int()
    ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(driver))
    report = Report(
        torch.cuda.get_device_name(),
        datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        torch.__version__,
        str(driver.value),
        (batch, inputs, outputs),
        measure_ceilings(),
    )
    report.rows = time_kernels(batch, inputs, outputs, report.ceilings)
    if reference is not None:
        compare_with_reference(reference, batch, inputs, outputs, report.rows)
    if step:
        report.rows += time_training_step(batch)
    report.show()
    report.write(output)


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
