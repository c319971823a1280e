"""Runs exported files in ONNX Runtime and certifies. Imports numpy, onnx and onnxruntime only."""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper

from sortnet.backend import cuda
from sortnet.backend.native import library_path
from sortnet.base.units import MAX_UNITS_OF_RADIUS, float32_up, parse_eps
from sortnet.certificate.inputs import InputError, check_box, check_kind
from sortnet.certificate.network import Network

from .format import IR_VERSION, OPSET
from .forms import FORM_OF, Promise
from .verifier import Proof, verify_model
from .wire import RefusedError, parse_model, read_bytes
from .writer import build_interval_model

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

Outside = Literal["error", "zero"]

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
        differs by at most this in every pixel (in feature i: by this many units of it) gets the
        same label. logits: float32 [N, K].
    """

    label: IntArray
    radius: FloatArray
    logits: FloatArray


class ValueBounds(NamedTuple):
    """What a batch of N inputs gets from a regression.

    Attributes:
        value: float32 [N]. lower, upper: float32 [N]: no float32 input of the ball, run on any
            host that the certificate covers, gets a value outside.
    """

    value: FloatArray
    lower: FloatArray
    upper: FloatArray


class CertifiedSession:
    """A verified file, ready to run. Safe to share among threads.

    Among processes it is pickled as its file's path and hash: the copy reads and verifies the file
    again, and refuses another one.

    Args:
        path: an exported file. It is verified first (`sortnet.export.verify`).
        providers: of ONNX Runtime, "CPUExecutionProvider" or "CUDAExecutionProvider", one or
            several; None is the CPU.
        library: run our native operation; False runs the functions inside the file, slower and in
            small batches.
        threads: of one run; None is one for each core. The certificate holds for any number.

    Attributes:
        network: what the file computes. proof: of its certificates.
        class_names, feature_names: as the file says, or None; for people.
        sha256: of the file that was verified, in hexadecimal.

    Raises:
        NotProvedError: the file does not prove its certificates; the message says why.
        ValueError: another provider, one that this ONNX Runtime cannot run on this machine, or
            threads below 1.
        OSError: the file cannot be read.
        NativeError: the native library is missing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        providers: str | Sequence[str] | None = None,
        library: bool = True,
        threads: int | None = None,
    ) -> None:
        names = _provider_names(providers)
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        self._path = Path(path).absolute()
        try:
            data = read_bytes(path)
            model = parse_model(data)
        except RefusedError as error:
            raise NotProvedError(f"{os.fspath(path)}: {error}") from None
        self.proof: Proof = verify_model(model)
        if not self.proof.proved or self.proof.network is None:
            raise NotProvedError(f"{os.fspath(path)}: {self.proof.reasons[0]}")
        self.network: Network = self.proof.network
        # TF32 would break the float-error bound; the GPU library is told where the compiler is.
        self._providers = [
            (name, {"use_tf32": "0"}) if name == "CUDAExecutionProvider" else name for name in names
        ]
        if library and "CUDAExecutionProvider" in names:
            cuda.library()
        self._names = names
        self.sha256 = hashlib.sha256(data).hexdigest()
        metadata = {prop.key: prop.value for prop in model.metadata_props}
        self.class_names = _names(metadata, "class_names", self.network.classes)
        features = math.prod(self.network.input_shape)
        self.feature_names = _names(metadata, "feature_names", features)
        self._library = library
        self._threads = threads
        self._session = self._start(model)
        self._interval: onnxruntime.InferenceSession | None = None
        self._lock = threading.Lock()
        for form in {FORM_OF[type(op)] for op in self.network.ops}:
            if form.promise is not None:
                self._measure(form.promise)

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen, (self._path, self.sha256, self._names, self._library, self._threads)

    def in_box(self, x: FloatArray) -> BoolArray:
        """Which inputs lie in the box of the file: bool [N]; False for NaN.

        The others get no certificate: `predict` and `certify` refuse a batch that holds one, unless
        they are told what to do with it.

        Raises:
            InputError: another dtype or shape.
        """
        check_kind(
            x,
            x.dtype if isinstance(x, np.ndarray) else None,
            np.shape(x),
            self.network.input_shape,
        )
        spec = self.network.input
        inside = np.empty(len(x), np.bool_)
        for start in range(0, len(x), _MAX_BATCH):
            batch = np.asarray(x[start : start + _MAX_BATCH])
            held = (batch >= spec.low) & (batch <= spec.high)
            inside[start : start + len(batch)] = held.reshape(len(batch), -1).all(axis=1)
        return inside

    def predict(self, x: FloatArray, outside: Outside = "error") -> Prediction:
        """Labels, certified radii and logits of a classifier.

        Args:
            x: float32 [N, *shape] in the input box (images: [N, C, H, W] in [0, 1]); any N, run in
                batches of bounded memory.
            outside: what to do with inputs outside of the box: "error" refuses the batch; "zero"
                gives their labels with radius 0 (`in_box` says which they are).

        Raises:
            InputError: another dtype, shape or range, NaN or infinity. ValueError: a regression.
        """
        self._expect(regression=False)
        self._check(x, outside)
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
        self,
        x: FloatArray,
        eps: str | float | Fraction,
        prediction: Prediction | None = None,
        outside: Outside = "error",
    ) -> BoolArray:
        """Whether the label of each input is proved constant over the ball of radius eps.

        The certified radius decides where it is large enough, interval bounds over the ball
        clipped to the box decide the rest.

        Args:
            x: as in `predict`.
            eps: radius in input units: in (0, 1] for pixels, else in multiples of the unit of each
                feature; "8/255" is exact; rounded up to float32.
            prediction: of the same x, if already known.
            outside: as in `predict`; with "zero" inputs outside of the box are not certified.

        Returns:
            bool [N].

        Raises:
            InputError: as `predict`, or a prediction of another length. ValueError: a bad eps, or a
                regression.
        """
        self._expect(regression=False)
        ball = self._ball(eps)
        self._check(x, outside)
        if prediction is None:
            prediction = self.predict(x, outside)
        if len(prediction.label) != len(x):
            raise InputError(f"{len(prediction.label)} predictions for {len(x)} inputs")
        certified: BoolArray = prediction.radius >= np.float32(ball)
        inside = np.ones(len(x), np.bool_) if outside == "error" else self.in_box(x)
        certified &= inside
        rest = np.flatnonzero(~certified & inside)
        reach = self.network.input.reach(ball)
        session = self._interval_session() if len(rest) else None
        for part, batch in self._batches(x, bounds=True, rows=rest):
            assert session is not None
            rows = rest[part]
            feed = {"input": batch, "label": prediction.label[rows], "reach": reach}
            certified[rows] = session.run(["certified"], feed)[0]
        return certified

    def predict_interval(
        self, x: FloatArray, eps: str | float | Fraction | None = None
    ) -> ValueBounds:
        """Values of a regression, and bounds that no input of the ball can leave.

        Args:
            x: as in `predict`.
            eps: radius as in `certify`; None is the one that the file was exported with.

        Raises:
            InputError: as `predict`. ValueError: a bad eps, or a classifier.
        """
        self._expect(regression=True)
        self._check(x)
        result = ValueBounds(*(np.empty(len(x), np.float32) for _ in ValueBounds._fields))
        names = list(ValueBounds._fields)
        if eps is None:
            for part, batch in self._batches(x, bounds=True):
                for found, into in zip(
                    self._session.run(names, {"input": batch}), result, strict=True
                ):
                    into[part] = found
            return result
        ball = self._ball(eps)
        assert self.proof.analysis is not None
        near = np.asarray(self.proof.analysis.value_reach(ball), np.float32)
        reach = self.network.input.reach(ball)
        session = self._interval_session()
        for part, batch in self._batches(x, bounds=True):
            (value,) = self._session.run(["value"], {"input": batch})
            feed = {"input": batch, "value": value, "reach": reach, "value_reach": near}
            result.value[part] = value
            result.lower[part], result.upper[part] = session.run(names[1:], feed)
        return result

    def _expect(self, regression: bool) -> None:
        if self.network.regression != regression:
            raise ValueError(
                "the file is a regression: use predict_interval"
                if self.network.regression
                else "the file is a classifier: use predict or certify"
            )

    def _ball(self, eps: str | float | Fraction) -> float:
        most = 1 if self.network.input.images else MAX_UNITS_OF_RADIUS
        return float32_up(parse_eps(eps, most))

    def _start(self, model: onnx.ModelProto) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads or 0
        if self._library:
            options.register_custom_ops_library(str(library_path("sortnet_ort")))
        # From the bytes that were verified: a file that changes meanwhile changes nothing.
        try:
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=self._providers
            )
        except Exception as error:  # ONNX Runtime's own types share no base but this
            raise NotProvedError(f"ONNX Runtime refuses the file: {error}") from None
        if missing := set(self._names) - set(session.get_providers()):
            raise ValueError(f"{', '.join(missing)} does not start on this machine")
        return session

    def _interval_session(self) -> onnxruntime.InferenceSession:
        with self._lock:
            if self._interval is None:
                assert self.proof.analysis is not None
                self._interval = self._start(
                    build_interval_model(self.network, self.proof.analysis)
                )
            return self._interval

    def _check(self, x: FloatArray, outside: Outside = "error") -> None:
        if outside not in ("error", "zero"):
            raise ValueError(f"outside is 'error' or 'zero', got {outside!r}")
        array = isinstance(x, np.ndarray)
        check_kind(x, x.dtype if array else None, np.shape(x), self.network.input_shape)
        spec = self.network.input
        if outside == "zero":
            most = float(np.finfo(np.float32).max)
            check_box(x, -most, most, self.feature_names)  # a label of NaN would mean nothing
        elif spec.images:
            check_box(x, names=self.feature_names)
        else:
            check_box(x, spec.low, spec.high, self.feature_names)

    def _batches(
        self, x: FloatArray, bounds: bool, rows: IntArray | None = None
    ) -> Iterator[tuple[slice, FloatArray]]:
        """Contiguous batches of x, or of its ``rows``."""
        size = len(x) if rows is None else len(rows)
        step = _batch_size(self.network, bounds, self._library)
        for start in range(0, size, step):
            part = slice(start, min(start + step, size))
            yield part, np.ascontiguousarray(x[part] if rows is None else x[rows[part]])

    def _measure(self, promise: Promise) -> None:
        """An operation whose accuracy ONNX Runtime does not promise."""
        graph = helper.make_graph(
            [helper.make_node(promise.node, ["x"], ["y"])],
            "promise",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets)
        (y,) = self._start(model).run(None, {"x": promise.points})
        exact = promise.exact(promise.points.astype(np.float64))
        error = float(np.abs(y.astype(np.float64) - exact).max())
        if not error <= promise.limit:
            raise NotProvedError(
                f"this ONNX Runtime's {promise.node} is off by {error:.3g}, more than the bound "
                "allows"
            )


