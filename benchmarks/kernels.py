"""Speed of the CPU kernels beside what PyTorch and ONNX Runtime offer.

    python benchmarks/kernels.py                      the table, appended to results/kernels.csv
    python benchmarks/kernels.py --kernel linf --kernel sort --batch 64
    SORTNET_ISA=avx2 python benchmarks/kernels.py     with older kernels forced

Both sides of a row run in turns in this process, on the same tensors and number of threads, so that
a noisy machine slows both; the ratio is that of the medians.
"""

from __future__ import annotations

import csv
import ctypes
import datetime
import json
import math
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

import sortnet
from sortnet.backend import native

INF = float("inf")
RESULTS = Path(__file__).parent / "results" / "kernels.csv"


@dataclass(frozen=True)
class Row:
    """One comparison. Times: medians in seconds; throughput: 1e9 (sample, in, out) a second."""

    kernel: str
    beside: str
    target: str
    ratio: float
    seconds: float
    beside_seconds: float
    p20: float
    p80: float
    throughput: float
    ceiling_fraction: float | None


@dataclass(frozen=True)
class Pair:
    """A kernel, what it stands beside, and how much larger the first one's work is."""

    name: str
    ours: Callable[[], object]
    beside_name: str
    beside: Callable[[], object]
    target: str
    scale: float = 1.0  # work of ours over the work of beside, where that is done on a part
    ceiling: int | None = None  # sn_ceiling of the same instructions


