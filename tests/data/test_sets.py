"""What users write after --data, and where it is looked for."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from files import save_image

from sortnet.data import BUNDLED, load, load_samples, resolve
from sortnet.data.bundled import FULL_SCALE, LENGTH, RATE, load_vibration
from sortnet.data.sets import user_folder


def test_paths_are_absolute_and_relative_ones_lie_under_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    here = str(tmp_path)
    paths = {"folder": "photos", "npz": "a.npz", "table": "sub/t.csv", "parquet": "lake"}
    for kind, path in paths.items():
        assert resolve(f"{kind}:{path}") == (f"{kind}:{here}/{path}", None)
        assert resolve(f"{kind}:{path}", "data") == (f"{kind}:{here}/data/{path}", None)
        assert resolve(f"{kind}:~/{path}") == (f"{kind}:{here}/home/{path}", None)
        absolute = f"{kind}:{here}/{path}"
        assert resolve(absolute) == (absolute, None) == resolve(resolve(f"{kind}:{path}")[0])
        with pytest.raises(ValueError, match="root folder has no meaning"):
            resolve(absolute, "data")
    assert resolve("a.NPZ", "..") == (f"npz:{tmp_path.parent}/a.NPZ", None)
    assert resolve("t.Parquet") == (f"table:{here}/t.Parquet", None)
    assert resolve("mnist", "data") == ("mnist", f"{here}/data")
    assert resolve("cifar10") == ("cifar10", None)
    for name in BUNDLED:
        assert resolve(name) == (name, None)
        with pytest.raises(ValueError, match=f"{name} comes with"):
            resolve(name, "data")
        with pytest.raises(ValueError, match=f"{name} comes with"):
            load(name, tmp_path)


@pytest.mark.parametrize(
    "spec", ["mnits", "", "DIGITS", "folder", "folder:", "npz:", "table:", "zip:a.zip", "a.mat"]
)
def test_unknown_names_say_what_is_known(spec):
    for function in (resolve, load, load_samples):
        with pytest.raises(ValueError, match=r"known: digits.*folder:PATH|a path is missing"):
            function(spec)


def test_a_folder_without_its_prefix_is_pointed_out(tmp_path):
    with pytest.raises(ValueError, match=f"is a folder: folder:{tmp_path}"):
        load(str(tmp_path))


def test_a_run_finds_its_data_from_another_folder(tmp_path, monkeypatch):
    for name in ("a", "b"):
        for i in range(5):
            save_image(tmp_path / "photos" / name / f"{i}.png")
    np.savez(tmp_path / "d.npz", x=np.full((15, 1, 2, 2), 200, np.uint8), y=np.arange(15) % 3)
    monkeypatch.chdir(tmp_path)
    stored = [resolve("folder:photos"), resolve("d.npz"), resolve("npz:d.npz", ".")]
    monkeypatch.chdir("/")
    for spec, root in stored:
        assert len(load(spec, root).train)
    assert len(load("folder:photos", root=tmp_path).test) == 2
    assert user_folder("folder:photos", tmp_path) == tmp_path / "photos"
    assert user_folder("mnist", tmp_path) == tmp_path and user_folder("d.npz", tmp_path) is None


@pytest.mark.parametrize(
    "spec, options",
    [
        ("digits", {"target": "y"}),
        ("digits", {"levels": 16}),
        ("mnist", {"colour": "rgb"}),
        ("npz:a.npz", {"target": "y"}),
        ("npz:a.npz", {"drop": ["a"]}),
        ("npz:a.npz", {"colour": "grey"}),
        ("folder:a", {"regression": True}),
        ("folder:a", {"layout": "NHWC"}),
        ("table:a.csv", {"levels": 16, "target": "y"}),
    ],
)
def test_what_would_be_ignored_is_refused(spec, options):
    with pytest.raises(ValueError, match="has no meaning for"):
        load(spec, **options)


def test_other_folders_are_read_as_the_network_means_them(tmp_path):
    for root, names in (("one", "abc"), ("two", "bca"), ("three", "ad")):
        for name in names:
            for part in ("train", "test"):
                save_image(tmp_path / root / part / name / "0.png")
    learned = load(f"folder:{tmp_path / 'one'}").schema
    assert len(load_samples(f"folder:{tmp_path / 'two'}", like=learned)) == 3
    with pytest.raises(ValueError, match="classes that train lacks: d"):
        load_samples(f"folder:{tmp_path / 'three'}", like=learned)
    for i in range(3):  # one split, and not of all classes
        save_image(tmp_path / "new" / "c" / f"{i}.png")
    samples = load_samples("folder:new", tmp_path, like=learned)
    assert samples.labels.tolist() == [2, 2, 2]
    (tmp_path / "none" / "c").mkdir(parents=True)
    with pytest.raises(ValueError, match="no images"):
        load_samples("folder:none", tmp_path, like=learned)
    assert load_samples("digits").levels == 16
    with pytest.raises(ValueError, match=r"digits has the classes 0, 1, .* learned a, b, c"):
        load_samples("digits", like=learned)


@pytest.mark.parametrize("name", ["wine", "breast-cancer", "diabetes"])
def test_bundled_tables(name):
    loaded = load(name)
    assert loaded.regression == (name == "diabetes")
    assert len(loaded.feature_names) == loaded.input_shape[0] and loaded.notes
    for split in (loaded.train, loaded.test):
        split.check(loaded.input_shape, loaded.classes, loaded.box.low, loaded.box.high)
    mean, std = loaded.feature_statistics()
    assert np.allclose(mean, loaded.train.inputs.mean(0, dtype=float), rtol=1e-5)
    assert np.allclose(std, loaded.train.inputs.std(0, dtype=float), rtol=1e-5)
    assert len(loaded.statistics()[0]) == loaded.input_shape[0]


def test_simulated_vibration_is_what_its_physics_says():
    loaded = load("vibration")
    assert (
        loaded.input_shape == (2, LENGTH) and np.bincount(loaded.test.labels).tolist() == [60] * 3
    )
    x, y = loaded.train.floats(), loaded.train.labels
    assert np.abs(x).max() < FULL_SCALE == loaded.box.high.min()
    power = np.abs(np.fft.rfft(x - x.mean(2, keepdims=True), axis=2)) ** 2
    hertz = np.fft.rfftfreq(LENGTH, 1 / RATE)
    shaft, ringing = power[..., hertz < 120].sum((1, 2)), power[..., hertz > 500].sum((1, 2))
    by_label = [np.median(shaft[y == label]) for label in range(3)]
    assert by_label[1] > 10 * by_label[0]
    by_label = [np.median(ringing[y == label]) for label in range(3)]
    assert by_label[2] > 10 * max(by_label[:2])
    again = load_vibration()
    assert np.array_equal(again.train.inputs, loaded.train.inputs)
    assert not np.array_equal(load_vibration(seed=1).train.inputs, loaded.train.inputs)


def test_the_package_is_light():
    code = (
        "import sys, sortnet.data as d\n"
        "assert d.load and d.Split\n"
        "heavy = {'torch', 'sklearn', 'PIL', 'pyarrow', 'pandas', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_set_with_features_in_another_order_is_refused() -> None:
    learned = load("wine").schema
    names = learned.feature_names
    assert names is not None
    other = dataclasses.replace(learned, feature_names=names[::-1])
    assert len(load_samples("wine", like=learned))
    with pytest.raises(ValueError, match="the network learned from"):
        load_samples("wine", like=other)
