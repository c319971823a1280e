"""The picklable certifier: the same answers in every process, rows that name what ails them."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lakes import EPS, SIZE, pixels, table, write_model
from PIL import Image

import sortnet
from sortnet.export import BatchCertifier, CertifiedSession, NotProvedError

X = pixels(50)
FLOATS = X.astype(np.float32) / np.float32(255)


@pytest.fixture(scope="module", params=[False, True], ids=["margin", "interval"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "m.onnx", request.param)


@pytest.fixture(scope="module")
def certifier(model: Path) -> BatchCertifier:
    return sortnet.BatchCertifier(model, EPS)


def check(found: dict[str, np.ndarray], model: Path, rows: np.ndarray) -> None:
    session = CertifiedSession(model, threads=1)
    x = FLOATS[rows].reshape(-1, 1, 3, 4)
    label, radius, _ = session.predict(x)
    assert np.array_equal(found["label"], label) and found["label"].dtype == np.int64
    assert found["radius"].tobytes() == radius.tobytes() and found["radius"].dtype == np.float32
    for eps in EPS:
        assert np.array_equal(found[f"certified@{eps}"], session.certify(x, eps))


def encoded(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.reshape(3, 4)).save(file, "PNG")
    return file.getvalue()


def objects(values: list) -> np.ndarray:
    return np.array([*values, None], object)[:-1]


FORMS = {
    "bytes": X,
    "floats": FLOATS,
    "float64": X / 255,
    "images": FLOATS.reshape(-1, 1, 3, 4),
    "lists": objects(X.tolist()),
    "pictures": objects([encoded(x) for x in X]),
}


@pytest.mark.parametrize("form", FORMS)
def test_dicts_and_tables_say_what_a_session_says(
    form: str, certifier: BatchCertifier, model: Path
) -> None:
    x = FORMS[form]
    found = certifier({"x": x, "key": np.arange(50)})
    check(found, model, np.arange(50))
    assert list(found) == [
        *("key", "label", "radius", "certified@1/100", "certified@0.2", "error", "model_sha256")
    ]
    assert found["error"].tolist() == [None] * 50
    assert set(found["model_sha256"]) == {certifier.sha256}
    if x.dtype == object or x.ndim == 2:
        column = pa.array(x.tolist()) if x.dtype == object else table(x)["x"]
        again = certifier(pa.table({"x": column, "key": np.arange(50)}))
        assert again.column_names == list(found)
        for name in again.column_names:
            assert again[name].to_pylist() == found[name].tolist()


@given(bad=st.dictionaries(st.integers(0, 49), st.sampled_from(["nan", "inf", "big", "low"])))
def test_bad_rows_are_named_and_the_others_are_as_ever(
    bad: dict[int, str], certifier: BatchCertifier
) -> None:
    x = FLOATS.copy()
    value = {"nan": np.nan, "inf": np.inf, "big": 1.5, "low": -1e-9}
    for row, kind in bad.items():
        x[row, row % SIZE] = value[kind]
    found = certifier({"x": x}, first=1000)
    for row in range(50):
        error = found["error"][row]
        assert (error is not None) == (row in bad)
        if row in bad:
            assert f"sample {1000 + row}, feature {row % SIZE}" in error
            assert found["label"][row] == -1 and found["radius"][row] == 0
            assert not any(found[f"certified@{eps}"][row] for eps in EPS)
    good = np.array([row for row in range(50) if row not in bad], int)
    check({name: values[good] for name, values in found.items()}, Path(certifier.path), good)


def test_strict_raises_and_wrong_columns_always_do(model: Path) -> None:
    strict = BatchCertifier(model, "0.1", strict=True)
    x = FLOATS.copy()
    x[7, 3] = np.nan
    with pytest.raises(ValueError, match="sample 7, feature 3: NaN"):
        strict({"x": x})
    loose = BatchCertifier(model, 0.1)
    for batch, words in (
        ({"z": FLOATS}, "no column 'x'"),
        ({"x": FLOATS.reshape(-1, 3, 4, 1)}, r"x is \[50, 3, 4, 1\], expected \[N, 1, 3, 4\]"),
        ({"x": FLOATS[:, :5]}, "expected"),
        ({"x": FLOATS, "label": np.zeros(50)}, "a column 'label' already"),
        (FLOATS, "expected an Arrow table or a dict of arrays, got ndarray"),
        (pa.table({"x": ["a"]}), "expected lists of numbers"),
    ):
        with pytest.raises(ValueError, match=words):
            loose(batch)
    assert len(loose({"x": FLOATS[:0]})["label"]) == 0
    assert loose(table(X[:0])).num_rows == 0


@pytest.mark.parametrize("arrow", [False, True])
def test_dark_integers_are_refused_until_levels_are_said(arrow: bool, model: Path) -> None:
    def batch(x: np.ndarray) -> object:
        return table(x).select(["x"]) if arrow else {"x": x}

    loose = BatchCertifier(model, EPS)
    words = r"largest pixel is 16: if that is white, pass levels=16 .* pass levels=255"
    for strict in (False, True):
        with pytest.raises(ValueError, match=words):
            BatchCertifier(model, EPS, strict=strict)(batch(X % 17))
    assert list(loose(batch(X % 17), look=False)["radius"]) == list(
        BatchCertifier(model, EPS, levels=255)(batch(X % 17))["radius"]
    )
    found = BatchCertifier(model, EPS, levels=16)(batch(X % 17))
    floats = (X % 17).astype(np.float32) / np.float32(16)
    expected = loose({"x": floats})["radius"]
    assert np.asarray(found["radius"], np.float32).tobytes() == expected.tobytes()
    loose(batch(X[:5] * 0))  # black in any case
    mixed = np.concatenate([X % 17, np.full((1, SIZE), 128, np.uint8)])
    loose(batch(mixed))
    loose({"x": (X % 17 > 8).astype(np.float32)})  # floats say themselves what is white


def test_bad_arguments(model: Path, tmp_path: Path) -> None:
    for arguments, words in (
        ({"eps": ()}, "at least one radius"),
        ({"eps": "much"}, "a radius is"),
        ({"eps": "0.1", "threads": 0}, "threads must be at least 1"),
        ({"eps": "0.1", "levels": 256}, "levels must lie in"),
    ):
        with pytest.raises(ValueError, match=words):
            BatchCertifier(model, **arguments)
    with pytest.raises(OSError, match="nothing"):
        BatchCertifier(tmp_path / "nothing", "0.1")
    with pytest.raises(ValueError, match=r"above 0 and at most 1 \(pixels"):
        BatchCertifier(model, "2")({"x": FLOATS})


def test_pickled_it_is_small_and_refuses_another_file(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    certifier = BatchCertifier(path, EPS)
    first = certifier({"x": FLOATS})
    packed = pickle.dumps(certifier)
    assert len(packed) < 1000
    for other in (pickle.loads(packed), copy.deepcopy(certifier)):
        assert other.sha256 == certifier.sha256 and other._opened is None
        assert other({"x": FLOATS})["radius"].tobytes() == first["radius"].tobytes()
    write_model(path, seed=2)
    assert certifier({"x": FLOATS})["radius"].tobytes() == first["radius"].tobytes()
    with pytest.raises(NotProvedError, match="is not the file"):
        pickle.loads(packed)({"x": FLOATS})
    path.write_bytes(b"nothing")
    late = BatchCertifier(path, EPS)
    with pytest.raises(NotProvedError):
        late({"x": FLOATS})


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_of_processes(method: str, threads: int, model: Path, tmp_path: Path) -> None:
    """Also where the parent has run its session before: its threads are not in the child."""
    if method == "fork" and sys.platform != "linux":
        pytest.skip("fork is for Linux")
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import multiprocessing, os, sys
import numpy as np
from sortnet.export import BatchCertifier

def work(batch):
    out = certifier(batch) if {method == "fork"} else batch[0](batch[1])
    return os.getpid(), out["label"], out["radius"]

certifier = None
if __name__ == "__main__":
    certifier = BatchCertifier(sys.argv[1], {EPS!r}, threads={threads})
    x = np.load(sys.argv[2])
    before = certifier({{"x": x}})
    batches = [{{"x": part}} for part in np.array_split(x, 8)]
    if {method == "spawn"}:
        batches = [(certifier, batch) for batch in batches]
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        found = pool.map(work, batches, chunksize=1)
    assert os.getpid() not in {{pid for pid, _, _ in found}}
    assert np.array_equal(np.concatenate([label for _, label, _ in found]), before["label"])
    radius = np.concatenate([radius for _, _, radius in found])
    assert radius.tobytes() == before["radius"].tobytes()
    assert certifier({{"x": x}})["radius"].tobytes() == before["radius"].tobytes()
    print("good")
"""
    )
    np.save(tmp_path / "x.npy", FLOATS)
    command = [sys.executable, str(script), str(model), str(tmp_path / "x.npy")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.strip() == "good", done.stderr
