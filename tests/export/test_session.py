"""The runtime: torch-free, thread-safe, bounded in memory, and strict about its input."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from networks import F32, images, neuron

from sortnet.certificate.network import Network
from sortnet.certificate.operations import Affine, Bias, Flatten, Negate, Shift, Tanh
from sortnet.export import CertifiedSession, InputError, NotProvedError
from sortnet.export.writer import build_model


def small_network(head: bool = False) -> Network:
    rng = np.random.default_rng(1)
    ops = [Flatten(), neuron(rng, 12, 8, 4, 0.3), Shift(rng.normal(size=8).astype(F32))]
    if head:
        W = rng.normal(size=(3, 8)).astype(F32)
        return Network((1, 3, 4), (*ops, Tanh(), Affine(W, np.zeros(3, F32))))
    tail = [neuron(rng, 8, 3, 2, 0.3), Bias(np.zeros(3, F32)), Negate()]
    return Network((1, 3, 4), (*ops, *tail))


@pytest.fixture(scope="module", params=[False, True], ids=["margin", "interval"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "model.onnx"
    network = small_network(request.param)
    onnx.save(build_model(network, Fraction(1, 20) if request.param else None), path)
    return path


@pytest.fixture(scope="module")
def session(path: Path) -> CertifiedSession:
    return CertifiedSession(path)


def test_runs_without_torch(path: Path) -> None:
    """Also without sortnet's own training side, pydantic, matplotlib and the like."""
    script = f"""
import sys
for name in ("torch", "torchvision", "pydantic", "sklearn", "matplotlib", "safetensors", "scipy"):
    sys.modules[name] = None  # importing it raises
import numpy as np
from sortnet.export import CertifiedSession, verify
assert verify({str(path)!r}).proved
session = CertifiedSession({str(path)!r})
x = np.random.default_rng(0).random((5, 1, 3, 4), dtype=np.float32)
assert session.predict(x).logits.shape == (5, 3) and session.certify(x, "1/255").shape == (5,)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_predict_and_certify(session: CertifiedSession) -> None:
    x = images(np.random.default_rng(2), session.network, 64)
    prediction = session.predict(x)
    assert (prediction.label == prediction.logits.argmax(1)).all()
    for eps in ("1/255", 0.05, Fraction(1, 3)):
        certified = session.certify(x, eps)
        assert certified.dtype == np.bool_
        assert (certified == session.certify(x, eps, prediction)).all()
        assert certified[prediction.radius >= F32(float(Fraction(eps))) * (1 + 2**-22)].all()
    assert session.certify(x, "1/100000").all() and not session.certify(x, 1.0).any()


def test_library_and_functions_agree(path: Path, session: CertifiedSession) -> None:
    x = images(np.random.default_rng(3), session.network, 40)
    with_functions = CertifiedSession(path, library=False)
    a, b = session.predict(x), with_functions.predict(x)
    np.testing.assert_allclose(a.logits, b.logits, atol=1e-5)
    assert (a.label == b.label).all()
    assert (session.certify(x, 0.03) == with_functions.certify(x, 0.03)).all()


@pytest.mark.parametrize("pixel", [np.nan, np.inf, -np.inf, -1e-9, 1.0001])
def test_inputs_outside_the_box_are_refused(session: CertifiedSession, pixel: float) -> None:
    x = images(np.random.default_rng(4), session.network, 5)
    prediction = session.predict(x)
    x[3, 0, 1, 2] = pixel
    for call in (session.predict, lambda x: session.certify(x, 0.1, prediction)):
        with pytest.raises(InputError, match="sample 3 has"):
            call(x)


def test_wrong_kinds_of_input_are_refused(session: CertifiedSession) -> None:
    x = images(np.random.default_rng(5), session.network, 5)
    wrong = [x.astype(np.float64), (x * 255).astype(np.uint8), x[0], x.transpose(0, 2, 3, 1)]
    for bad in [*wrong, x.reshape(5, -1), x.tolist(), None, x.astype(F32).astype(object)]:
        with pytest.raises(InputError, match=r"expected float32 \[N, 1, 3, 4\]"):
            session.predict(bad)  # type: ignore[arg-type]
    for eps in ("0", -1, "nan", 2):
        with pytest.raises(ValueError, match="a radius"):
            session.certify(x, eps)
    with pytest.raises(InputError, match="5 predictions for 4"):
        session.certify(x[:4], 0.1, session.predict(x))


def test_layout_does_not_matter(session: CertifiedSession) -> None:
    x = images(np.random.default_rng(6), session.network, 10)
    fortran = np.asfortranarray(x)
    assert (session.predict(fortran).logits == session.predict(x).logits).all()
    assert (session.predict(x[::-2]).label == session.predict(x).label[::-2]).all()


@pytest.mark.parametrize("count", [0, 1, 100_000])
def test_any_batch(session: CertifiedSession, count: int) -> None:
    one = images(np.random.default_rng(7), session.network, 1)
    x = np.broadcast_to(one, (count, *one.shape[1:]))  # a view of one image
    prediction = session.predict(x)
    assert prediction.label.shape == (count,) and prediction.logits.shape == (count, 3)
    assert session.certify(x, 0.3, prediction).shape == (count,)
    if count:
        assert np.ptp(prediction.radius) == 0


def test_a_mask_hides_nothing(session: CertifiedSession) -> None:
    x = images(np.random.default_rng(8), session.network, 3)
    x[1, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="sample 1 has NaN"):
        session.predict(np.ma.masked_invalid(x))


def test_a_large_memory_map_is_streamed(tmp_path: Path) -> None:
    """100,000 images of 1.2 GB in less than 300 MiB of memory of our own."""
    rng = np.random.default_rng(9)
    tail = [Bias(np.zeros(3, F32)), Negate()]
    wide = Network((3, 32, 32), (Flatten(), neuron(rng, 3072, 3, 2, 0.3), *tail))
    onnx.save(build_model(wide), tmp_path / "wide.onnx")
    script = f"""
