"""ctypes binding of the C ABI in kernels/include/sortnet.h: addresses and numbers, no tensors."""

import ctypes
import os
import sys
from ctypes import POINTER, Structure, c_char_p, c_float, c_int32, c_int64, c_size_t, c_void_p
from functools import cache
from pathlib import Path

ABI_VERSION = 1


class NativeError(RuntimeError):
    """A kernel library is missing, does not fit, or refused its arguments."""


def library_file(name: str) -> str:
    """The file name of the shared library `name` on this platform."""
    if sys.platform == "win32":
        return f"{name}.dll"
    return f"lib{name}{'.dylib' if sys.platform == 'darwin' else '.so'}"


def library_path(name: str) -> Path:
    """The installed shared library `name` (e.g. "sortnet_kernels").

    Raises:
        NativeError: not found beside any part of the installed package.
    """
    import sortnet

    file = library_file(name)
    places = [Path(root) / "lib" / file for root in sortnet.__path__]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place.parent) for place in places)
    raise NativeError(f"{file} not found in {looked}; reinstall sortnet (pip install .)")


class Executor(Structure):
    """sn_executor."""

    _fields_ = (("parallel_for", c_void_p), ("host", c_void_p))


class Pool(Structure):
    """sn_pool."""

    _fields_ = (("gomp_parallel", c_void_p), ("threads", c_int32))


class Layer(Structure):
    """sn_layer."""

    _fields_ = (
        ("w", c_void_p),
        ("w_stride", c_int64),
        ("packed", c_void_p),
        ("batch", c_int64),
        ("inputs", c_int64),
        ("outputs", c_int64),
    )


class Masks(Structure):
    """sn_masks. `in_` is the C field `in`."""

    _fields_ = (("in_", c_void_p), ("out", c_void_p), ("group", c_int64))


class Coefficients(Structure):
    """sn_coefficients."""

    _fields_ = (("data", c_void_p), ("stride", c_int64), ("count", c_int64))


_P, _N, _F = c_void_p, c_int64, c_float
_LAYER, _MASKS, _COEF, _EX = (
    POINTER(Layer),
    POINTER(Masks),
    POINTER(Coefficients),
    POINTER(Executor),
)
_SIGNATURES: dict[str, list[type]] = {
    "sn_pack": [_P, _N, _N, _N, _P],
    "sn_geometric_coefficients": [_F, _N, _P],
    "sn_lp_forward": [_LAYER, _MASKS, _F, _P, _N, _P, _N, _EX],
    "sn_lp_backward": [_LAYER, _MASKS, _F, _P, _N, _P, _N, _P, _N, _P, _N, _P, _N, _EX],
    "sn_sort_forward": [_LAYER, _COEF, _P, _N, _P, _N, _EX],
    "sn_sort_backward": [_LAYER, _COEF, _P, _N, _P, _N, _P, _N, _P, _N, _P, _EX],
    "sn_lp_bounds": [_LAYER, _F, _P, _P, _N, _P, _P, _N, _EX],
    "sn_sort_bounds": [_LAYER, _COEF, _P, _P, _N, _P, _P, _N, _EX],
}


@cache
def library() -> ctypes.CDLL:
    """The CPU kernels, loaded once, with their signatures declared.

    Raises:
        NativeError: missing, unloadable or of another ABI version.
    """
    path = library_path("sortnet_kernels")
    try:
        lib = ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeError(f"cannot load {path}: {error}") from error
    lib.sn_abi_version.restype = c_int32
    version = lib.sn_abi_version()
    if version != ABI_VERSION:
        raise NativeError(
            f"{path} has ABI version {version}, expected {ABI_VERSION}; reinstall sortnet"
        )
    lib.sn_status_message.restype = c_char_p
    lib.sn_status_message.argtypes = [c_int32]
    lib.sn_isa.restype = c_char_p
    lib.sn_packed_bytes.restype = c_size_t
    lib.sn_packed_bytes.argtypes = [c_int64, c_int64]
    for name, arguments in _SIGNATURES.items():
        function = getattr(lib, name)
        function.restype = c_int32
        function.argtypes = arguments
    return lib


def call(name: str, *arguments: object) -> None:
    """Call the kernel `name`; structures are passed by reference.

    Raises:
        NativeError: the kernel returned an error code.
    """
    lib = library()
    status = getattr(lib, name)(
        *(ctypes.byref(a) if isinstance(a, Structure) else a for a in arguments)
    )
    if status != 0:
        raise NativeError(f"{name}: {lib.sn_status_message(status).decode()}")


@cache
def isa() -> str:
    """Instruction set in use: "avx512", "avx2" or "generic"."""
    name: bytes = library().sn_isa()
    return name.decode()


@cache
def _gomp_parallel() -> int | None:
    """Address of GOMP_parallel in the OpenMP runtime of the process (torch brings one).

    Sharing its thread pool avoids a second one whose idle threads would spin against the first.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        gomp = ctypes.CDLL("libgomp.so.1", mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return None
    return ctypes.cast(gomp.GOMP_parallel, c_void_p).value


@cache
def executor(threads: int) -> Executor:
    """Runs tiles on `threads` >= 1 threads of the process's OpenMP pool."""
    pool = Pool(_gomp_parallel(), threads)
    run = ctypes.cast(library().sn_pool_parallel_for, c_void_p)
    result = Executor(run, ctypes.cast(ctypes.pointer(pool), c_void_p))
    result.pool = pool  # keep it alive as long as the executor
    return result
