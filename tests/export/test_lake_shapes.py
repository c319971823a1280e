"""Lakes as they are found: empty files, odd names, files that differ, models that are swapped."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from lakes import EPS, check_all, pixels, results, table, write_model
from pyarrow import dataset, parquet

from sortnet.export import BatchCertifier, NotProvedError
from sortnet.export.lake.job import certify_lake
from sortnet.export.lake.plan import DifferentJobError

X = pixels(120)


@pytest.fixture(scope="module")
def certifier(tmp_path_factory: pytest.TempPathFactory) -> BatchCertifier:
    return BatchCertifier(write_model(tmp_path_factory.mktemp("model") / "m.onnx"), EPS)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    (tmp_path / "lake").mkdir()
    return tmp_path / "lake"


def write(path: Path, rows: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(rows, path, row_group_size=25)


def test_files_and_row_groups_without_rows(
    certifier: BatchCertifier, lake: Path, tmp_path: Path
) -> None:
    """Readers take the columns of the first file for those of all."""
    write(lake / "0.parquet", table(X).slice(0, 0))
    with parquet.ParquetWriter(lake / "1.parquet", table(X).schema) as writer:
        for start, length in ((0, 0), (0, 10), (10, 0), (10, 20)):
            writer.write_table(table(X).slice(start, length))
    write(lake / "2.parquet", table(X[30:], 30))
    (lake / "3.parquet").write_bytes(b"")
    summary = certify_lake(certifier, lake, tmp_path / "out", workers=1)
    assert [*summary["failed"]] == ["3.parquet"] and "3.parquet: not a" in summary["failed"][
        "3.parquet"
    ]
    check_all(tmp_path / "out", Path(certifier.path), X)
    found = [parquet.read_schema(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    assert len(found) > 4
    assert {tuple(schema.names) for schema in found} == {tuple(found[0].names)}
    assert {tuple(map(str, schema.types)) for schema in found} == {tuple(map(str, found[0].types))}


def test_a_lake_without_rows(certifier: BatchCertifier, lake: Path, tmp_path: Path) -> None:
    write(lake / "a.parquet", table(X[:0]))
    summary = certify_lake(certifier, lake, tmp_path / "out", workers=1)
    assert summary["rows"] == 0 and summary["accuracy"] is None and summary["failed"] == {}
    assert results(tmp_path / "out").num_rows == 0


@pytest.mark.parametrize(
    "name",
    [
        "ein Ordner/größe=日本 %20#?/ü b.parquet",
        "/".join(["deep"] * 40) + "/a.parquet",
        "a.parquet/a.parquet.00000.parquet",
        "line\nbreak.parquet",
    ],
)
def test_names_of_folders_and_files(
    name: str, certifier: BatchCertifier, lake: Path, tmp_path: Path
) -> None:
    write(lake / name, table(X[:60]))
    write(lake / "other.parquet", table(X[60:], 60))
    out = tmp_path / "out größe" / "a b"
    summary = certify_lake(certifier, lake, out, workers=1)
    assert summary["rows"] == 120 and summary["failed"] == {}
    found = dataset.dataset(out).to_table()
    assert sorted(int(key[1:]) for key in found["key"].to_pylist()) == [*range(120)]
    assert {*found["file"].to_pylist()} == {name, "other.parquet"}
    assert certify_lake(certifier, lake, out, workers=1) == summary


def test_files_that_differ(certifier: BatchCertifier, lake: Path, tmp_path: Path) -> None:
    """Bytes, floats of two widths, labels of other types or none, keys twice: each for itself."""
    rows = [table(X[start : start + 20], start) for start in range(0, 120, 20)]
    floats = X.astype(np.float32) / np.float32(255)
    rows[1] = table(floats[20:40], 20)
    rows[2] = rows[2].set_column(1, "x", pa.array(floats[40:60].astype(np.float64).tolist()))
    rows[3] = rows[3].set_column(2, "y", pa.array([str(i % 3) for i in range(60, 80)]))
    rows[4] = rows[4].drop_columns(["y"]).append_column("comment", pa.array(["?"] * 20))
    rows[5] = rows[5].set_column(0, "key", pa.array(["same"] * 20))
    for number, part in enumerate(rows):
        write(lake / f"{number}.parquet", part)
    summary = certify_lake(certifier, lake, tmp_path / "out", workers=1)
    assert summary["rows"] == 120 and summary["labelled"] == 100 and summary["failed"] == {}
    assert summary["rows_with_errors"] == 0
    expected = certifier({"x": floats})
    for number in range(6):
        path = tmp_path / "out" / f"{number}.parquet.00000.parquet"
        found, part = parquet.read_table(path), slice(20 * number, 20 * number + 20)
        assert found["row"].to_pylist() == [*range(20)]
        assert found["radius"].to_pylist() == expected["radius"][part].tolist()
        assert ("y" in found.column_names) == (number != 4)
    assert found["key"].to_pylist() == ["same"] * 20


@pytest.mark.parametrize("kind", [pa.list_(pa.uint8()), pa.list_(pa.uint8(), 12)])
def test_missing_values_are_errors_of_their_rows(
    kind: pa.DataType, certifier: BatchCertifier, lake: Path, tmp_path: Path
) -> None:
    lists: list = X.tolist()
    lists[3], lists[9] = None, [*lists[9][:11], None]
    labels = [None if i in (3, 5) else i % 3 for i in range(120)]
    try:
        write(lake / "a.parquet", pa.table({"x": pa.array(lists, kind), "y": labels}))
    except pa.ArrowNotImplementedError as error:
        pytest.skip(f"this pyarrow writes no missing list of fixed size: {error}")
    summary = certify_lake(certifier, lake, tmp_path / "out", workers=1)
    assert [(e["row"], e["error"]) for e in summary["errors"]] == [
        (3, "row 3: x is missing"),
        (
            5,
            "no truth: row 5: target 'y': missing value in row 5 "
            "(rows count from 0, without a header)",
        ),
        (9, "row 9: a value of x is missing"),
    ]
    found = results(tmp_path / "out")
    good = [i for i in range(120) if i not in (3, 9)]
    expected = certifier({"x": X[good]})
    assert found.take(good)["radius"].to_pylist() == expected["radius"].tolist()


def test_the_same_folder_with_another_eps_or_a_swapped_file(lake: Path, tmp_path: Path) -> None:
    model, out = write_model(tmp_path / "m.onnx"), tmp_path / "out"
    write(lake / "a.parquet", table(X))
    first = BatchCertifier(model, EPS)
    certify_lake(first, lake, out, workers=1)
    for eps in (("0.3",), EPS[::-1], ("0.01", "0.2")):
        with pytest.raises(DifferentJobError, match=r"eps was \["):
            certify_lake(BatchCertifier(model, eps), lake, out, workers=1)
    write_model(model, seed=7)
    with pytest.raises(DifferentJobError, match="model_sha256 was"):
        certify_lake(BatchCertifier(model, EPS), lake, out, workers=1)
    late = BatchCertifier(model, EPS)
    write_model(model, seed=8)  # between the hash and the first session
    with pytest.raises(NotProvedError, match="is not the file that"):
        certify_lake(late, lake, tmp_path / "new", workers=1)
    assert not (tmp_path / "new").exists()
    check_all(out, write_model(model), X)
    assert re.fullmatch("[0-9a-f]{64}", results(out)["model_sha256"][0].as_py())
