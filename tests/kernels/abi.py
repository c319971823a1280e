"""The C ABI over NumPy arrays, once per instruction set, for the tests."""

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortnet.backend import native

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Masks:
    """Bytes [ceil(B / group), I] and [ceil(B / group), O]; None keeps all."""

    inputs: Bytes | None
    outputs: Bytes | None
    group: int


def _address(array: NDArray | None) -> int | None:
    return None if array is None else array.ctypes.data


def _stride(array: Array | None) -> int:
    return 0 if array is None else array.strides[0] // 4


class Kernels:
    """One loaded library. Rows of outputs lie `pad` floats further apart than they are long."""

    def __init__(self, lib: ctypes.CDLL) -> None:
        self.lib = lib

    @property
    def isa(self) -> str:
        return self.lib.sn_isa().decode()

    def call(self, name: str, *arguments: object) -> None:
        status = getattr(self.lib, name)(
            *(ctypes.byref(a) if isinstance(a, ctypes.Structure) else a for a in arguments)
        )
        assert status == 0, (name, status)

    def executor(self, threads: int) -> native.Executor | None:
        if threads == 0:
            return None
        pool = native.Pool(None, threads)
        run = ctypes.cast(self.lib.sn_pool_parallel_for, ctypes.c_void_p)
        executor = native.Executor(run, ctypes.cast(ctypes.pointer(pool), ctypes.c_void_p))
        executor.pool = pool
        return executor

    def pack(self, w: Array) -> Bytes:
        outputs, inputs = w.shape
        size = self.lib.sn_packed_bytes(outputs, inputs)
        room = np.zeros(size + 64, np.uint8)
        start = -room.ctypes.data % 64
        packed = room[start : start + size]
        self.call("sn_pack", _address(w), _stride(w), outputs, inputs, _address(packed))
        return packed

    def layer(self, x: Array, w: Array, packed: Bytes | None = None) -> native.Layer:
        return native.Layer(
            _address(w), _stride(w), _address(packed), len(x), w.shape[1], w.shape[0]
        )

    def masks(self, masks: Masks | None) -> native.Masks | None:
        if masks is None:
            return None
        return native.Masks(_address(masks.inputs), _address(masks.outputs), masks.group)

    def coefficients(self, coef: Array) -> native.Coefficients:
        shared = coef.ndim == 1
        return native.Coefficients(_address(coef), 0 if shared else _stride(coef), coef.shape[-1])

    def geometric(self, rho: float, count: int) -> Array:
        coef = np.empty(count, np.float32)
        self.call("sn_geometric_coefficients", rho, count, _address(coef))
        return coef

    @staticmethod
    def _output(rows: int, columns: int, pad: int) -> Array:
        return np.full((rows, columns + pad), 123.0, np.float32)[:, :columns]

    def lp_forward(
        self,
        x: Array,
        w: Array,
        p: float,
        masks: Masks | None = None,
        packed: Bytes | None = None,
        threads: int = 0,
        pad: int = 0,
    ) -> Array:
        y = self._output(len(x), len(w), pad)
        self.call(
            "sn_lp_forward", self.layer(x, w, packed), self.masks(masks), p, _address(x),
            _stride(x), _address(y), _stride(y), self.executor(threads),
        )  # fmt: skip
        return y

    def lp_backward(
        self,
        x: Array,
        w: Array,
        p: float,
        y: Array,
        dy: Array,
        masks: Masks | None = None,
        threads: int = 0,
        pad: int = 0,
    ) -> tuple[Array, Array]:
        dx, dw = self._output(*x.shape, pad), self._output(*w.shape, pad)
        self.call(
            "sn_lp_backward", self.layer(x, w), self.masks(masks), p, _address(x), _stride(x),
            _address(y), _stride(y), _address(dy), _stride(dy), _address(dx), _stride(dx),
            _address(dw), _stride(dw), self.executor(threads),
        )  # fmt: skip
        return dx, dw

    def sort_forward(
        self,
        x: Array,
        w: Array,
        coef: Array,
        packed: Bytes | None = None,
        threads: int = 0,
        pad: int = 0,
    ) -> Array:
        y = self._output(len(x), len(w), pad)
        self.call(
            "sn_sort_forward", self.layer(x, w, packed), self.coefficients(coef), _address(x),
            _stride(x), _address(y), _stride(y), self.executor(threads),
        )  # fmt: skip
        return y

    def sort_backward(
        self, x: Array, w: Array, coef: Array, dy: Array, threads: int = 0, pad: int = 0
    ) -> tuple[Array, Array, Array]:
        dx, dw = self._output(*x.shape, pad), self._output(*w.shape, pad)
        dcoef = np.full((len(w), coef.shape[-1]), 123.0, np.float32)
        self.call(
            "sn_sort_backward", self.layer(x, w), self.coefficients(coef), _address(x),
            _stride(x), _address(dy), _stride(dy), _address(dx), _stride(dx), _address(dw),
            _stride(dw), _address(dcoef), self.executor(threads),
        )  # fmt: skip
        return dx, dw, dcoef

    def bounds(
        self,
        lower: Array,
        upper: Array,
        w: Array,
        kind: float | Array,
        packed: Bytes | None = None,
        threads: int = 0,
    ) -> tuple[Array, Array]:
        """Of the l_p norm if `kind` is a number, else of the sorted sum with these coefficients."""
        low, high = self._output(len(lower), len(w), 0), self._output(len(lower), len(w), 0)
        sort = isinstance(kind, np.ndarray)
        self.call(
            "sn_sort_bounds" if sort else "sn_lp_bounds", self.layer(lower, w, packed),
            self.coefficients(kind) if sort else kind, _address(lower), _address(upper),
            _stride(lower), _address(low), _address(high), _stride(low), self.executor(threads),
        )  # fmt: skip
        return low, high


