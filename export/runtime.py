"""Runs exported files in ONNX Runtime and certifies. Imports numpy, onnx and onnxruntime only."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper

from sortnet.backend import cuda
from sortnet.backend.native import library_path
from sortnet.base.units import float32_up, parse_eps
from sortnet.certificate.analysis import TANH_ERROR, ball_reach
from sortnet.certificate.inputs import InputError, check_box, check_kind
from sortnet.certificate.network import Activation, Affine, Network, SortConv, SortNeuron

from .graph import build_interval_model
from .verifier import Proof, verify_model
from .wire import RefusedError, load_model

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MEMORY = 2**28
"""Bytes of activations that one batch may take, about."""

_MAX_BATCH = 1024

_PROVIDERS = ("CPUExecutionProvider", "CUDAExecutionProvider")
"""Others may compute in half precision, about which the error bound says nothing."""


class NotProvedError(ValueError):
    """The file does not prove its certificates."""


class Prediction(NamedTuple):
    """What a batch of N inputs gets.

    Attributes:
        label: int64 [N]. radius: float32 [N], in input units: every float32 input in the box that
        differs by at most this in every pixel gets the same label. logits: float32 [N, K].
    """

    label: IntArray
    radius: FloatArray
    logits: FloatArray


class CertifiedSession:
    """A verified file, ready to run. Safe to share among threads.

    Args:
        path: an exported file. It is verified first (`sortnet.export.verify`).
        providers: of ONNX Runtime, "CPUExecutionProvider" or "CUDAExecutionProvider"; None is the
            CPU.
        library: run our native operation; False runs the functions inside the file, slower and in
            small batches.
        threads: of one run; None is one for each core. The certificate holds for any number.

    Attributes:
        network: what the file computes. proof: of its certificates.

    Raises:
        NotProvedError: the file does not prove its certificates; the message says why.
        ValueError: another provider, or threads below 1.
        OSError: the file cannot be read.
        NativeError: the native library is missing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        providers: Sequence[str] | None = None,
        library: bool = True,
        threads: int | None = None,
    ) -> None:
        for name in providers or ():
            if name not in _PROVIDERS:
                raise ValueError(f"providers are among {', '.join(_PROVIDERS)}, got {name!r}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        try:
            model = load_model(path)
        except RefusedError as error:
            raise NotProvedError(f"{os.fspath(path)}: {error}") from None
        self.proof: Proof = verify_model(model)
        if not self.proof.proved or self.proof.network is None:
            raise NotProvedError(f"{os.fspath(path)}: {self.proof.reasons[0]}")
        self.network: Network = self.proof.network
        # TF32 would break the float-error bound; the GPU library is told where the compiler is.
        self._providers = [
            (name, {"use_tf32": "0"}) if name == "CUDAExecutionProvider" else name
            for name in providers or ["CPUExecutionProvider"]
        ]
        if library and "CUDAExecutionProvider" in (providers or []):
            cuda.library()
        self._library = library
        self._threads = threads
        self._session = self._start(model)
        self._interval: onnxruntime.InferenceSession | None = None
        self._lock = threading.Lock()
        if any(isinstance(op, Activation) and op.kind == "tanh" for op in self.network.ops):
            self._check_tanh()

    def predict(self, x: FloatArray) -> Prediction:
        """Labels, certified radii and logits.

        Args:
            x: float32 [N, C, H, W] in [0, 1]; any N, run in batches of bounded memory.

        Raises:
            InputError: another dtype, shape or range, or NaN.
        """
        self._check(x)
        size = len(x)
        result = Prediction(
            np.empty(size, np.int64),
            np.empty(size, np.float32),
            np.empty((size, self.network.classes), np.float32),
        )
        for part, batch in self._batches(x, bounds=False):
            label, radius, logits = self._session.run(list(Prediction._fields), {"input": batch})
            result.label[part], result.radius[part], result.logits[part] = label, radius, logits
        return result

    def certify(
        self, x: FloatArray, eps: str | float | Fraction, prediction: Prediction | None = None
    ) -> BoolArray:
        """Whether the label of each input is proved constant over the ball of radius eps.

        The certified radius decides where it is large enough, interval bounds over the ball
        clipped to the box decide the rest.

        Args:
            x: as in `predict`.
            eps: radius in input units, in (0, 1]; "8/255" is exact; rounded up to float32.
            prediction: of the same x, if already known.

        Returns:
            bool [N].

        Raises:
            InputError: as `predict`, or a prediction of another length. ValueError: a bad eps.
        """
        ball = np.float32(float32_up(parse_eps(eps)))
        self._check(x)
        if prediction is None:
            prediction = self.predict(x)
        if len(prediction.label) != len(x):
            raise InputError(f"{len(prediction.label)} predictions for {len(x)} inputs")
        certified = prediction.radius >= ball
        rest = np.flatnonzero(~certified)
        reach = np.asarray(ball_reach(float(ball)), np.float32)
        session = self._interval_session() if len(rest) else None
        for part, batch in self._batches(x, bounds=True, rows=rest):
            assert session is not None
            rows = rest[part]
            feed = {"input": batch, "label": prediction.label[rows], "reach": reach}
            certified[rows] = session.run(["certified"], feed)[0]
        return certified

    def _start(self, model: onnx.ModelProto) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads or 0
        if self._library:
            options.register_custom_ops_library(str(library_path("sortnet_ort")))
        # From the bytes that were verified: a file that changes meanwhile changes nothing.
        try:
            return onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=self._providers
            )
        except Exception as error:  # ONNX Runtime's own types share no base but this
            raise NotProvedError(f"ONNX Runtime refuses the file: {error}") from None

    def _interval_session(self) -> onnxruntime.InferenceSession:
        with self._lock:
            if self._interval is None:
                assert self.proof.analysis is not None
                self._interval = self._start(
                    build_interval_model(self.network, self.proof.analysis)
                )
            return self._interval

    def _check(self, x: FloatArray) -> None:
        array = isinstance(x, np.ndarray)
        check_kind(x, x.dtype if array else None, np.shape(x), self.network.input_shape)
        check_box(x)

    def _batches(
        self, x: FloatArray, bounds: bool, rows: IntArray | None = None
    ) -> Iterator[tuple[slice, FloatArray]]:
        """Contiguous batches of x, or of its ``rows``."""
        size = len(x) if rows is None else len(rows)
        step = _batch_size(self.network, bounds, self._library)
        for start in range(0, size, step):
            part = slice(start, min(start + step, size))
            yield part, np.ascontiguousarray(x[part] if rows is None else x[rows[part]])

    def _check_tanh(self) -> None:
        """The one operation whose accuracy ONNX Runtime does not promise."""
        graph = helper.make_graph(
            [helper.make_node("Tanh", ["x"], ["y"])],
            "tanh",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
        )
        model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
        points = np.concatenate([np.linspace(-12, 12, 2**16), np.geomspace(1e-30, 1e30, 2**12)])
        x = points.astype(np.float32)
        (y,) = self._start(model).run(None, {"x": x})
        error = float(np.abs(y.astype(np.float64) - np.tanh(x.astype(np.float64))).max())
        if not error <= TANH_ERROR / 2:
            raise NotProvedError(
                f"this ONNX Runtime's Tanh is off by {error:.3g}, more than the bound allows"
            )


def _batch_size(network: Network, bounds: bool, library: bool) -> int:
    """Samples per run, so that activations take about `_MEMORY` bytes."""
    values = max(math.prod(shape) for shape in network.shapes)
    for op in network.ops:
        if isinstance(op, SortConv):
            values = max(values, op.patches.size)
        if not library and isinstance(op, SortNeuron | SortConv):
            neuron = op.neuron if isinstance(op, SortConv) else op
            positions = len(op.patches) if isinstance(op, SortConv) else 1
            values = max(values, positions * neuron.W.size)
    last = network.ops[-1]
    if bounds and isinstance(last, Affine):
        values = max(values, 2 * last.W.size)
    copies = 8 if bounds else 4
    return max(1, min(_MAX_BATCH, _MEMORY // (4 * copies * values)))
