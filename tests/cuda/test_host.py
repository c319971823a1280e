"""The host side of the GPU library over a fake driver: what goes wrong is said clearly."""

import multiprocessing
import os
import shutil
import subprocess
import sys
from ctypes import CDLL, byref, c_void_p
from pathlib import Path

import numpy as np
import pytest
from cuda_emulated import Gpu
from cuda_ort import run_node

from sortnet.backend import cuda
from sortnet.backend.native import Coefficients, Layer, NativeError, library_path

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
    stub = process(programs, tmp_path, SN_FAKE_FAIL="cuInit", SN_FAKE_ERROR="34")
    assert not stub.available()
    stub.close()
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
    whole = kept.read_bytes()
    for damaged in (b"damaged", whole[:-1], b""):
        kept.write_bytes(damaged)
        log.unlink()
        gpu = process(programs, cache, SN_FAKE_LOG=str(log))
        forward(gpu)
        gpu.close()
        assert len(log.read_text().splitlines()) == 1 and kept.read_bytes() == whole
    for capability, compiled in (("90", 1), ("120", 2)):
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


def test_a_driver_that_cannot_be_loaded_is_named(programs, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """No library, a damaged one, and one without the functions that are needed."""
    program = "from sortnet.backend import cuda; print(cuda.available())"
    old = tmp_path / "old.c"
    old.write_text("int cuGetErrorString(int e, const char **t) { *t = 0; return e; }")
    for state, expected in (
        ("absent", None),
        ("damaged", "the NVIDIA driver cannot be loaded"),
        ("old", "the NVIDIA driver is too old: it has no cuInit"),
    ):
        folder = tmp_path / state
        folder.mkdir()
        library = folder / "libcuda.so.1"
        if state == "damaged":
            library.write_text("no library")
        elif state == "old":
            compiler = shutil.which(os.environ.get("CC", "gcc"))
            assert compiler is not None, "a C compiler is needed: set CC or install gcc"
            subprocess.run([compiler, "-shared", "-fPIC", str(old), "-o", str(library)], check=True)
        elif _driver_is_installed():
            continue
        run = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "LD_LIBRARY_PATH": str(folder)},
            capture_output=True,
            text=True,
        )
        if expected is None:
            assert run.stdout.strip() == "False" and not run.stderr
        else:
            assert run.returncode != 0 and f"NativeError: {expected}" in run.stderr


