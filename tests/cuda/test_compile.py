"""The device code compiles for every supported GPU: by NVRTC, which needs no GPU to be present."""

import ctypes
import re
from ctypes import c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path

import pytest

from sortnet.backend import cuda

DEVICE = Path(__file__).parents[2] / "kernels" / "cuda" / "device"
HEADERS = sorted(file for file in DEVICE.iterdir() if file.name != "program.cu")
# (program, parameter) as in device/program.cu: every power, small to large K.
POWERS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
PROGRAMS = [(0, 0)] + [(1, p) for p in POWERS] + [(2, k) for k in (1, 10, 16)]


class Nvrtc:
    """NVRTC through its C ABI; skips the test where it is not installed."""

    def __init__(self) -> None:
        path = cuda.nvrtc_path()
        if path is None:
            pytest.skip("NVRTC is not installed (it comes with torch's CUDA packages)")
        cuda.open_builtins(path)
        self.lib = ctypes.CDLL(path)

    def architectures(self) -> list[int]:
        count = c_int()
        self.lib.nvrtcGetNumSupportedArchs(ctypes.byref(count))
        archs = (c_int * count.value)()
        self.lib.nvrtcGetSupportedArchs(archs)
        return [arch for arch in archs if arch >= 80]

    def intermediate(self, program: int, parameter: int) -> str:
        """The program as text for the virtual machine (PTX) of architecture 80."""
        result, log = self.compile(program, parameter, "--gpu-architecture=compute_80")
        assert result == 0, log
        return self.text

    def compile(self, program: int, parameter: int, *options: str) -> tuple[int, str]:
        """Result code and log."""
        sources = (c_char_p * len(HEADERS))(*(h.read_bytes() for h in HEADERS))
        names = (c_char_p * len(HEADERS))(*(h.name.encode() for h in HEADERS))
        handle = c_void_p()
        text = (DEVICE / "program.cu").read_bytes()
        self.lib.nvrtcCreateProgram(
            ctypes.byref(handle), text, b"program.cu", len(HEADERS), sources, names
        )
        words = ["--std=c++17", "--fmad=false", f"-DSN_PROGRAM={program}"]
        words += [f"-DSN_P={parameter}"] if program == 1 else []
        words += [f"-DSN_TOPK={parameter}"] if program == 2 else []
        words += options
        array = (c_char_p * len(words))(*(word.encode() for word in words))
        result = self.lib.nvrtcCompileProgram(handle, len(words), array)
        size = c_size_t()
        self.lib.nvrtcGetProgramLogSize(handle, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        self.lib.nvrtcGetProgramLog(handle, log)
        self.text = ""
        if any("compute_" in option for option in options):
            self.lib.nvrtcGetPTXSize(handle, ctypes.byref(size))
            code = ctypes.create_string_buffer(size.value)
            self.lib.nvrtcGetPTX(handle, code)
            self.text = code.value.decode()
        self.lib.nvrtcDestroyProgram(ctypes.byref(handle))
        return result, log.value.decode()


def test_the_powers_compile_to_intermediate_code() -> None:
    result, log = Nvrtc().compile(1, 8, "--gpu-architecture=compute_80")
    assert result == 0 and "warning" not in log, log


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("program", "parameter"), PROGRAMS)
def test_every_program_compiles_for_every_gpu_without_spills(program: int, parameter: int) -> None:
    """Warnings are errors; a register that spills to memory in a tile kernel is one too."""
    nvrtc = Nvrtc()
    for arch in nvrtc.architectures():
        options = (f"--gpu-architecture=sm_{arch}", "--ptxas-options=-v")
        result, log = nvrtc.compile(program, parameter, *options)
        assert result == 0 and "warning" not in log, log
        function = ""
        for line in log.splitlines():
            if "Compiling entry function" in line:
                function = line.split("'")[1]
            # On other chips than the H100's generation these may keep a few registers on the stack:
            # those that call float64 `pow` for rare outputs, and the search for selected inputs.
            few = ("sn_power_forward", "sn_power_bounds", "sn_max_select")
            if arch != 90 and function.startswith(few):
                found = [int(n) for n in re.findall(r"(\d+) bytes spill stores", line)]
                assert all(n <= 64 for n in found), (arch, function, line)
            elif "spill stores" in line:
                assert " 0 bytes spill stores, 0 bytes spill loads" in line, (arch, function, line)
