"""Tables: columns by name, classes by name, and every fault with its column."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from sortnet.data import folds, load, load_samples, stratified_split


def frame(count: int = 40) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "pressure": generator.normal(900, 40, count),
            "turns": generator.integers(10, 99, count),
            "open": generator.random(count) < 0.5,
            "state": np.array(["ok", "worn", "broken", "NA"])[np.arange(count) % 4],
            "hours": generator.exponential(5, count),
        }
    )


def write(table: pd.DataFrame, path):
    if path.suffix.lower() == ".parquet":
        parquet.write_table(pa.table({n: pa.array(table[n].tolist()) for n in table}), path)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet", "T.CSV"])
def test_classes_and_features_keep_their_names(tmp_path, name, monkeypatch):
    table = frame()
    write(table, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for spec in (name, f"table:{name}", f"table:{tmp_path / name}"):
        loaded = load(spec, target="state")
        assert loaded.class_names == ("NA", "broken", "ok", "worn")
        assert loaded.feature_names == ("pressure", "turns", "open", "hours")
        assert np.bincount(loaded.test.labels).tolist() == [2, 2, 2, 2]
        assert any("32 samples for training, 8" in note for note in loaded.notes)
        assert any("box" in note for note in loaded.notes)
        rows = np.concatenate([loaded.train.inputs, loaded.test.inputs])
        expected = table[list(loaded.feature_names)].to_numpy(np.float32)
        assert np.array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])
        names = np.array(loaded.class_names)
        by_pressure = dict(zip(table["pressure"].astype(np.float32), table["state"], strict=True))
        for x, label in zip(loaded.train.inputs, loaded.train.labels, strict=True):
            assert by_pressure[x[0]] == names[label]
    assert load(name, target="state", drop=["hours", "open"]).input_shape == (2,)


def test_the_same_whatever_the_format(tmp_path):
    sets = [
        load(str(write(frame(), tmp_path / f"t.{s}")), target="state") for s in ("csv", "parquet")
    ]
    assert np.array_equal(sets[0].train.inputs, sets[1].train.inputs)
    assert np.array_equal(sets[0].box.high, sets[1].box.high)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_delimiters_and_byte_order_marks(tmp_path, mark, separator):
    text = frame().to_csv(index=False, sep=separator)
    (tmp_path / "t.csv").write_text(mark + text, encoding="utf-8")
    loaded = load(f"table:{tmp_path / 't.csv'}", target="state")
    assert loaded.feature_names[0] == "pressure" and len(loaded.feature_names) == 4


def test_other_files_are_read_by_the_names_of_the_first(tmp_path):
    table = frame()
    learned = load(str(write(table, tmp_path / "a.csv")), target="state").schema
    other = table.iloc[:10, ::-1].assign(comment="none")
    samples = load_samples(str(write(other, tmp_path / "b.csv")), like=learned, target="state")
    assert np.array_equal(
        samples.inputs, table[list(learned.feature_names)].to_numpy(np.float32)[:10]
    )
    assert [learned.class_names[label] for label in samples.labels] == table["state"].tolist()[:10]
    with pytest.raises(ValueError, match=r"b\.csv: features 'hours' are missing"):
        write(other.drop(columns="hours"), tmp_path / "b.csv")
        load_samples(str(tmp_path / "b.csv"), like=learned, target="state")
    with pytest.raises(ValueError, match=r"unseen classes 'lost'"):
        write(other.assign(state="lost"), tmp_path / "b.csv")
        load_samples(str(tmp_path / "b.csv"), like=learned, target="state")
    with pytest.raises(ValueError, match=r"'pressure': 99999 lies outside its box"):
        write(other.assign(pressure=99999), tmp_path / "b.csv")
        load_samples(str(tmp_path / "b.csv"), like=learned, target="state")
    with pytest.raises(ValueError, match="needs the data that the network learned from"):
        load_samples(str(tmp_path / "b.csv"), target="state")
    with pytest.raises(ValueError, match="'hours' is a feature that the network takes"):
        load_samples(str(tmp_path / "a.csv"), like=learned, target="hours")


def test_numbers_to_be_predicted(tmp_path):
    path = write(frame(), tmp_path / "t.csv")
    loaded = load(str(path), target="hours", drop=["state"])
    assert loaded.regression and loaded.class_names is None and loaded.classes == 0
    assert load(str(path), target="turns", drop=["state"], regression=True).regression
    assert load(str(path), target="open", drop=["state"]).class_names == ("False", "True")
    with pytest.raises(ValueError, match="no column of numbers"):
        load(str(path), target="state", regression=True)
    with pytest.raises(ValueError, match=r"a stratified split needs 2.*regression"):
        load(str(path), target="turns", drop=["state"])


def test_integer_classes_keep_their_numbers_as_names(tmp_path):
    table = frame().assign(state=np.arange(40) % 3 * 10 + 5)
    loaded = load(str(write(table, tmp_path / "t.csv")), target="state")
    assert loaded.class_names == ("5", "15", "25") and loaded.classes == 3


FAULTS = {
    "missing number": (lambda t: t.assign(hours=t["hours"].where(t.index != 3)), "'hours'.*row 3"),
    "infinity": (lambda t: t.assign(hours=np.where(t.index == 5, np.inf, 1)), "infinity in row 5"),
    "text feature": (lambda t: t.assign(hours="many"), "must be numbers.*'hours'"),
    "decimal comma": (lambda t: t.assign(hours="1,5"), "must be numbers.*'hours'"),
    "constant": (lambda t: t.assign(hours=7.5), "constant features: 'hours'"),
    "one class": (lambda t: t.assign(state="ok"), "only the class 'ok'"),
    "no class": (lambda t: t.assign(state=t["state"].where(t.index != 4)), "'state'.*row 4"),
    "rare class": (lambda t: t.assign(state=["odd"] + ["ok"] * 39), "class 'odd' has 1 sample,"),
    "no target": (lambda t: t.drop(columns="state"), "no target 'state'"),
    "no rows": (lambda t: t.iloc[:0], "no rows|must be numbers"),
    "no header": (lambda t: t.rename(columns=dict(zip(t, "12345", strict=True))), "first line"),
    "only the target": (lambda t: t[["state"]], "no feature columns"),
    "dates": (lambda t: t.assign(hours="2020-01-01"), "must be numbers.*'hours'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_name_file_and_column(tmp_path, name):
    change, words = FAULTS[name]
    path = write(change(frame()), tmp_path / "t.csv")
    with pytest.raises(ValueError, match=words) as raised:
        load(f"table:{path}", target="state")
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


def test_damaged_and_wrong_files(tmp_path):
    good = write(frame(), tmp_path / "t.parquet").read_bytes()
    for name, raw in {
        "cut.parquet": good[: len(good) // 2],
        "noise.parquet": b"PAR1 noise PAR1",
        "empty.csv": b"",
        "ragged.csv": b"a,b,state\n1,2,x\n1,2,3,y\n",
        "latin.csv": "größe,state\n1,ä\n".encode("latin-1"),
        "zero.csv": b"\0\0\0\0",
    }.items():
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(ValueError) as raised:
            load(f"table:{tmp_path / name}", target="state")
        assert str(raised.value).startswith(f"{tmp_path / name}: "), name
        assert "\n" not in str(raised.value)
    (tmp_path / "twice.csv").write_text("a,a,state\n1,2,x\n")
    with pytest.raises(ValueError, match="two columns have the name 'a'"):
        load(f"table:{tmp_path / 'twice.csv'}", target="state")
    with pytest.raises(FileNotFoundError, match="no such file"):
        load(f"table:{tmp_path / 'absent.csv'}", target="state")
    with pytest.raises(ValueError, match=r"a table is a \.csv"):
        load(f"table:{tmp_path / 'a.xlsx'}", target="state")
    with pytest.raises(ValueError, match=r"which column is the target.*'pressure'"):
        load(str(tmp_path / "t.parquet"))
    with pytest.raises(ValueError, match="no column to drop 'x'"):
        load(str(tmp_path / "t.parquet"), target="state", drop=["x"])


@pytest.mark.parametrize("index", ["", "Unnamed: 0", "__index_level_0__"])
def test_a_saved_index_is_no_feature(tmp_path, index):
    table = frame().reset_index(names=index)
    path = str(write(table, tmp_path / "t.csv"))
    with pytest.raises(ValueError, match="looks like a saved index"):
        load(path, target="state")
    loaded = load(path, target="state", drop=[index])
    assert loaded.feature_names == ("pressure", "turns", "open", "hours")
    assert len(load_samples(path, like=loaded.schema, target="state")) == 40


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    path = write(frame(), tmp_path / "t.csv")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"sortnet\[tables\]"):
        load(str(path), target="state")


@given(st.lists(st.integers(2, 30), min_size=2, max_size=5), st.integers(0, 9), st.floats(0.2, 0.6))
def test_stratified_splits_keep_every_sample_once_and_classes_in_proportion(counts, seed, part):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    if min(part, 1 - part) * len(labels) < len(counts):
        return
    first, second = stratified_split(labels, part, seed)
    assert sorted([*first, *second]) == list(range(len(labels)))
    wanted = part * np.array(counts)
    assert (np.abs(np.bincount(labels[second], minlength=len(counts)) - wanted) <= 1.5).all()
    again = stratified_split(labels, part, seed)
    assert np.array_equal(first, again[0]) and np.array_equal(second, again[1])


@pytest.mark.parametrize("labels", [np.arange(40) % 4, np.linspace(0, 1, 41)])
def test_folds_test_every_sample_once(labels):
    parts = list(folds(labels, 5, seed=1))
    assert sorted(i for _, test in parts for i in test) == list(range(len(labels)))
    for train, test in parts:
        assert not {*train} & {*test} and len(train) + len(test) == len(labels)
        if labels.dtype.kind == "i":
            assert np.bincount(labels[test]).tolist() == [2, 2, 2, 2]
    with pytest.raises(ValueError, match="needs 11"):
        list(folds(np.arange(40) % 4, 11))
    for count in (1, 0, 50):
        with pytest.raises(ValueError, match="folds: need"):
            list(folds(labels, count))
    with pytest.raises(ValueError, match=r"cannot split 9 samples at 0\.2: .* at least 3"):
        stratified_split(np.arange(9) % 3, 0.2)
    for fraction in (0, 1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="must lie in"):
            stratified_split(labels, fraction)


def test_classes_are_taken_as_they_are_written(tmp_path: Path) -> None:
    """01 and 1 are two codes, not one number."""
    rows = [f"{i}.5,{code}" for i, code in enumerate(["01", "1", "02", "2"] * 5)]
    path = tmp_path / "codes.csv"
    path.write_text("a,code\n" + "\n".join(rows) + "\n")
    assert set(load(f"table:{path}", target="code").class_names or ()) == {"01", "02", "1", "2"}
