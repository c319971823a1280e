"""The host side of the GPU library over a fake driver: what goes wrong is said clearly."""

from pathlib import Path

import numpy as np
import pytest
from cuda_emulated import Gpu

from sortnet.native import Layer, NativeError

ONES = np.ones((2, 4), dtype=np.float32)


def forward(gpu: Gpu, stride: int = 4, p: float = np.inf) -> None:
    y = np.zeros((2, 2), dtype=np.float32)
    layer = (Layer, (ONES, 4, None, 2, 4, 2))
    gpu.call("lp_forward", layer, None, p, ONES, stride, y, 2, None)


def process(programs: Path, cache: Path, **environment: str):  # type: ignore[no-untyped-def]
    return Gpu(programs, cache, **environment)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"SN_FAKE_CAPABILITY": "75"}, "compute capability 7.5; 8.0 or later is needed"),
        ({"SN_FAKE_FAIL": "cuPointerGetAttribute"}, "expected addresses on a GPU"),
        ({"SN_FAKE_FAIL": "nvrtcCompileProgram"}, "cannot compile the kernels .*fake error"),
        ({"SN_FAKE_FAIL": "cuModuleLoadData"}, "cuModuleLoadData: out of memory"),
        (
            {"SN_FAKE_FAIL": "cuLaunchKernel", "SN_FAKE_ERROR": "700"},
            r"sn_max_forward: .*\(CUDA error 700\)",
        ),
        (
            {"SN_NVRTC": "/nowhere/libnvrtc.so"},
            "NVRTC, which compiles the kernels.*cannot be opened",
        ),
    ],
)
def test_errors_are_clear(programs, tmp_path, environment, message) -> None:  # type: ignore[no-untyped-def]
    gpu = process(programs, tmp_path, **environment)
    with pytest.raises(NativeError, match=f"(?s){message}"):
        forward(gpu)
    gpu.close()


def test_no_gpu_is_silent_and_a_broken_one_is_not(programs, tmp_path) -> None:  # type: ignore[no-untyped-def]
    for environment in (
        {"SN_FAKE_NO_DEVICE": "1"},
        {"SN_FAKE_FAIL": "cuInit", "SN_FAKE_ERROR": "100"},
    ):
        gpu = process(programs, tmp_path, **environment)
        assert not gpu.available()
        with pytest.raises(NativeError, match="sees no device"):
            forward(gpu)
        gpu.close()
    broken = process(programs, tmp_path, SN_FAKE_FAIL="cuInit", SN_FAKE_ERROR="803")
    with pytest.raises(NativeError, match=r"does not start: .*\(803\)"):
        broken.available()
    broken.close()


def test_no_memory_leaves_none_held(programs, tmp_path) -> None:  # type: ignore[no-untyped-def]
    gpu = process(programs, tmp_path, SN_FAKE_FAIL="cuMemAllocFromPoolAsync")
    forward(gpu)  # needs none
    y = np.zeros((2, 2), dtype=np.float32)
    layer = (Layer, (ONES, 4, None, 2, 4, 2))
    with pytest.raises(NativeError, match="scratch memory on the device: out of memory"):
        gpu.call("lp_bounds", layer, np.inf, ONES, ONES, 4, y, y.copy(), 2, None)
    gpu.close()


def test_bad_arguments(gpu: Gpu) -> None:
    for p in (0.5, np.nan):
        with pytest.raises(NativeError, match="p must be in"):
            forward(gpu, p=p)
    with pytest.raises(NativeError, match="x_stride >= I"):
        forward(gpu, stride=3)


def test_compiled_kernels_are_kept(programs, tmp_path) -> None:  # type: ignore[no-untyped-def]
    log, cache = tmp_path / "log", tmp_path / "deep" / "cache"
    for _ in range(2):
        gpu = process(programs, cache, SN_FAKE_LOG=str(log))
        forward(gpu)
        gpu.close()
    assert len(log.read_text().splitlines()) == 1
    assert "--gpu-architecture=sm_90" in log.read_text()
    (kept,) = cache.iterdir()
    # Damaged code is compiled and written again; another device has code of its own.
    kept.write_bytes(b"damaged")
    for capability, compiled in (("90", 2), ("120", 3)):
        gpu = process(programs, cache, SN_FAKE_LOG=str(log), SN_FAKE_CAPABILITY=capability)
        forward(gpu)
        gpu.close()
        assert len(log.read_text().splitlines()) == compiled
    # NVRTC knows nothing newer than 90: intermediate code, which the driver finishes.
    assert "--gpu-architecture=compute_90" in log.read_text().splitlines()[-1]
    assert sorted(file.suffix for file in cache.iterdir()) == [".cubin", ".ptx"]


def test_a_folder_that_cannot_be_written_is_no_error(programs, tmp_path) -> None:  # type: ignore[no-untyped-def]
    blocked = tmp_path / "file"
    blocked.touch()
    gpu = process(programs, blocked / "cache")
    forward(gpu)
    gpu.close()
