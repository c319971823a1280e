"""Small lakes and the network that certifies them."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
from networks import F32, neuron
from pyarrow import dataset, parquet

from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import Affine, Bias, Flatten, Negate, Shift, Tanh
from sortnet.data import Split
from sortnet.export import CertifiedSession
from sortnet.export.report import certify_split
from sortnet.export.writer import build_model

EPS = ("1/100", "0.2")
SIZE = 12


def write_model(path: Path, head: bool = True, seed: int = 1, hidden: int = 8) -> Path:
    """A network of 12 pixels and 3 classes, with interval bounds (head) or a margin radius."""
    rng = np.random.default_rng(seed)
    ops = [Flatten(), neuron(rng, SIZE, hidden, 4, 0.3), Shift(rng.normal(size=hidden).astype(F32))]
    if head:
        W = rng.normal(size=(3, hidden)).astype(F32)
        ops += [Tanh(), Affine(W, np.zeros(3, F32))]
    else:
        ops += [neuron(rng, hidden, 3, 2, 0.3), Bias(np.zeros(3, F32)), Negate()]
    onnx.save(build_model(Network((1, 3, 4), ops), Fraction(1, 20) if head else None), path)
    return path


def write_named_model(path: Path) -> Path:
    """A network of the features x1, y and key."""
    ops = [neuron(np.random.default_rng(0), 3, 3, 2, 0.3), Bias(np.zeros(3, F32)), Negate()]
    more = {"sortnet.feature_names": json.dumps(["x1", "y", "key"])}
    onnx.save(build_model(Network(InputSpec((3,)), ops), more=more), path)
    return path


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE)).astype(np.uint8)


def table(x: np.ndarray, first: int = 0) -> pa.Table:
    """Rows with keys and labels; x uint8 or float32 [N, 12]."""
    return pa.table(
        {
            "key": [f"k{i}" for i in range(first, first + len(x))],
            "x": pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), SIZE),
            "y": np.arange(first, first + len(x)) % 3,
        }
    )


def write_lake(root: Path, x: np.ndarray, files: int, rows: int, **options: Any) -> Path:
    """So many files of about the same size, in two folders, with row groups of so many rows."""
    first = 0
    for number, part in enumerate(np.array_split(x, files)):
        path = root / f"day={number % 2}" / f"{number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table(part, first), path, row_group_size=rows, **options)
        first += len(part)
    return root


def damage(path: Path, group: int) -> None:
    """Overwrite the column x of a row group."""
    column = next(
        c
        for i in range(3)
        if (c := parquet.ParquetFile(path).metadata.row_group(group).column(i)).path_in_schema[0]
        == "x"
    )
    start = column.dictionary_page_offset or column.data_page_offset
    raw = bytearray(path.read_bytes())
    raw[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(raw)


def results(out: Path) -> pa.Table:
    """All rows of a job, as any reader of Parquet finds them, by key."""
    return dataset.dataset(out).to_table().sort_by([("row", "ascending")])


def check_all(out: Path, model: Path, x: np.ndarray, skip: frozenset[int] = frozenset()) -> None:
    """Every row once, and bit for bit what a single session says."""
    found = results(out)
    place = np.array([int(key[1:]) for key in found["key"].to_pylist()])
    assert sorted(place.tolist()) == [i for i in range(len(x)) if i not in skip]
    session = CertifiedSession(model, threads=1)
    split = Split(x.reshape(-1, 1, 3, 4), np.arange(len(x)) % 3)
    report = certify_split(session, split, EPS)
    assert np.array_equal(found["label"].to_numpy(), report.label[place])
    radius = found["radius"].to_numpy()
    assert radius.dtype == np.float32
    assert radius.tobytes() == report.radius[place].tobytes()
    for eps in EPS:
        assert np.array_equal(found[f"certified@{eps}"].to_numpy(), report.certified[eps][place])
    assert set(found["model_sha256"].to_pylist()) == {session.sha256}
    assert found["error"].null_count == len(found)
    assert np.array_equal(found["y"].to_numpy(), place % 3)