class Bench:
    """Tensors of one size, and the kernels on them through the C ABI."""

    def __init__(self, batch: int, inputs: int, outputs: int, threads: int) -> None:
        self.size = (batch, inputs, outputs)
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(batch, inputs, generator=generator)
        self.w = torch.randn(outputs, inputs, generator=generator)
        self.dy = torch.randn(batch, outputs, generator=generator)
        self.lower, self.upper = self.x - 0.05, self.x + 0.05
        self.y, self.y2 = torch.empty(batch, outputs), torch.empty(batch, outputs)
        self.dx, self.dw = torch.empty_like(self.x), torch.empty_like(self.w)
        rows, keep = -(-batch // 32), 0.7
        self.in_mask = (torch.rand(rows, inputs, generator=generator) < keep).to(torch.uint8)
        self.out_mask = (torch.rand(rows, outputs, generator=generator) < keep).to(torch.uint8)
        self.masks = native.Masks(self.in_mask.data_ptr(), self.out_mask.data_ptr(), 32)
        self.count = min(10, inputs)
        self.coef = torch.empty(self.count)
        native.call("sn_geometric_coefficients", 0.3, self.count, self.coef.data_ptr())
        self.coefficients = native.Coefficients(self.coef.data_ptr(), 0, self.count)
        self.executor = native.executor(threads)
        self.layer = native.Layer(self.w.data_ptr(), inputs, None, batch, inputs, outputs)

    def forward(self, p: float, masks: native.Masks | None = None) -> None:
        _, inputs, outputs = self.size
        native.call(
            "sn_lp_forward", self.layer, masks, p, self.x.data_ptr(), inputs,
            self.y.data_ptr(), outputs, self.executor,
        )  # fmt: skip

    def step(self, p: float, masks: native.Masks | None = None) -> None:
        """Forward and backward."""
        _, inputs, outputs = self.size
        self.forward(p, masks)
        native.call(
            "sn_lp_backward", self.layer, masks, p, self.x.data_ptr(), inputs,
            self.y.data_ptr(), outputs, self.dy.data_ptr(), outputs, self.dx.data_ptr(), inputs,
            self.dw.data_ptr(), inputs, self.executor,
        )  # fmt: skip

    def sort(self) -> None:
        _, inputs, outputs = self.size
        native.call(
            "sn_sort_forward", self.layer, self.coefficients, self.x.data_ptr(), inputs,
            self.y.data_ptr(), outputs, self.executor,
        )  # fmt: skip

    def sort_step(self) -> None:
        """Forward and backward."""
        _, inputs, outputs = self.size
        self.sort()
        native.call(
            "sn_sort_backward", self.layer, self.coefficients, self.x.data_ptr(), inputs,
            self.dy.data_ptr(), outputs, self.dx.data_ptr(), inputs, self.dw.data_ptr(), inputs,
            None, self.executor,
        )  # fmt: skip

    def bounds(self, kind: float | native.Coefficients) -> None:
        _, inputs, outputs = self.size
        name = "sn_sort_bounds" if isinstance(kind, native.Coefficients) else "sn_lp_bounds"
        native.call(
            name, self.layer, kind, self.lower.data_ptr(), self.upper.data_ptr(), inputs,
            self.y.data_ptr(), self.y2.data_ptr(), outputs, self.executor,
        )  # fmt: skip

    def cdist(self, p: float, rows: int) -> Callable[[], object]:
        x = self.x[:rows].contiguous()
        return lambda: torch.cdist(x, self.w, p=p)

    def cdist_step(self, p: float, rows: int) -> Callable[[], object]:
        x, w = self.x[:rows].clone().requires_grad_(), self.w.clone().requires_grad_()
        dy = self.dy[:rows]

        def step() -> object:
            return torch.autograd.grad(torch.cdist(x, w, p=p), (x, w), dy)

        return step

    def topk(self, rows: int) -> Callable[[], object]:
        def blocks() -> None:
            for b in range(0, rows, 16):
                terms = (self.x[b : b + 16, None] - self.w[None]).abs()
                torch.topk(terms, self.count).values @ self.coef

        return blocks

    def topk_step(self, rows: int) -> Callable[[], object]:
        x, w = self.x[:rows].clone().requires_grad_(), self.w.clone().requires_grad_()

        def blocks() -> None:
            for b in range(0, rows, 16):
                terms = (x[b : b + 16, None] - w[None]).abs()
                y = torch.topk(terms, self.count).values @ self.coef
                torch.autograd.grad(y, (x, w), self.dy[b : b + 16])

        return blocks

    def pairs(self, rows: int) -> dict[str, list[Pair]]:
        """Comparisons by group. The slow sides get `rows` samples of the batch only."""
        batch = self.size[0]
        rows = min(rows, batch)
        part = batch / rows
        cdist = f"torch.cdist ({rows} samples)" if rows < batch else "torch.cdist"
        groups: dict[str, list[Pair]] = {
            "linf": [
                Pair("linf forward", lambda: self.forward(INF), cdist, self.cdist(INF, rows),
                     "45", part, 0),
                Pair("linf forward", lambda: self.forward(INF), "x @ w.T",
                     lambda: self.x @ self.w.T, "1.5", 1.0, 0),
            ],
            "sort": [
                Pair(f"sorted top {self.count} forward", self.sort, "torch.topk, 16 rows at a time",
                     self.topk(rows), "80", part),
                Pair(f"sorted top {self.count} forward + backward", self.sort_step,
                     "torch.topk autograd, 16 rows at a time", self.topk_step(rows), "", part),
            ],
            "bounds": [
                Pair("linf bounds", lambda: self.bounds(INF), "own forward",
                     lambda: self.forward(INF), "0.43"),
                Pair("lp bounds, p = 17.3", lambda: self.bounds(17.3), "own forward",
                     lambda: self.forward(17.3), "0.43"),
                Pair("sorted bounds", lambda: self.bounds(self.coefficients), "own forward",
                     self.sort, "0.43"),
            ],
            "masks": [
                Pair(f"step with masks, p = {p}", lambda p=p: self.step(p, self.masks),
                     "without masks", lambda p=p: self.step(p), "1.67")
                for p in (INF, 8.0, 17.3, 300.0)
            ],
            "lp": [], "backward": [],
        }  # fmt: skip
        for p, target in ((8.0, "150"), (17.3, "45"), (300.0, "100")):
            groups["lp"].append(
                Pair(f"lp forward, p = {p:g}", lambda p=p: self.forward(p), cdist,
                     self.cdist(p, rows), target, part, 8 if p == 8.0 else None)
            )  # fmt: skip
        for p, target in ((8.0, "150"), (17.3, "60"), (300.0, "150")):
            groups["backward"].append(
                Pair(f"lp forward + backward, p = {p:g}", lambda p=p: self.step(p), cdist,
                     self.cdist_step(p, rows), target, part)
            )  # fmt: skip
        return groups


class OnnxRuntime:
    """A SortNeuron layer of an exported file in ONNX Runtime, with our operator and without.

    Raises:
        ImportError: ONNX Runtime is not installed.
        RuntimeError: the results differ by more than roundings.
    """

    def __init__(self, size: tuple[int, int, int], threads: int) -> None:
        import numpy as np
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        from sortnet.export.functions import DOMAIN, OPSET, functions

        self.size = batch, inputs, outputs = size
        rng = np.random.default_rng(0)
        self.x = rng.random((batch, inputs), np.float32)
        w = rng.normal(size=(outputs, inputs)).astype(np.float32)
        self.count = min(10, inputs)
        graph = helper.make_graph(
            [
                helper.make_node(
                    "SortNeuron", ["X", "W"], ["Y"], domain=DOMAIN, rho=0.3, k=self.count
                )
            ],
            "layer",
            [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", inputs])],
            [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["N", outputs])],
            [numpy_helper.from_array(w, "W")],
        )
        model = helper.make_model(
            graph,
            ir_version=8,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
            functions=[functions()["SortNeuron"]],
        ).SerializeToString()

        def start(library: bool) -> Any:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            options.intra_op_num_threads = threads
            if library:
                options.register_custom_ops_library(str(native.library_path("sortnet_ort")))
            return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

        self._ours, self._function = start(True), start(False)
        ours, function = self.ours(), self.function()
        if not np.allclose(ours, function, rtol=1e-5, atol=0):
            raise RuntimeError("the operator and its function fallback differ")

    def ours(self) -> Any:
        return self._ours.run(None, {"X": self.x})[0]

    def function(self) -> Any:
        return self._function.run(None, {"X": self.x})[0]

    def pair(self) -> Pair:
        name = f"ONNX Runtime, our op, top {self.count}"
        return Pair(name, self.ours, "function fallback, warm", self.function, "25")


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ceiling(power: int, threads: int) -> float:
    """1e9 triples a second of an in-register loop of the kernel's instructions."""
    library = native.library()
    library.sn_ceiling.restype = ctypes.c_double
    library.sn_ceiling.argtypes = [ctypes.c_int32, ctypes.POINTER(native.Executor), ctypes.c_int64]
    executor = native.executor(threads)
    return max(library.sn_ceiling(power, executor, threads) for _ in range(15)) / 1e9


def measure(pair: Pair, size: tuple[int, int, int], repeat: int, threads: int) -> Row:
    pair.ours()
    pair.beside()
    ours, beside = [], []
    for _ in range(repeat):
        ours += [seconds(pair.ours) for _ in range(3)]
        beside.append(seconds(pair.beside) * pair.scale)
    middle, other = statistics.median(ours), statistics.median(beside)
    p20, *_, p80 = statistics.quantiles(ours, n=5)
    throughput = math.prod(size) / middle / 1e9
    fraction = throughput / ceiling(pair.ceiling, threads) if pair.ceiling is not None else None
    return Row(
        pair.name, pair.beside_name, pair.target, other / middle, middle, other, p20, p80,
        throughput, fraction,
    )  # fmt: skip


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    return result.stdout.strip()


def _device() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def append_csv(rows: list[Row], size: tuple[int, int, int], threads: int, path: Path) -> None:
    head = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "device": _device(), "isa": native.isa(), "version": sortnet.__version__,
        "torch": torch.__version__, "commit": _commit(), "threads": threads,
        "batch": size[0], "inputs": size[1], "outputs": size[2],
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*head, *asdict(rows[0])])
        if new:
            writer.writeheader()
        writer.writerows(head | asdict(row) for row in rows)


