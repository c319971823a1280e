"""Spark on this machine: 10^5 rows, a killed worker, a full disk, damage, resumption."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from lakes import EPS, check_all, damage, pixels, write_lake, write_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ENGINES = [
    pytest.param(
        "spark",
        marks=pytest.mark.skipif(
            find_spec("pyspark") is None or shutil.which("java") is None,
            reason="extra spark or Java is missing",
        ),
    ),
    "local",
]
OF_WORKER = {"spark": b"pyspark.daemon"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "m.onnx")


def command(model: Path, lake: Path, out: Path, engine: str) -> list[str]:
    eps = [part for one in EPS for part in ("--eps", one)]
    start = [sys.executable, "-m", "sortnet", "certify", str(model), "--data", f"parquet:{lake}"]
    return [*start, "--out", str(out), *eps, "--engine", engine, "--workers", "2"]


def run(
    arguments: list[str], prepare: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, capture_output=True, text=True, timeout=400, preexec_fn=prepare
    )


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
    return [p for p in chosen if there[p][0] in chosen]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_hundred_thousand_rows_are_those_of_one_session(
    engine: str, model: Path, tmp_path: Path
) -> None:
    x = pixels(100_000)
    lake, out = write_lake(tmp_path / "lake", x, 10, 2500), tmp_path / "out"
    done = run(command(model, lake, out, engine))
    assert done.returncode == 0, done.stderr
    check_all(out, model, x)
    # Interrupted: half of the results are missing; the same command makes those only.
    made = sorted(out.rglob("day*/*.parquet"))
    for path in made[::2]:
        path.unlink()
    before = {path: path.stat().st_mtime_ns for path in made[1::2]}
    done = run(command(model, lake, out, engine))
    assert done.returncode == 0, done.stderr
    check_all(out, model, x)
    assert before == {path: path.stat().st_mtime_ns for path in made[1::2]}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("engine", ENGINES[:1])
def test_a_killed_worker_loses_and_repeats_nothing(
    engine: str, model: Path, tmp_path: Path
) -> None:
    x = pixels(20_000)
    lake, out = write_lake(tmp_path / "lake", x, 4, 20), tmp_path / "out"
    with open(tmp_path / "errors", "w") as errors:
        job = subprocess.Popen(command(model, lake, out, engine), stdout=errors, stderr=errors)
        while len(list(out.rglob("day*/*.parquet"))) < 20 and job.poll() is None:
            time.sleep(0.02)
        victims = workers_of(job.pid, engine)
        assert victims
        os.kill(victims[0], signal.SIGKILL)
        at_the_kill = len(list(out.rglob("day*/*.parquet")))
        code = job.wait(timeout=400)
    assert code == 0, (tmp_path / "errors").read_text()
    assert 20 <= at_the_kill < 1000
    check_all(out, model, x)


@pytest.mark.parametrize("engine", ENGINES)
def test_damage_and_a_full_disk(engine: str, model: Path, tmp_path: Path) -> None:
    x = pixels(6000)
    lake, out = write_lake(tmp_path / "lake", x, 2, 1000, compression="gzip"), tmp_path / "out"
    damage(lake / "day=1" / "001.parquet", 1)
    if engine == "local":  # the engines need files of their own
        done = run(
            command(model, lake, out, engine),
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)),
        )
        assert done.returncode == 1 and "sortnet: error: cannot write" in done.stderr
        assert not list(out.rglob("*day*/*"))
    else:
        # A folder that cannot be made stands for a disk that takes nothing more.
        out.mkdir()
        blocked = tmp_path / "blocked"
        assert run(command(model, lake, blocked, engine)).returncode == 1
        assert len(list(blocked.rglob("day*/*.parquet"))) == 5
        shutil.rmtree(blocked / "day=0")
        (blocked / "day=0").write_text("no folder")
        done = run(command(model, lake, blocked, engine))
        assert done.returncode == 1 and "cannot write" in done.stderr.splitlines()[-1], done.stderr
        assert len(list(blocked.rglob("*.parquet"))) == 2
    done = run(command(model, lake, out, engine))
    assert done.returncode == 1
    assert "left out day=1/001.parquet, row group 1" in done.stderr
    check_all(out, model, x, frozenset(range(4000, 5000)))
