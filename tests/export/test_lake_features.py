"""Tables in lakes: a column for each feature, found by the names in the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from lakes import EPS, results
from networks import F32, neuron
from pyarrow import dataset, parquet

from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import Bias, Negate
from sortnet.cli.main import cli
from sortnet.export import BatchCertifier, CertifiedSession
from sortnet.export.schema import schema_of
from sortnet.export.writer import build_model

NAMES = ("age", "dose in mg", "größe")
CLASSES = ("no", "yes")
LOW, HIGH = np.array([0, -1, 100], F32), np.array([100, 1, 250], F32)
KINDS = (pa.int16(), pa.float64(), pa.float32())
ROWS = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of three features with a box and a unit each, one of which cannot be changed."""
    spec = InputSpec((3,), LOW, HIGH, np.array([10, 0.5, 0], F32))
    more = {"sortnet.feature_names": json.dumps(NAMES), "sortnet.class_names": json.dumps(CLASSES)}
    path = tmp_path_factory.mktemp("model") / "t.onnx"
    bias = np.zeros(2, F32)
    for _ in range(2):  # the second has about as many of each class
        ops = [neuron(np.random.default_rng(3), 3, 2, 2, 0.3), Bias(bias), Negate()]
        onnx.save(build_model(Network(spec, ops), more=more), path)
        logits = CertifiedSession(path).predict(values().astype(F32)).logits
        bias = np.array([np.median(logits[:, 0] - logits[:, 1]), 0], F32)
    return path


def values(rows: int = ROWS) -> np.ndarray:
    """[rows, 3] in the box; the first feature is whole numbers."""
    x = np.random.default_rng(1).uniform(LOW, HIGH, (rows, 3))
    return np.column_stack([x[:, 0].round(), x[:, 1], x[:, 2].astype(F32)])


def frame(x: np.ndarray, first: int = 0) -> pa.Table:
    """Columns in another order than the network's, of other types, beside others."""
    names = [CLASSES[i % 2] for i in range(first, first + len(x))]
    columns = {n: pa.array(x[:, i].tolist(), KINDS[i]) for i, n in enumerate(NAMES)}
    keys = [f"k{i}" for i in range(first, first + len(x))]
    return pa.table({"comment": names, **dict(reversed(columns.items())), "y": names, "key": keys})


def check(found: pa.Table, model: Path, x: np.ndarray) -> None:
    """Bit for bit what one session says."""
    session = CertifiedSession(model, threads=1)
    floats = x.astype(F32)
    label, radius, _ = session.predict(floats)
    assert found["label"].to_pylist() == label.tolist()
    assert np.asarray(found["radius"], F32).tobytes() == radius.tobytes()
    for eps in EPS:
        assert found[f"certified@{eps}"].to_pylist() == session.certify(floats, eps).tolist()
    assert len({*label.tolist()}) == 2 and (radius > 0).any()


def call(*arguments: object) -> Result:
    return CliRunner().invoke(
        cli, ["certify", *map(str, arguments), "--eps", EPS[0], "--eps", EPS[1]]
    )


def test_batches_of_feature_columns(model: Path) -> None:
    certifier, x = BatchCertifier(model, EPS), values()
    assert certifier.schema.feature_names == NAMES
    found = certifier(frame(x))
    check(found, model, x)
    assert found.column_names[:3] == ["comment", "y", "key"] and not {*NAMES} & {
        *found.column_names
    }
    named = {name: x[:, i] for i, name in enumerate(NAMES)} | {"key": np.arange(ROWS)}
    again = certifier(named)
    assert again["radius"].tobytes() == np.asarray(found["radius"], F32).tobytes()
    assert [*again][:2] == ["key", "label"]
    with pytest.raises(ValueError, match="features 'age' are missing"):
        certifier(frame(x).drop_columns(["age"]))
    with pytest.raises(ValueError, match="features 'age', 'größe' are missing"):
        certifier({"dose in mg": x[:, 1]})
    with pytest.raises(ValueError, match="column 'age' is string; expected numbers"):
        certifier(frame(x).drop_columns(["age"]).append_column("age", pa.array(["a"] * ROWS)))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("age", None, "column 'age': missing value in row 1007"),
        ("größe", None, "column 'größe': missing value in row 1007"),
        ("dose in mg", float("nan"), "column 'dose in mg': NaN in row 1007"),
        ("dose in mg", float("-inf"), "column 'dose in mg': infinity in row 1007"),
        ("größe", 99.5, "sample 1007, 'größe': 99.5 lies outside its box"),
        ("age", 101, "sample 1007, 'age': 101 lies outside its box"),
    ],
)
def test_a_bad_value_is_named_and_the_others_are_as_ever(
    name: str, value: object, words: str, model: Path
) -> None:
    certifier, x = BatchCertifier(model, EPS), values()
    rows = frame(x)
    column = rows[name].to_pylist()
    column[7] = value
    place = rows.column_names.index(name)
    kind = rows.schema.field(name).type
    rows = rows.set_column(place, name, pa.array(column, kind))
    found = certifier(rows, 1000)
    errors = found["error"].to_pylist()
    assert [i for i, error in enumerate(errors) if error] == [7] and words in errors[7]
    assert found["label"][7].as_py() == -1 and found["radius"][7].as_py() == 0
    good = [i for i in range(ROWS) if i != 7]
    check(found.take(good), model, x[good])