def load(isa: str, folder: Path, library: Path | None = None) -> Kernels | None:
    """A copy of the library with this instruction set forced; None: the processor lacks it.

    A copy, since a library chooses once and loading the same file again gives the same one.
    """
    copy = folder / f"{isa}.so"
    shutil.copy(library or native.library_path("sortnet_kernels"), copy)
    original, forced = native.library_path, os.environ.get("SORTNET_ISA")
    os.environ["SORTNET_ISA"] = isa
    native.library_path = lambda name: copy  # type: ignore[assignment]
    try:
        kernels = Kernels(native.library.__wrapped__())
        return kernels if kernels.isa == isa else None
    finally:
        native.library_path = original
        del os.environ["SORTNET_ISA"]
        if forced is not None:
            os.environ["SORTNET_ISA"] = forced


def emulated_avx512(folder: Path) -> Path | str:
    """The library with its AVX-512 kernels run by SIMDe, built in `folder`, or what that needs."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if shutil.which("cmake") is None or compiler is None:
        return "a C++ compiler and cmake"
    has_simde = subprocess.run(
        [compiler, "-fsyntax-only", "-x", "c++", "-"],
        input=b"#if !__has_include(<simde/x86/avx512.h>)\n#error\n#endif\n",
        capture_output=True,
    )
    if has_simde.returncode != 0:
        return "SIMDe (Debian: libsimde-dev)"
    options = ["-DSORTNET_EMULATE_AVX512=ON", "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O1"]
    root = str(Path(__file__).parents[2])
    for step in (
        ["cmake", "-S", root, "-B", str(folder), *options],
        ["cmake", "--build", str(folder), "--target", "sortnet_kernels", "--parallel", "2"],
    ):
        built = subprocess.run(step, capture_output=True, text=True)
        assert built.returncode == 0, built.stdout + built.stderr
    (library,) = folder.rglob("libsortnet_kernels.so")
    return library
