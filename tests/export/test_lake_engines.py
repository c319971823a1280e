"""Each engine on this machine: 10^5 rows, killed workers, interruption, damage, a full disk.

What is the same whoever carries the tasks is in `test_lake_jobs.py`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from lakes import EPS, check_all, damage, pixels, results, table, write_lake, write_model
from pyarrow import parquet

from sortnet.export import CertifiedSession

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

CLUSTERS = [
    pytest.param(
        "spark",
        marks=pytest.mark.skipif(
            find_spec("pyspark") is None or shutil.which("java") is None,
            reason="extra spark or Java is missing",
        ),
    ),
    pytest.param(
        "ray",
        marks=pytest.mark.skipif(find_spec("ray") is None, reason="extra ray is missing"),
    ),
]
ENGINES = ["local", *CLUSTERS]
OF_WORKER = {"local": b"spawn_main", "spark": b"pyspark.daemon", "ray": b"RayWorker"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "m.onnx")


def command(model: Path, lake: Path, out: Path, engine: str) -> list[str]:
    eps = [part for one in EPS for part in ("--eps", one)]
    start = [sys.executable, "-m", "sortnet", "certify", str(model), "--data", f"parquet:{lake}"]
    return [*start, "--out", str(out), *eps, "--engine", engine, "--workers", "2"]


# Ray's own workers are nice; beside other work they would wait for minutes.
PLACE = {**os.environ, "RAY_worker_niceness": "0"}


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=600, env=PLACE)


def start(arguments: list[str], log: Path) -> subprocess.Popen[str]:
    with open(log, "w") as file:
        return subprocess.Popen(arguments, stdout=file, stderr=file, text=True, env=PLACE)


def written(out: Path) -> list[Path]:
    """Results; hidden files are of processes that were killed as they wrote."""
    return sorted(path for path in out.rglob("day*/*.parquet") if path.name[0] != ".")


def wait_for(out: Path, count: int, job: subprocess.Popen[str]) -> None:
    while len(written(out)) < count and job.poll() is None:
        time.sleep(0.02)


def processes() -> dict[int, tuple[int, bytes]]:
    """pid -> (its parent, its command line)."""
    found = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                status = (path / "stat").read_text().rpartition(")")[2].split()
                found[int(path.name)] = int(status[1]), (path / "cmdline").read_bytes()
            except OSError:
                continue
    return found


def workers_of(pid: int, engine: str) -> list[int]:
    """The engine's Python workers below a process; of Spark's daemon its children."""
    there = processes()

    def below(child: int) -> bool:
        while child in there:
            if child == pid:
                return True
            child = there[child][0]
        return False

    chosen = [p for p, (_, line) in there.items() if OF_WORKER[engine] in line and below(p)]
    return chosen if engine != "spark" else [p for p in chosen if there[p][0] in chosen]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_hundred_thousand_rows_are_those_of_one_session(
    engine: str, model: Path, tmp_path: Path
) -> None:
    x = pixels(100_000)
    lake, out = write_lake(tmp_path / "lake", x, 10, 2500), tmp_path / "out"
    done = run(command(model, lake, out, engine))
    assert done.returncode == 0, done.stderr
    check_all(out, model, x)
    # Half of the results are missing; the same command makes those only.
    made = written(out)
    for path in made[::2]:
        path.unlink()
    before = {path: path.stat().st_mtime_ns for path in made[1::2]}
    done = run(command(model, lake, out, engine))
    assert done.returncode == 0, done.stderr
    check_all(out, model, x)
    assert before == {path: path.stat().st_mtime_ns for path in made[1::2]}


@needs_proc
@pytest.mark.parametrize("engine", CLUSTERS)  # the local engine's is in test_lake_jobs.py
def test_a_killed_worker_loses_and_repeats_nothing(
    engine: str, model: Path, tmp_path: Path
) -> None:
    x = pixels(8000)
    lake, out = write_lake(tmp_path / "lake", x, 4, 20), tmp_path / "out"
    job = start(command(model, lake, out, engine), tmp_path / "log")
    wait_for(out, 20, job)
    victims = workers_of(job.pid, engine)
    assert victims, (tmp_path / "log").read_text()
    os.kill(victims[0], signal.SIGKILL)
    at_the_kill = len(written(out))
    assert job.wait(timeout=600) == 0, (tmp_path / "log").read_text()
    assert 20 <= at_the_kill < 400
    check_all(out, model, x)


POISONED = """
import os, signal
from sortnet.export import BatchCertifier
from sortnet.export.lake.job import certify_lake

