"""Arrays in `.npz` files: what each means, and what is refused by name."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
from files import decided
from hypothesis import given
from hypothesis import strategies as st
from sklearn import datasets

from sortnet.data import load, load_samples
from sortnet.data.arrays import load_npz

X = np.random.default_rng(0).random((30, 4, 4))
Y = np.arange(30) % 3
BYTES = np.random.default_rng(1).integers(0, 256, (30, 3, 4, 4)).astype(np.uint8)


def save(path, **arrays: object):
    np.savez(path, **arrays)
    return path


def test_samples_of_one_split(tmp_path):
    split = load_npz(save(tmp_path / "good.npz", x=X[:3], y=np.arange(3)))
    assert split.floats().shape == (3, 1, 4, 4)
    assert np.array_equal(split.floats()[:, 0], X[:3].astype(np.float32))
    whole = load_npz(
        save(tmp_path / "BYTES.NPZ.npz", x=np.full((3, 1, 4, 4), 255, np.uint8), y=[0] * 3)
    )
    assert (whole.floats() == 1).all() and whole.inputs.dtype == np.uint8


@pytest.mark.parametrize("name", ["a.npz", "A.NPZ", "with spaces.Npz"])
def test_two_splits_by_every_spelling(tmp_path, name, monkeypatch):
    arrays = {"x_train": BYTES, "y_train": Y, "x_test": BYTES[:9], "y_test": Y[:9]}
    with open(tmp_path / name, "wb") as file:
        np.savez(file, **arrays)
    monkeypatch.chdir(tmp_path)
    for spec in (name, f"npz:{name}", str(tmp_path / name), f"npz:{tmp_path / name}"):
        loaded = load(spec)
        assert len(loaded.train) == 30 and not decided(loaded)
        assert np.array_equal(loaded.test.inputs, BYTES[:9]) and loaded.classes == 3
        assert len(load_samples(spec)) == 9


def test_one_split_is_parted_in_proportion_and_says_so(tmp_path):
    spec = f"npz:{save(tmp_path / 'a.npz', x=BYTES, y=Y)}"
    one, again, other = (load(spec, seed=seed) for seed in (0, 0, 1))
    assert np.bincount(one.test.labels).tolist() == [2, 2, 2] and len(one.train) == 24
    assert np.array_equal(one.test.inputs, again.test.inputs)
    assert not np.array_equal(one.test.inputs, other.test.inputs)
    for split in (one.train, one.test):  # names are rows of the file
        assert np.array_equal(split.inputs, BYTES[[int(name) for name in split.sample_names]])
    assert sorted((*one.train.sample_names, *one.test.sample_names), key=int) == [
        str(row) for row in range(30)
    ]
    assert "24 samples for training, 6" in one.notes[0] and "seed 1" in other.notes[0]
    assert len(load_samples(spec)) == 30


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float64])
def test_bytes_of_few_levels_are_not_read_as_dark(tmp_path, dtype):
    digits = datasets.load_digits()
    path = save(tmp_path / "d.npz", x=digits.images.astype(dtype), y=digits.target)
    words = "divide by" if dtype == np.float64 else "largest pixel is 16.*levels=16"
    for function in (load_npz, lambda p: load(f"npz:{p}")):
        with pytest.raises(ValueError, match=words):
            function(path)
    if dtype == np.float64:
        return
    known = load("digits")
    named = save(tmp_path / "n.npz", x=digits.images.astype(dtype), y=digits.target, levels=16)
    for split in (
        load_npz(path, levels=16),
        load_npz(path, like=known.schema),
        load_npz(named),
        load_samples(f"npz:{path}", like=known.schema),
    ):
        assert split.levels == 16 and split.floats().max() == 1
    assert load(f"npz:{path}", levels=16).train.levels == 16
    assert load(f"npz:{named}").schema.levels == 16


@pytest.mark.parametrize("most", [1, 2, 15, 63, 100, 127])
def test_other_small_maxima_are_refused_too(tmp_path, most):
    x = np.full((4, 1, 2, 2), most, np.uint8)
    with pytest.raises(ValueError, match=f"levels={most}"):
        load_npz(save(tmp_path / "a.npz", x=x, y=np.zeros(4, int)))
    dark = load_npz(save(tmp_path / "a.npz", x=x, y=np.zeros(4, int), levels=255))
    assert (dark.floats() == np.float32(most) / np.float32(255)).all()


def test_tables_and_signals_get_a_box(tmp_path):
    wine = datasets.load_wine()
    spec = f"npz:{save(tmp_path / 'w.npz', x=wine.data, y=wine.target_names[wine.target])}"
    loaded = load(spec)
    assert loaded.input_shape == (13,) and loaded.class_names == ("class_0", "class_1", "class_2")
    assert (loaded.box.low < wine.data.min(0)).all() and (loaded.box.high > wine.data.max(0)).all()
    assert any(note.startswith("box:") for note in loaded.notes)
    signals = np.random.default_rng(0).normal(0, 3, (20, 2, 8))
    path = save(tmp_path / "s.npz", x=signals, y=np.arange(20) % 2)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        load(f"npz:{path}")
    assert load(f"npz:{path}", layout="NCT").input_shape == (2, 8)
    limit = np.full((2, 8), 20.0)
    path = save(tmp_path / "s.npz", x=signals, y=np.arange(20) % 2, low=-limit, high=limit)
    assert np.array_equal(load(f"npz:{path}").box.high, limit)
    assert load_samples(f"npz:{path}").box is not None
    with pytest.raises(ValueError, match="lies outside its box"):
        small = load(f"npz:{path}").schema
        load_npz(save(tmp_path / "t.npz", x=signals * 10, y=np.arange(20) % 2), like=small)


def test_samples_take_the_shape_that_the_network_knows(tmp_path):
    signals = np.random.default_rng(0).random((20, 3, 8))
    path = save(tmp_path / "s.npz", x=signals, y=np.arange(20) % 2)
    assert load_npz(path).inputs.shape == (20, 1, 3, 8)
    learned = load(f"npz:{path}", layout="NCT").schema
    assert load_npz(path, like=learned).inputs.shape == (20, 3, 8)
    thin = save(tmp_path / "t.npz", x=np.zeros((20, 9, 9, 1)), y=np.arange(20) % 2)
    learned = load(f"npz:{thin}", layout="NCHW").schema
    assert load_npz(thin, like=learned).inputs.shape == (20, 9, 9, 1)


def test_float_targets_are_a_regression(tmp_path):
    y = np.random.default_rng(0).normal(size=30)
    loaded = load(f"npz:{save(tmp_path / 'r.npz', x=X, y=y)}")
    assert loaded.regression and loaded.classes == 0
    both = np.concatenate([loaded.train.labels, loaded.test.labels])
    assert np.array_equal(np.sort(both), np.sort(y))
    assert "at random" in loaded.notes[0]
    counted = load(f"npz:{save(tmp_path / 'c.npz', x=X, y=Y)}", regression=True)
    assert counted.regression and counted.train.labels.dtype == np.float64


def test_names_of_the_file_are_kept(tmp_path):
    names = np.array(["cat", "dog", "owl"])
    loaded = load(f"npz:{save(tmp_path / 'a.npz', x=BYTES, y=names[Y], class_names=names[::-1])}")
    assert loaded.class_names == ("owl", "dog", "cat")
    numbered = save(tmp_path / "d.npz", x=BYTES, y=Y, class_names=names)
    assert load(f"npz:{numbered}").class_names == tuple(names)
    assert np.array_equal(load_npz(numbered).labels, Y)
    with pytest.raises(ValueError, match="unseen classes '3'"):
        load_npz(save(tmp_path / "e.npz", x=BYTES, y=Y + 1, class_names=names))
    other = save(tmp_path / "b.npz", x=BYTES[:2], y=np.array(["dog", "owl"]))
    assert load_npz(other, like=loaded.schema).labels.tolist() == [1, 0]
    strange = save(tmp_path / "c.npz", x=BYTES[:2], y=np.array(["dog", "fox"]))
    with pytest.raises(ValueError, match=r"c\.npz: unseen classes 'fox'"):
        load_npz(strange, like=loaded.schema)


BAD = {
    "range": {"x": X[:3] * 2, "y": np.arange(3)},
    "count": {"x": X[:3], "y": np.arange(4)},
    "huge": {"x": X[:3], "y": np.full(3, 2**63 + 5, np.uint64)},  # must not wrap to < 0
    "label": {"x": X[:3], "y": X[:3, 0, 0]},
    "missing": {"x": X},
    "object": {"x": np.array([[{}]], dtype=object), "y": np.arange(1)},
    "nan": {"x": np.full((3, 4), np.nan), "y": np.arange(3)},
    "last": {"x": np.zeros((3, 9, 9, 3)), "y": np.arange(3)},
    "half": {"x_train": X, "y_train": Y, "x_test": X},
    "both": {"x": X, "y": Y, "x_train": X, "y_train": Y, "x_test": X, "y_test": Y},
    "scalar": {"x": 1.0, "y": 1},
    "levels": {"x": BYTES, "y": Y, "levels": [1, 2]},
    "low": {"x": X, "y": Y, "low": X[0]},
    "text": {"x": X, "y": Y.astype(str)},
}


@pytest.mark.parametrize("name", BAD)
def test_faults_name_the_file(tmp_path, name):
    with pytest.raises(ValueError, match=rf"{name}\.npz: ") as raised:
        load_npz(save(tmp_path / f"{name}.npz", **BAD[name]))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("labels", [Y + 1, Y - 1, Y * 2, -Y, Y * 1000])
def test_integer_labels_count_from_zero_in_every_file(tmp_path, labels):
    with pytest.raises(ValueError, match=r"labels must count 0, 1, 2"):
        load(f"npz:{save(tmp_path / 'a.npz', x=BYTES, y=labels)}")


def test_sets_that_cannot_be_learned_are_refused(tmp_path):
    for y, words in (
        (np.zeros(30, int), "only the class '0'"),
        (np.array(["a"] * 29 + ["b"]), "class 'b' has 1 sample, a stratified split needs 2"),
    ):
        with pytest.raises(ValueError, match=words):
            load(f"npz:{save(tmp_path / 'a.npz', x=BYTES, y=y)}")
    constant = save(tmp_path / "c.npz", x=np.c_[np.arange(30) * 3.0, np.full(30, 7)], y=Y)
    with pytest.raises(ValueError, match=r"c\.npz: constant features: feature 1"):
        load(f"npz:{constant}")


def test_damaged_files_name_themselves(tmp_path):
    np.savez_compressed(tmp_path / "bits.npz", x=np.tile(X, (5, 1, 1)), y=np.tile(Y, 5))
    whole = (tmp_path / "bits.npz").read_bytes()
    for place in range(0, len(whole), 31):  # some flips hit nothing that is read
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        (tmp_path / "bits.npz").write_bytes(damaged)
        with contextlib.suppress(ValueError):
            load_npz(tmp_path / "bits.npz")
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "bits.npz").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"bits\.npz: not a readable"):
            load_npz(tmp_path / "bits.npz")
    (tmp_path / "noise.npz").write_bytes(b"PK no zip")
    with pytest.raises(ValueError, match="not a readable"):
        load_npz(tmp_path / "noise.npz")
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_npz(tmp_path / "absent.npz")
    with pytest.raises(FileNotFoundError, match="no such file"):
        load(f"npz:{tmp_path / 'absent.npz'}")


@given(st.permutations(range(4)), st.permutations(range(3)))
def test_names_of_another_file_put_features_and_classes_in_order(
    order: list[int], classes: list[int]
) -> None:
    features, kinds = np.array(["a", "b", "c", "d"]), np.array(["cat", "dog", "eel"])
    x, y = np.random.default_rng(0).random((30, 4)), np.arange(30) % 3
    with tempfile.TemporaryDirectory() as folder:
        first = save(Path(folder) / "a.npz", x=x, y=kinds[y], feature_names=features)
        learned = load(f"npz:{first}").schema
        places = np.argsort(classes)[y]  # of each label's name among the permuted names
        other = save(
            Path(folder) / "b.npz",
            **{"x": x[:, order], "y": places},
            **{"feature_names": features[order], "class_names": kinds[classes]},
        )
        samples = load_npz(other, like=learned)
    assert np.array_equal(samples.inputs, x.astype(np.float32))
    assert np.array_equal(samples.labels, y)


def test_names_that_the_network_does_not_know_are_refused(tmp_path):
    x, y = np.random.default_rng(0).random((30, 2)), np.arange(30) % 2
    names = {"feature_names": ["a", "b"], "class_names": ["cat", "dog"]}
    learned = load(f"npz:{save(tmp_path / 'a.npz', x=x, y=y, **names)}").schema
    with pytest.raises(ValueError, match=r"b\.npz: the network learned from the feature 'a'"):
        load_npz(save(tmp_path / "b.npz", x=x, y=y, feature_names=["u", "v"]), like=learned)
    with pytest.raises(ValueError, match="one name a feature"):
        load_npz(save(tmp_path / "b.npz", x=x, y=y, feature_names=["a"]), like=learned)
    with pytest.raises(ValueError, match="unseen classes 'blue', 'red'"):
        load_npz(save(tmp_path / "b.npz", x=x, y=y, class_names=["red", "blue"]), like=learned)


def test_what_float32_cannot_tell_apart_is_constant(tmp_path):
    x = np.random.default_rng(0).random((30, 2)) * 1e-3 + [1e9, 0]
    with pytest.raises(ValueError, match="constant features: feature 0"):
        load(f"npz:{save(tmp_path / 'a.npz', x=x, y=np.arange(30) % 2)}")


def test_arrays_that_mean_nothing_are_named(tmp_path):
    """A misspelt one would be lost without a word."""
    arrays = {"x": BYTES, "y": Y, "class_name": ["a", "b", "c"], "weights": np.ones(30)}
    notes = load(str(save(tmp_path / "d.npz", **arrays))).notes
    assert notes[:2] == (
        "array 'class_name' is left alone; did you mean 'class_names'?",
        "array 'weights' is left alone",
    )
    assert len(load(str(save(tmp_path / "e.npz", x=BYTES, y=Y))).notes) == 1
