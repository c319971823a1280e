"""What certifying a lake costs beside a bare session: reading, counting, writing, and the engines.

    python benchmarks/lakes.py model.onnx [--eps 0.1] [--images 8192] [--engines local spark ray]

Random images; needs the extra `tables` and those of the engines, and Linux. The worker's overhead
is the median of interleaved rounds of processor time, one thread each. A job's processor time is
that of all its processes (read from /proc as they run), so that a busy machine does little harm;
its wall time is told beside it. A job of one image is what starting costs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from sortnet.export import BatchCertifier, CertifiedSession
from sortnet.export.lake.plan import make_plan
from sortnet.export.lake.worker import Worker

TICK = os.sysconf("SC_CLK_TCK")
OF_WORKER = (b"spawn_main", b"pyspark.daemon", b"ray::MapWorker")


def write_lake(root: Path, shape: tuple[int, ...], images: int, rows: int) -> Path:
    """Random bytes, as hard to compress as images get, in two files."""
    root.mkdir()
    x = np.random.default_rng(0).integers(0, 256, (images, int(np.prod(shape))), np.uint8)
    for number, part in enumerate(np.array_split(x, min(2, images))):
        column = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), x.shape[1])
        table = pa.table({"key": np.arange(len(part)), "x": column, "y": np.arange(len(part)) % 10})
        parquet.write_table(table, root / f"{number}.parquet", row_group_size=rows)
    return root


def cpu(action) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def worker_overhead(model: Path, eps: str, images: int, rounds: int) -> dict[str, float]:
    """Processor time of a worker on one row group over that of a session on its images."""
    with tempfile.TemporaryDirectory() as folder:
        session = CertifiedSession(model, threads=1)
        shape = session.network.input_shape
        lake = write_lake(Path(folder, "lake"), shape, 2 * images, images)
        worker = Worker(BatchCertifier(model, eps))
        task = make_plan(lake, Path(folder, "out"), {}).tasks[0]
        raw = np.random.default_rng(0).integers(0, 256, (images, *shape), np.uint8)
        x = raw.astype(np.float32) / np.float32(255)

        def bare() -> None:
            session.certify(x, eps, session.predict(x))

        def lake_job() -> None:
            assert not worker(0, task).failed
            Path(task.out).unlink()

        bare(), lake_job()
        times = [(cpu(bare), cpu(lake_job), cpu(bare)) for _ in range(rounds)]
        return {
            "bare_ms_per_image": 1e3 * statistics.median(a for a, _, _ in times) / images,
            "worker_over_bare": statistics.median(2 * b / (a + c) for a, b, c in times),
            "bare_over_bare": statistics.median(c / a for a, _, c in times),
        }


def tree(pid: int) -> dict[int, tuple[float, float, bytes]]:
    """pid -> (own processor seconds, peak MB, command line) of a process and all below it."""
    parents, facts = {}, {}
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        try:
            stat = (path / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            status = (path / "status").read_text(encoding="utf-8")
            line = (path / "cmdline").read_bytes()
        except OSError:
            continue
        peak = next((s.split()[1] for s in status.splitlines() if s.startswith("VmHWM")), "0")
        parents[int(path.name)] = int(stat[1])
        facts[int(path.name)] = (int(stat[11]) + int(stat[12])) / TICK, int(peak) / 1e3, line
    found = {pid}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return {p: facts[p] for p in found if p in facts}


def job(model: Path, eps: str, lake: Path, out: Path, engine: str) -> dict[str, float]:
    """Wall and processor seconds of a job on two processes, and the largest worker's peak."""
    command = [sys.executable, "-m", "sortnet", "certify", str(model), "--data", f"parquet:{lake}"]
    command += ["--eps", eps, "--out", str(out), "--engine", engine, "--workers", "2"]
    seen: dict[int, tuple[float, float, bytes]] = {}
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while process.poll() is None:
        for pid, (used, peak, line) in tree(process.pid).items():  # one that has ended has no line
            _, most, known = seen.get(pid, (0.0, 0.0, b""))
            seen[pid] = used, max(peak, most), line or known
        time.sleep(0.1)
    wall = time.monotonic() - start
    assert process.stdout is not None
    said = process.stdout.read().decode()
    if process.returncode:
        raise RuntimeError(said)
    workers = [peak for _, peak, line in seen.values() if any(name in line for name in OF_WORKER)]
    total = sum(used for used, _, _ in seen.values())
    return {"wall_s": wall, "cpu_s": total, "worker_peak_mb": max(workers, default=0.0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--eps", default="0.1")
    parser.add_argument("--images", type=int, default=8192)
    parser.add_argument("--rows", type=int, default=1024, help="in a row group")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3, help="of each job")
    parser.add_argument("--engines", nargs="*", default=["local", "spark", "ray"])
    options = parser.parse_args()
    row = worker_overhead(options.model, options.eps, options.rows, options.rounds)
    print(json.dumps({"load": os.getloadavg()[0], "rows": options.rows} | row), flush=True)
    shape = CertifiedSession(options.model).network.input_shape
    with tempfile.TemporaryDirectory() as folder:
        lakes = {n: write_lake(Path(folder, str(n)), shape, n, options.rows)
                 for n in (1, options.images)}  # fmt: skip
        for repeat in range(options.repeats):
            for engine in options.engines:
                for images, lake in lakes.items():
                    out = Path(folder, f"{engine}-{images}-{repeat}")
                    found = job(options.model, options.eps, lake, out, engine)
                    print(json.dumps({"engine": engine, "images": images,
                                      "load": os.getloadavg()[0]} | found), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