class Poisoned(BatchCertifier):
    def __call__(self, batch, first=0, *, look=True):
        if os.environ.get("POISON") and first == 1960:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch, first, look=look)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_row_group_that_always_kills_its_process_ends_the_job(
    engine: str, model: Path, tmp_path: Path
) -> None:
    """As one that takes all memory does: no job without end, and the next one goes on."""
    x = pixels(4000)
    lake, out = write_lake(tmp_path / "lake", x, 2, 20), tmp_path / "out"
    (tmp_path / "poisoned.py").write_text(POISONED)
    script = (
        "import sys, poisoned; from pathlib import Path\n"
        "m, lake, out, engine, *eps = sys.argv[1:]\n"
        "if __name__ == '__main__':\n"
        "    certifier = poisoned.Poisoned(m, eps)\n"
        "    poisoned.certify_lake(certifier, Path(lake), Path(out), engine=engine, workers=2)\n"
    )
    (tmp_path / "job.py").write_text(script)
    arguments = [sys.executable, "job.py", str(model), str(lake), str(out), engine, *EPS]
    place = PLACE | {"POISON": "1", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=600, env=place, cwd=tmp_path
    )
    said = {"local": "a worker process died", "spark": "Spark gave up: ", "ray": "Ray gave up: "}
    assert done.returncode == 1 and f"JobError: {said[engine]}" in done.stderr, done.stderr
    assert len(written(out)) < 200
    done = run(command(model, lake, out, engine))
    assert done.returncode == 0, done.stderr
    check_all(out, model, x)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupted_job_goes_on_where_it_stopped(
    engine: str, number: signal.Signals, model: Path, tmp_path: Path
) -> None:
    """Also where the engine's own processes are still at work when the next job begins."""
    x = pixels(8000)
    lake, out = write_lake(tmp_path / "lake", x, 4, 20), tmp_path / "out"
    job = start(command(model, lake, out, engine), tmp_path / "log")
    wait_for(out, 20, job)
    mine = workers_of(job.pid, engine) if sys.platform == "linux" else []
    job.send_signal(number)
    assert job.wait(timeout=200) != 0, (tmp_path / "log").read_text()
    before = {path: path.stat().st_mtime_ns for path in written(out)}
    assert 20 <= len(before) < 400
    if engine == "local" and sys.platform == "linux":  # none is left behind
        until = time.monotonic() + 60
        while (left := {*mine} & {*processes()}) and time.monotonic() < until:
            time.sleep(0.2)
        assert len(mine) == 2 and not left
    done = run(command(model, lake, out, engine))
    assert done.returncode == 0, done.stderr
    check_all(out, model, x)
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.parametrize("engine", ENGINES)
def test_damage_and_a_nan_are_named(engine: str, model: Path, tmp_path: Path) -> None:
    x = pixels(3000)
    lake, out = write_lake(tmp_path / "lake", x, 2, 500, compression="gzip"), tmp_path / "out"
    damage(lake / "day=1" / "001.parquet", 1)
    floats = x[:100].astype(np.float32) / np.float32(255)
    floats[13, 5] = np.nan
    parquet.write_table(table(floats, 3000), lake / "floats.parquet", row_group_size=50)
    done = run(command(model, lake, out, engine))
    assert done.returncode == 1
    assert "left out day=1/001.parquet, row group 1: " in done.stderr
    assert "floats.parquet: row 13: sample 13, feature 5: NaN" in done.stderr
    odd = out / "floats.parquet.00000.parquet"
    found = parquet.read_table(odd).to_pylist()
    assert [row["row"] for row in found if row["error"]] == [13]
    expected = CertifiedSession(model, threads=1).predict(
        np.delete(floats, 13, 0)[:49].reshape(-1, 1, 3, 4)
    )
    assert [r["radius"] for r in found if r["row"] != 13] == expected.radius.tolist()
    assert (found[13]["label"], found[13]["radius"], found[13]["key"]) == (-1, 0, "k3013")
    assert len(results(out)) == 2600
    for path in out.glob("floats*"):
        path.unlink()
    check_all(out, model, x, frozenset(range(2000, 2500)))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs Linux and root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_full_disk_stops_the_job_with_the_reason(
    engine: str, model: Path, tmp_path: Path, small_disk: Path
) -> None:
    x = pixels(12_000)
    lake, out = write_lake(tmp_path / "lake", x, 4, 500), small_disk / "out"
    done = run(command(model, lake, out, engine))
    assert done.returncode == 1
    last = " ".join(done.stderr.split()).rpartition("sortnet: error: ")[2]
    assert last.startswith(f"cannot write {out}") and "No space left" in last, done.stderr
    whole = written(out)
    assert 0 < len(whole) < 24
    for path in whole:
        assert parquet.read_table(path).num_rows == 500
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    done = run(command(model, lake, out, engine))
    assert done.returncode == 0, done.stderr
    check_all(out, model, x)
