"""The GPU library on a machine without a GPU: its device code runs in an emulator.

`kernels/cuda/tests/driver.cpp` stands in for the driver and for NVRTC, and
`kernels/cuda/tests/emulator.h` runs the kernels. They live in a process of their own: a fake driver
must not be found by torch.
"""

import hashlib
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2] / "kernels" / "cuda"
# (program, parameter) as in device/program.cu
# the powers that are computed by multiplication
POWERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
# enough to reach every line of the device code but the powers 1 and 3
PROGRAMS = [(0, 0), (1, 0), (1, 8), (1, 12), (2, 3)]
Array = np.ndarray


def _compile(compiler: str, source: Path, target: Path, *flags: str) -> subprocess.Popen[bytes]:
    common = [
        "-std=c++17",
        "-fPIC",
        "-shared",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unknown-pragmas",
    ]
    return subprocess.Popen([compiler, *common, *flags, str(source), "-o", str(target)])


def build(cache: Path, programs: Sequence[tuple[int, int]] = tuple(PROGRAMS)) -> Path:
    """Compile the fake driver and the emulated programs, or find them compiled."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise RuntimeError("a C++ compiler is needed: set CXX or install g++")
    digest = hashlib.sha256(repr(programs).encode())
    for file in sorted([*ROOT.glob("device/*"), *ROOT.glob("tests/*")]):
        digest.update(file.read_bytes())
    folder = cache / digest.hexdigest()[:16]
    if (folder / "complete").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    tests = ROOT / "tests"
    soname = "-Wl,-soname,libcuda.so.1"
    jobs = [
        _compile(compiler, tests / "driver.cpp", folder / "libcuda.so.1", "-O1", soname, "-ldl")
    ]
    hidden = ["-O1", "-ffp-contract=off", "-frounding-math", "-fvisibility=hidden", "-DSN_EMULATE"]
    hidden += ["-fvisibility-inlines-hidden", f"-I{tests}"]
    for program, parameter in programs:
        defines = [f"-DSN_PROGRAM={program}", f"-DSN_P={parameter}", f"-DSN_TOPK={parameter}"]
        target = folder / f"program-{program}-{parameter}.so"
        if program == 0:
            defines = defines[:1]
        jobs.append(_compile(compiler, tests / "program.cpp", target, *hidden, *defines))
        if len(jobs) >= 2 and jobs[-2].wait() != 0:  # two at a time
            raise RuntimeError("the emulated kernels do not compile")
    if any(job.wait() != 0 for job in jobs):
        raise RuntimeError("the emulated kernels do not compile")
    (folder / "complete").touch()
    return folder


_worker: Any = None


def _start(folder: Path, cache: Path, environment: Mapping[str, str]) -> None:
    """In the worker: put the fakes in place, then load the library under test."""
    import ctypes

    os.environ["SN_FAKE_PROGRAMS"] = str(folder)
    os.environ["SORTNET_CACHE_DIR"] = str(cache)
    os.environ.update(environment)
    from sortnet.backend import cuda, native

    fake = None
    if "SN_NO_DRIVER" not in environment:
        # The library asks for "libcuda.so.1"; the loader then finds this one loaded already.
        fake = ctypes.CDLL(str(folder / "libcuda.so.1"))
    nvrtc = environment.get("SN_NVRTC", str(folder / "libcuda.so.1"))
    lib = cuda.load(native.library_path("sortnet_cuda"), nvrtc)
    cuda.library = lambda: lib  # type: ignore[assignment]
    global _worker
    _worker = fake


def _call(name: str, *arguments: Any) -> tuple[list[Array | None], int]:
    """Arrays become addresses; the arrays as they are afterwards and the scratch still held."""
    from sortnet.backend import cuda

    def address(value: Any) -> Any:
        return value.ctypes.data if isinstance(value, np.ndarray) else value

    def structure(value: Any) -> Any:
        if isinstance(value, tuple):
            kind, fields = value
            return kind(*(address(f) for f in fields))
        return address(value)

    cuda.call(name, *(structure(a) for a in arguments))
    arrays = [a if isinstance(a, np.ndarray) else None for a in arguments]
    return arrays, _worker.sn_fake_held()


def _available() -> bool:
    from sortnet.backend import cuda

    return cuda.available()


class Gpu:
    """A process in which the GPU library runs over the fakes."""

    def __init__(self, folder: Path, cache: Path, **environment: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(1, context, _start, (folder, cache, environment))

    def call(self, name: str, *arguments: Any) -> list[Array | None]:
        """`sn_cuda_<name>`; every array of the result is the argument after the call."""
        arrays, held = self.pool.submit(_call, name, *arguments).result()
        assert held == 0, "scratch memory was not given back"
        return arrays

    def available(self) -> bool:
        return self.pool.submit(_available).result()

    def close(self) -> None:
        self.pool.shutdown()