def _names(metadata: dict[str, str], what: str, count: int) -> tuple[str, ...] | None:
    """Names from the metadata, where they are what they should be."""
    try:
        names = json.loads(metadata.get(f"sortnet.{what}", "null"))
    except ValueError:
        return None
    fits = isinstance(names, list) and len(names) == count
    return tuple(names) if fits and all(isinstance(name, str) for name in names) else None


def reopen(
    path: str | os.PathLike[str],
    digest: str,
    providers: str | Sequence[str] | None,
    library: bool,
    threads: int | None,
) -> CertifiedSession:
    """A session on the file of this SHA-256, such as one that was pickled.

    Raises:
        NotProvedError: the file has changed. And what `CertifiedSession` raises.
    """
    session = CertifiedSession(path, providers, library, threads)
    if session.sha256 != digest:
        raise NotProvedError(f"{path} is not the file that the session was opened with")
    return session


def _provider_names(providers: str | Sequence[str] | None) -> list[str]:
    names = [providers] if isinstance(providers, str) else list(providers or _PROVIDERS[:1])
    for name in names:
        if name not in _PROVIDERS:
            raise ValueError(f"providers are among {', '.join(_PROVIDERS)}, got {name!r}")
        if name not in (there := onnxruntime.get_available_providers()):
            raise ValueError(
                f"this ONNX Runtime cannot run {name}, only {', '.join(there)}: install "
                "onnxruntime-gpu for CUDA"
            )
    return names


def _batch_size(network: Network, bounds: bool, library: bool) -> int:
    """Samples per run, so that activations take about `_MEMORY` bytes."""
    values = max(math.prod(shape) for shape in network.shapes)
    for op in network.ops:
        values = max(values, FORM_OF[type(op)].scratch(op, library))
    if bounds:
        last = network.ops[-1]
        values = max(values, FORM_OF[type(last)].scratch_worst(last))
    copies = 8 if bounds else 4
    return max(1, min(_MAX_BATCH, _MEMORY // (4 * copies * values)))