def show(rows: list[Row], size: tuple[int, int, int], threads: int, console: Console) -> None:
    table = Table(
        title=f"{size[0]} x {size[1]} -> {size[2]}, {threads} threads, {native.isa()}, {_device()}"
    )
    for column in ("kernel", "beside"):
        table.add_column(column)
    for column in ("ratio", "target", "p20 ms", "p50 ms", "p80 ms", "G/s", "of ceiling"):
        table.add_column(column, justify="right")
    for row in rows:
        fraction = "" if row.ceiling_fraction is None else f"{row.ceiling_fraction:.0%}"
        table.add_row(
            row.kernel, row.beside, f"{row.ratio:.2f}", row.target, f"{row.p20 * 1e3:.2f}",
            f"{row.seconds * 1e3:.2f}", f"{row.p80 * 1e3:.2f}", f"{row.throughput:.1f}", fraction,
        )  # fmt: skip
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak memory of the process: {peak:.0f} MiB")


def plot(folder: Path, threads: int) -> None:
    """Time of the l-inf, p = 17.3 and sorted forward against batch, width and threads."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    axes = {
        "batch": [(b, b, 1024, threads) for b in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)],
        "width": [(n, 256, n, threads) for n in (64, 128, 256, 512, 1024, 2048)],
        "threads": [(t, 256, 1024, t) for t in range(1, threads + 1)],
    }
    for axis, points in axes.items():
        figure, plane = plt.subplots(figsize=(6, 4))
        lines: dict[str, list[float]] = {"linf": [], "p = 17.3": [], "sorted top 10": []}
        for _, batch, width, team in points:
            bench = Bench(batch, width, width, team)
            runs = (lambda b=bench: b.forward(INF), lambda b=bench: b.forward(17.3), bench.sort)
            for line, run in zip(lines.values(), runs, strict=True):
                run()
                line.append(statistics.median(seconds(run) for _ in range(9)) * 1e3)
        for name, line in lines.items():
            plane.plot([p[0] for p in points], line, marker="o", label=name)
        plane.set(
            xlabel=axis, ylabel="milliseconds", yscale="log", title=f"forward, {native.isa()}"
        )
        plane.set_xscale("linear" if axis == "threads" else "log")
        plane.legend()
        figure.savefig(folder / f"kernels-{axis}.png", dpi=120, bbox_inches="tight")
        plt.close(figure)


@click.command(help=__doc__)
@click.option(
    "--kernel", "chosen", multiple=True,
    type=click.Choice(["linf", "lp", "backward", "sort", "bounds", "masks", "onnx"]),
    help="Rows to measure (several allowed). [default: all]",
)  # fmt: skip
@click.option("--batch", default=256, show_default=True)
@click.option("--inputs", default=1024, show_default=True)
@click.option("--outputs", default=1024, show_default=True)
@click.option("--threads", default=2, show_default=True, type=click.IntRange(min=1))
@click.option("--repeat", default=9, show_default=True, type=click.IntRange(min=2))
@click.option("--rows", default=64, show_default=True, help="Samples for the slow other sides.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--csv", "csv_file", default=RESULTS, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--plot", "plots", type=click.Path(file_okay=False, path_type=Path))
def main(
    chosen: tuple[str, ...],
    batch: int,
    inputs: int,
    outputs: int,
    threads: int,
    repeat: int,
    rows: int,
    json_file: Path | None,
    csv_file: Path,
    plots: Path | None,
) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=150)
    torch.set_num_threads(threads)
    bench = Bench(batch, inputs, outputs, threads)
    groups = bench.pairs(rows)
    pairs = [p for name, group in groups.items() if not chosen or name in chosen for p in group]
    tables = [(bench.size, pairs)] if pairs else []
    if not chosen or "onnx" in chosen:
        try:
            onnx = OnnxRuntime((batch, 784, outputs), threads)
            tables.append((onnx.size, [onnx.pair()]))
        except ImportError as error:
            console.print(f"skipped the row of ONNX Runtime: {error}")
    result = []
    for size, pairs in tables:
        rows_of_table = [
            measure(pair, size, repeat, threads)
            for pair in track(pairs, "measuring", console=console)
        ]
        show(rows_of_table, size, threads, console)
        append_csv(rows_of_table, size, threads, csv_file)
        result += rows_of_table
    if json_file is not None:
        keys = ("kernel", "beside", "ratio", "seconds", "ceiling_fraction")
        json_file.write_text(
            json.dumps([{k: asdict(r)[k] for k in keys} for r in result], indent=2),
            encoding="utf-8",
        )
    if plots is not None:
        plot(plots, threads)


if __name__ == "__main__":
    main()
