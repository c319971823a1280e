"""Processes with a time limit, and the stages made of them: tests and sanitizer."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO, Any

from .setup import ROOT, Record, Setup


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