def _driver_is_installed() -> bool:
    try:
        CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def test_nvrtc_finds_its_parts_without_torch() -> None:
    """It opens them by name, and outside torch nothing says where they are."""
    nvrtc = cuda.nvrtc_path()
    if nvrtc is None:
        pytest.skip("NVRTC is not installed (it comes with torch's CUDA packages)")
    (part,) = Path(nvrtc).parent.glob("libnvrtc-builtins.so.*")
    program = (
        "import ctypes, sys; from sortnet.backend import cuda; cuda.library(); "
        f"assert 'torch' not in sys.modules; ctypes.CDLL({part.name!r})"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def _set_fake(**environment: str) -> None:
    os.environ.update(environment)


def test_memory_on_another_device_than_the_current(programs, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """The work goes where the memory is, and the thread's context is afterwards what it was."""
    gpu = process(programs, tmp_path, SN_FAKE_DEVICE="1")
    for current in (None, 0, 1):
        before, after = gpu.pool.submit(_forward_with_context, current).result()
        assert before == after
    gpu.close()


def _forward_with_context(device: int | None) -> tuple[int | None, int | None]:
    """In the worker: a forward pass while the context of `device` (or none) is current."""
    from cuda_emulated import _call

    fake, context, after = CDLL("libcuda.so.1"), c_void_p(), c_void_p()
    if device is not None:
        fake.cuDevicePrimaryCtxRetain(byref(context), device)
    fake.cuCtxSetCurrent(context)
    y = np.zeros((2, 2), dtype=np.float32)
    masks = None
    _call("lp_forward", (Layer, (ONES, 4, None, 2, 4, 2)), masks, np.inf, ONES, 4, y, 2, None)
    fake.cuCtxGetCurrent(byref(after))
    return context.value, after.value


def test_memory_that_torch_holds_back_is_asked_for_once(programs, tmp_path) -> None:  # type: ignore[no-untyped-def]
    environment = {"SN_FAKE_FAIL": "cuMemAllocFromPoolAsync", "SN_FAKE_TIMES": "1"}
    for torch_is_there in (False, True):
        gpu = process(programs, tmp_path, **environment)
        outcome = gpu.pool.submit(_bounds_with_torch, torch_is_there).result()
        assert outcome == (["empty_cache"] if torch_is_there else "out of memory")
        gpu.close()


def _bounds_with_torch(torch_is_there: bool) -> list[str] | str:
    """In the worker: what was asked of a stand-in for torch.cuda, or the failure."""
    from types import SimpleNamespace

    from cuda_emulated import _call

    asked: list[str] = []
    if torch_is_there:
        sys.modules["torch"] = SimpleNamespace(  # type: ignore[assignment]
            cuda=SimpleNamespace(
                is_initialized=lambda: True,
                is_current_stream_capturing=lambda: False,
                empty_cache=lambda: asked.append("empty_cache"),
            )
        )
    y = np.zeros((2, 2), dtype=np.float32)
    layer = (Layer, (ONES, 4, None, 2, 4, 2))
    try:
        _call("lp_bounds", layer, np.inf, ONES, ONES, 4, y, y.copy(), 2, None)
    except NativeError as error:
        return "out of memory" if "out of memory" in str(error) else str(error)
    return asked


def test_nothing_is_loaded_after_prepare(programs, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """So that a CUDA graph can be captured."""
    gpu = process(programs, tmp_path)
    forward(gpu)  # makes a context current, as torch does
    gpu.pool.submit(_make_context_current).result()
    gpu.call("prepare", 17.5, 3)
    for name in ("cuModuleLoadData", "cuModuleGetFunction", "cuMemPoolCreate"):
        gpu.pool.submit(_set_fake, SN_FAKE_FAIL=name).result()
        y, dx = np.zeros((2, 2), dtype=np.float32), np.zeros((2, 4), dtype=np.float32)
        layer, coef = (Layer, (ONES, 4, None, 2, 4, 2)), np.ones((1, 3), dtype=np.float32)
        three = (Coefficients, (coef, 0, 3))
        for p in (np.inf, 17.5):
            gpu.call("lp_forward", layer, None, p, ONES, 4, y, 2, None)
            gpu.call("lp_bounds", layer, p, ONES, ONES, 4, y, y.copy(), 2, None)
            tail = (ONES, 4, y, 2, y, 2, dx, 4, dx.copy()[:2], 4, None)
            gpu.call("lp_backward", layer, None, p, *tail)
        gpu.call("sort_forward", layer, three, ONES, 4, y, 2, None)
        gpu.call("sort_bounds", layer, three, ONES, ONES, 4, y, y.copy(), 2, None)
        gpu.call("sort_backward", layer, three, ONES, 4, y, 2, dx, 4, dx.copy(), 4, None, None)
    gpu.close()


def _make_context_current() -> None:
    fake, context = CDLL("libcuda.so.1"), c_void_p()
    fake.cuDevicePrimaryCtxRetain(byref(context), 0)
    fake.cuCtxSetCurrent(context)


def test_a_forked_process_is_told_to_spawn(programs, tmp_path) -> None:  # type: ignore[no-untyped-def]
    gpu = process(programs, tmp_path)
    forward(gpu)
    assert "spawn" in gpu.pool.submit(_available_after_fork).result()
    gpu.close()


def _available_after_fork() -> str:
    receiver, sender = multiprocessing.Pipe()
    child = os.fork()
    if child == 0:
        try:
            cuda.available()
            sender.send("available")
        except NativeError as error:
            sender.send(str(error))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return receiver.recv()


def test_a_group_far_larger_than_the_batch(programs, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """One row of masks for all samples: as many tiles as the batch needs."""
    from sortnet.backend.native import Masks

    gpu = process(programs, tmp_path)
    y = np.zeros((2, 2), dtype=np.float32)
    keep = np.ones((1, 4), dtype=np.uint8)
    for p in (np.inf, 8.0):
        layer, masks = (Layer, (ONES, 4, None, 2, 4, 2)), (Masks, (keep, None, 2**40))
        y = gpu.call("lp_forward", layer, masks, p, ONES * 0, 4, y, 2, None)[5]  # type: ignore[assignment]
        np.testing.assert_allclose(y, 4 ** (0 if np.isinf(p) else 1 / p), rtol=1e-6)
        dx, dw = np.zeros((2, 4), dtype=np.float32), np.zeros((2, 4), dtype=np.float32)
        tail = (ONES * 0, 4, y, 2, ONES[:, :2].copy(), 2, dx, 4, dw, 4, None)
        dx = gpu.call("lp_backward", layer, masks, p, *tail)[9]  # type: ignore[assignment]
        assert (np.count_nonzero(dx, axis=1) == (1 if np.isinf(p) else 4)).all()
    gpu.close()


def test_coefficients_have_arrived_before_a_stream_reads_them(programs, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """ONNX Runtime's stream does not wait for the copy, which the fake driver delays."""
    gpu = process(programs, tmp_path)
    x, w = ONES, np.zeros((3, 4), dtype=np.float32)
    run = gpu.pool.submit(run_node, str(library_path("sortnet_ort")), "SortNeuron", [x, w], 0.25, 3)
    (y,) = run.result()
    np.testing.assert_allclose(y, 1.0, rtol=1e-6)
    gpu.close()
