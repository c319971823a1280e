"""Medians of things that run in turns, and the ceilings of the chip."""

from __future__ import annotations

import ctypes
import math
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sortnet.backend import cuda

from .setup import Setup


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