def test_a_lake_of_tables_from_command_to_summary(model: Path, tmp_path: Path) -> None:
    lake, out, x = tmp_path / "lake", tmp_path / "out", values()
    (lake / "a" / "b").mkdir(parents=True)
    parquet.write_table(frame(x[:25]), lake / "a" / "1.parquet", row_group_size=10)
    parquet.write_table(frame(x[25:], 25), lake / "a" / "b" / "2.parquet", row_group_size=10)
    base = [model, "--data", f"parquet:{lake}"]
    done = call(*base, "--out", out)
    assert done.exit_code == 0, done.output
    found = dataset.dataset(out).to_table()
    place = np.array([int(key[1:]) for key in found["key"].to_pylist()])
    assert sorted(place.tolist()) == [*range(ROWS)]
    check(found.take(np.argsort(place)), model, x)
    summary = json.loads((out / "_summary.json").read_text())
    assert summary["labelled"] == summary["rows"] == ROWS
    right = [CLASSES[r["label"]] == r["y"] for r in found.select(["label", "y"]).to_pylist()]
    assert summary["accuracy"]["count"] == sum(right)
    # The same without a folder of results, by the same reading of the file.
    whole = call(*base, "--samples", tmp_path / "s.parquet")
    assert whole.exit_code == 0, whole.output
    samples = parquet.read_table(tmp_path / "s.parquet")["radius"].to_pylist()
    assert samples == found.take(np.argsort(place))["radius"].to_pylist()
    # Labels of another name; a key that is no column.
    done = call(*base, "--out", tmp_path / "two", "--target", "comment")
    assert done.exit_code == 0, done.output
    assert results(tmp_path / "two")["y"].to_pylist() == results(out)["y"].to_pylist()


def test_a_file_that_lacks_a_feature_is_left_out(model: Path, tmp_path: Path) -> None:
    lake, out, x = tmp_path / "lake", tmp_path / "out", values()
    lake.mkdir()
    parquet.write_table(frame(x[:30]), lake / "1.parquet")
    parquet.write_table(frame(x[30:], 30).drop_columns(["age"]), lake / "2.parquet")
    base = [model, "--data", f"parquet:{lake}", "--out", out]
    done = call(*base)
    assert done.exit_code == 1
    assert "left out 2.parquet, row group 0: features 'age' are missing" in done.output
    check(results(out), model, x[:30])
    parquet.write_table(frame(x[:30]).drop_columns(["age"]), lake / "1.parquet")
    done = call(*base[:-1], tmp_path / "no")
    assert done.exit_code == 1 and "features 'age' are missing" in done.output
    assert not (tmp_path / "no").exists()


def test_one_schema_for_commands_and_certifiers(model: Path) -> None:
    session, certifier = CertifiedSession(model), BatchCertifier(model, EPS, levels=16)
    one, other = schema_of(session).to_json(), certifier.schema.to_json()
    assert one == other  # levels are of pixels
    assert one["feature_names"] == list(NAMES) and one["class_names"] == list(CLASSES)
    assert one["box"] == {"low": LOW.tolist(), "high": HIGH.tolist()} and one["classes"] == 2
