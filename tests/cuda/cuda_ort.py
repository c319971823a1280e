"""ONNX Runtime's C ABI, as far as the custom-op library uses it, played by Python.

There is no CUDA execution provider without a GPU; so the ops that are registered for it are called
here as ONNX Runtime would call them, while the GPU library runs over the emulator.
"""

import ctypes
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_float, c_int64, c_size_t, c_uint32, c_void_p
from typing import Any

import numpy as np

_WORD = 8
_CREATE, _NAME, _PROVIDER, _DESTROY, _CREATE_V2, _COMPUTE_V2 = 1, 2, 3, 9, 17, 18


class FakeRuntime:
    """Registers the library, then makes and runs single nodes."""

    def __init__(self, library: str, rho: float, count: int) -> None:
        self.messages: list[str] = []
        self.ops: list[int] = []
        self.arrays: dict[int, np.ndarray] = {}
        self.inputs: list[np.ndarray] = []
        self.outputs: dict[int, np.ndarray] = {}
        self.rho, self.count = rho, count
        self.keep: list[Any] = []
        self.lib = ctypes.CDLL(library)
        self.table = (c_void_p * 400)()
        self._fill_table()
        get_api = CFUNCTYPE(c_void_p, c_uint32)(lambda version: ctypes.addressof(self.table))
        version = CFUNCTYPE(c_char_p)(lambda: b"1.20.0")
        base = (c_void_p * 2)(ctypes.cast(get_api, c_void_p), ctypes.cast(version, c_void_p))
        self.keep += [get_api, version, base]
        self.lib.RegisterCustomOps.restype = c_void_p
        self.lib.RegisterCustomOps.argtypes = [c_void_p, c_void_p]
        assert not self.lib.RegisterCustomOps(1, ctypes.addressof(base)), self.messages

    def _slot(self, index: int, function: Any, *arguments: Any) -> None:
        wrapped = CFUNCTYPE(c_void_p, *arguments)(function)
        self.keep.append(wrapped)
        self.table[index] = ctypes.cast(wrapped, c_void_p)

    def _fill_table(self) -> None:
        size_out, word_out = POINTER(c_size_t), POINTER(c_void_p)

        def create_status(code: int, message: bytes) -> int:
            self.messages.append(message.decode())
            return 1

        def put(place: Any, value: Any) -> None:
            place[0] = value

        def handle(array: np.ndarray) -> int:
            self.arrays[len(self.arrays) + 1] = array
            return len(self.arrays)

        def dimensions(info: int, to: Any, rank: int) -> None:
            for i, size in enumerate(self.arrays[info].shape):
                to[i] = size

        def output(context: int, index: int, shape: Any, rank: int, place: Any) -> None:
            self.outputs[index or 0] = np.full(shape[:rank], np.nan, dtype=np.float32)
            place[0] = handle(self.outputs[index or 0])

        slot = self._slot
        slot(0, create_status, c_uint32, c_char_p)
        slot(26, lambda name, place: put(place, 7), c_char_p, word_out)
        slot(27, lambda domain, op: self.ops.append(op), c_void_p, c_void_p)
        slot(28, lambda options, domain: None, c_void_p, c_void_p)
        slot(51, lambda v, p: put(p, self.arrays[v].ctypes.data), c_void_p, word_out)
        slot(61, lambda i, p: put(p, self.arrays[i].ndim), c_void_p, size_out)
        slot(62, dimensions, c_void_p, POINTER(c_int64), c_size_t)
        slot(65, lambda v, p: put(p, v), c_void_p, word_out)
        slot(85, lambda i, n, p: put(p, self.rho), c_void_p, c_char_p, POINTER(c_float))
        slot(86, lambda i, n, p: put(p, self.count), c_void_p, c_char_p, POINTER(c_int64))
        slot(
            *(90, lambda c, i, p: put(p, handle(self.inputs[i]))),
            *(c_void_p, c_size_t, word_out),
        )
        slot(91, output, c_void_p, c_size_t, POINTER(c_int64), c_size_t, word_out)
        slot(93, lambda status: None, c_void_p)
        slot(99, lambda info: None, c_void_p)
        slot(193, lambda context, place: put(place, 0), c_void_p, word_out)

    def _member(self, op: int, index: int) -> int:
        return c_void_p.from_address(op + index * _WORD).value or 0

    def _text(self, op: int, index: int) -> str | None:
        text = CFUNCTYPE(c_char_p, c_void_p)(self._member(op, index))(op)
        return None if text is None else text.decode()

    def registered(self) -> list[tuple[str | None, str | None]]:
        """(op, execution provider) in order of registration."""
        return [(self._text(op, _NAME), self._text(op, _PROVIDER)) for op in self.ops]

    def run(self, name: str, inputs: list[np.ndarray]) -> list[np.ndarray] | str:
        """The outputs of a node on the CUDA execution provider, or the message of its failure."""
        wanted = (name, "CUDAExecutionProvider")
        op = self.ops[self.registered().index(wanted)]
        self.inputs, self.outputs = [np.ascontiguousarray(a) for a in inputs], {}
        kernel = c_void_p()
        create = CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_void_p))
        if create(self._member(op, _CREATE_V2))(
            op, ctypes.addressof(self.table), 1, ctypes.byref(kernel)
        ):
            return self.messages[-1]
        compute = CFUNCTYPE(c_void_p, c_void_p, c_void_p)(self._member(op, _COMPUTE_V2))
        failed = compute(kernel, 1)
        CFUNCTYPE(None, c_void_p)(self._member(op, _DESTROY))(kernel)
        return self.messages[-1] if failed else [self.outputs[i] for i in sorted(self.outputs)]


def run_node(
    library: str, name: str, inputs: list[np.ndarray], rho: float, count: int
) -> list[np.ndarray] | str:
    """In the worker process of `cuda_emulated.Gpu`."""
    global _runtime
    if "_runtime" not in globals():
        _runtime = FakeRuntime(library, rho, count)  # the library keeps its domain for good
    _runtime.rho, _runtime.count = rho, count
    return _runtime.run(name, inputs)


def run_session(library: str, model: bytes, x: np.ndarray) -> np.ndarray:
    """The model on the CPU execution provider of the real ONNX Runtime, GPU ops registered too."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(library)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"X": x})[0]
