"""ctypes binding of kernels/include/sortnet_cuda.h: the kernels on NVIDIA GPUs.

The library links to nothing of CUDA: it finds the driver when first used and compiles its kernels
for the device with the NVRTC that torch brings. Importing this module touches neither.
"""

import ctypes
import sys
from ctypes import POINTER, Structure, c_char_p, c_float, c_int32, c_int64, c_void_p
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from .native import ABI_VERSION, Coefficients, Layer, Masks, NativeError, library_path

_OK, _OUT_OF_MEMORY, _UNSUPPORTED = 0, 2, 3

_P, _N, _F = c_void_p, c_int64, c_float
_LAYER, _MASKS, _COEF = POINTER(Layer), POINTER(Masks), POINTER(Coefficients)
_SIGNATURES: dict[str, list[type]] = {
    "prepare": [_F, _N],
    "lp_forward": [_LAYER, _MASKS, _F, _P, _N, _P, _N, _P],
    "lp_backward": [_LAYER, _MASKS, _F, _P, _N, _P, _N, _P, _N, _P, _N, _P, _N, _P],
    "sort_forward": [_LAYER, _COEF, _P, _N, _P, _N, _P],
    "sort_backward": [_LAYER, _COEF, _P, _N, _P, _N, _P, _N, _P, _N, _P, _P],
    "lp_bounds": [_LAYER, _F, _P, _P, _N, _P, _P, _N, _P],
    "sort_bounds": [_LAYER, _COEF, _P, _P, _N, _P, _P, _N, _P],
}


def nvrtc_path() -> str | None:
    """The NVRTC of the installed CUDA packages (those that torch depends on), or None.

    None leaves the search to the system: libnvrtc.so.13, then libnvrtc.so.12.
    """
    for package in ("nvidia.cu13", "nvidia.cuda_nvrtc"):
        try:
            spec = find_spec(package)
        except ModuleNotFoundError:
            continue
        for place in spec.submodule_search_locations or () if spec else ():
            for file in sorted(Path(place, "lib").glob("libnvrtc.so.*"), reverse=True):
                return str(file)
    return None


def open_builtins(nvrtc: str) -> None:
    """Load what NVRTC opens by name, from NVRTC's own folder, where the system would not look."""
    for file in Path(nvrtc).parent.glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(file))


@cache
def library() -> ctypes.CDLL:
    """The GPU kernels, loaded once, with their signatures declared.

    Raises:
        NativeError: missing, unloadable or of another ABI version.
    """
    return load(library_path("sortnet_cuda"), nvrtc_path())


def load(path: Path, nvrtc: str | None) -> ctypes.CDLL:
    """Load the library at `path`; `nvrtc` is the compiler it will use.

    Raises:
        NativeError: unloadable or of another ABI version.
    """
    try:
        lib = ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeError(f"cannot load {path}: {error}") from error
    version = lib.sn_cuda_abi_version()
    if version != ABI_VERSION:
        raise NativeError(
            f"{path} has ABI version {version}, expected {ABI_VERSION}; reinstall sortnet"
        )
    lib.sn_cuda_last_error.restype = c_char_p
    lib.sn_cuda_set_nvrtc.argtypes = [c_char_p]
    for name, arguments in _SIGNATURES.items():
        function = getattr(lib, f"sn_cuda_{name}")
        function.restype = c_int32
        function.argtypes = arguments
    if nvrtc is not None:
        open_builtins(nvrtc)
    lib.sn_cuda_set_nvrtc(None if nvrtc is None else nvrtc.encode())
    return lib


def available() -> bool:
    """Whether there is a GPU that a driver serves. False without a driver or a device, silently.

    The GPU kernels are built for Linux; elsewhere the answer is False.

    Raises:
        NativeError: there is a driver, but it does not work; the message says why.
    """
    if not sys.platform.startswith("linux"):
        return False
    lib = library()
    status: int = lib.sn_cuda_available()
    if status not in (_OK, _UNSUPPORTED):
        raise NativeError(lib.sn_cuda_last_error().decode())
    return status == _OK


def _give_back_memory() -> bool:
    """Have torch hand the driver the memory that it keeps for reuse; whether it did."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    if torch.cuda.is_current_stream_capturing():
        return False
    torch.cuda.empty_cache()
    return True


def call(name: str, *arguments: object) -> None:
    """Call `sn_cuda_<name>`; structures are passed by reference, addresses are the device's.

    Raises:
        NativeError: the function returned an error code; the message is the library's.
    """
    lib = library()
    function = getattr(lib, f"sn_cuda_{name}")
    passed = [ctypes.byref(a) if isinstance(a, Structure) else a for a in arguments]
    status = function(*passed)
    if status == _OUT_OF_MEMORY and _give_back_memory():
        status = function(*passed)  # results are overwritten, never added to
    if status != _OK:
        raise NativeError(f"sn_cuda_{name}: {lib.sn_cuda_last_error().decode()}")