import re, resource
import numpy as np
from sortnet.export import CertifiedSession
session = CertifiedSession({str(tmp_path / "wide.onnx")!r}, threads=1)
shape = (100_000, 3, 32, 32)
x = np.memmap({str(tmp_path / "images")!r}, np.float32, "w+", shape=shape)  # a sparse file
x.flush()
x = np.memmap({str(tmp_path / "images")!r}, np.float32, "r", shape=shape)
used = int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 300 * 2**20,) * 2)
prediction = session.predict(x)
assert len(prediction.label) == 100_000
assert session.certify(x, 1e-3, prediction).all()
try:
    np.array(x)
except MemoryError:
    pass
else:
    raise AssertionError("the limit does not hold")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_other_providers_and_thread_counts_are_refused(path: Path) -> None:
    """OpenVINO, for one, may compute in bfloat16; options could allow TF32."""
    for name in ("OpenVINOExecutionProvider", ("CUDAExecutionProvider", {"use_tf32": "1"})):
        with pytest.raises(ValueError, match="providers are among"):
            CertifiedSession(path, providers=[name])  # type: ignore[list-item]
    for name in ("TensorrtExecutionProvider", "CPU"):
        with pytest.raises(ValueError, match=f"providers are among .* got '{name}'"):
            CertifiedSession(path, providers=name)
    with pytest.raises(ValueError, match="threads must be at least 1"):
        CertifiedSession(path, threads=0)
    one = CertifiedSession(path, providers=["CPUExecutionProvider"], threads=1)
    assert one.predict(images(np.random.default_rng(0), one.network, 2)).label.shape == (2,)


@pytest.mark.parametrize(
    "form", [str, lambda name: [name], lambda name: ("CPUExecutionProvider", name)]
)
def test_a_provider_that_cannot_run_is_refused(
    path: Path, form: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime would warn and run on the CPU."""
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(ValueError, match=r"cannot run CUDAExecutionProvider, only .*CPU"):
            CertifiedSession(path, providers=form("CUDAExecutionProvider"))
    # A build that has it, on a machine that has not: sessions fall back without an error.
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    monkeypatch.setattr(
        onnxruntime.InferenceSession, "get_providers", lambda self: ["CPUExecutionProvider"]
    )
    with (
        pytest.raises(ValueError, match="CUDAExecutionProvider does not start"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", UserWarning)
        CertifiedSession(path, providers=form("CUDAExecutionProvider"), library=False)


def test_a_plain_string_is_one_provider(path: Path) -> None:
    session = CertifiedSession(path, providers="CPUExecutionProvider")
    assert session.predict(images(np.random.default_rng(0), session.network, 2)).label.shape == (2,)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_copies_reopen_the_same_file(
    path: Path,
    tmp_path: Path,
    again: Callable[[CertifiedSession], CertifiedSession],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").write_bytes(path.read_bytes())
    session = CertifiedSession("model.onnx", library=False, threads=1)
    monkeypatch.chdir("/")  # a relative path means the folder of its time
    other = again(session)
    x = images(np.random.default_rng(3), session.network, 9)
    assert (other.predict(x).radius == session.predict(x).radius).all()
    assert (other.certify(x, 0.02) == session.certify(x, 0.02)).all()
    assert other is not session and other._threads == 1 and not other._library
    # Another network that is proved as well.
    onnx.save(build_model(small_network(), preset="other"), tmp_path / "model.onnx")
    with pytest.raises(NotProvedError, match="not the file that the session was opened with"):
        again(session)
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(OSError, match=r"model\.onnx"):
        again(session)


def test_a_process_pool_certifies(path: Path) -> None:
    session = CertifiedSession(path, threads=1)
    batches = [images(np.random.default_rng(seed), session.network, 5) for seed in range(4)]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(session.predict, batches))
    for x, prediction in zip(batches, results, strict=True):
        assert (prediction.radius == session.predict(x).radius).all()


def test_threads_share_a_session(path: Path) -> None:
    session = CertifiedSession(path)
    batches = [images(np.random.default_rng(seed), session.network, 17) for seed in range(24)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda x: (session.predict(x), session.certify(x, 0.03)), batches))
    for x, (prediction, certified) in zip(batches, results, strict=True):
        again = session.predict(x)
        assert all((a == b).all() for a, b in zip(prediction, again, strict=True))
        assert (certified == session.certify(x, 0.03)).all()


def test_an_unproved_file_does_not_run(path: Path, tmp_path: Path) -> None:
    model = onnx.load(path)
    del model.functions[:]
    onnx.save(model, tmp_path / "bad.onnx")
    with pytest.raises(NotProvedError, match="no function is attached"):
        CertifiedSession(tmp_path / "bad.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ValueError, match="not an ONNX file"):
        CertifiedSession(tmp_path / "text.onnx")
    with pytest.raises(OSError, match=r"missing\.onnx"):
        CertifiedSession(tmp_path / "missing.onnx")
