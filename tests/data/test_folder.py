"""Folders of images: whose files are a class's, and what is refused by name."""

from pathlib import Path

import numpy as np
import pytest
from files import decided, save_image
from hypothesis import given
from hypothesis import strategies as st

from sortnet.data import folder, load
from sortnet.data.images import ImageFiles, read_image


def photos(root: Path, parts: tuple[str, ...] = ("train", "test"), count: int = 2) -> Path:
    for part in parts:
        for name in ("cat", "dog"):
            for i in range(count):
                save_image(root / part / name / f"{i}.png")
    return root


@pytest.mark.parametrize("held", ["test", "val"])
def test_two_splits(tmp_path, held):
    photos(tmp_path, ("train", held))
    loaded = load(f"folder:{tmp_path}")
    assert loaded.input_shape == (3, 4, 6) and loaded.classes == 2
    assert loaded.class_names == ("cat", "dog") and not decided(loaded)
    assert loaded.train.labels.tolist() == [0, 0, 1, 1]
    expected = save_image(tmp_path / "train" / "cat" / "0.png").transpose(2, 0, 1)
    assert np.array_equal(loaded.train.inputs[0], expected)


@pytest.mark.parametrize("place", [".", "train"])
def test_one_split_is_parted_by_a_seed_and_says_so(tmp_path, place):
    photos(tmp_path, (place,), count=10)
    one, again, other = (load(f"folder:{tmp_path}", seed=seed) for seed in (0, 0, 1))
    assert np.bincount(one.test.labels).tolist() == [2, 2] and len(one.train) == 16
    assert np.array_equal(one.test.inputs, again.test.inputs)
    assert not np.array_equal(one.test.inputs, other.test.inputs)
    assert len(decided(one)) == 1 and "16 samples for training, 4" in one.notes[0]
    part = one.hold_out(0.25).test
    assert len(part) == 4
    for split in (one.train, one.test, part):
        for name, image in zip(split.sample_names, split.inputs, strict=True):
            assert np.array_equal(read_image(tmp_path / name), image)


STRANGERS = (
    ".ipynb_checkpoints/0.png",
    "__MACOSX/._0.png",
    "@eaDir/0.png",
    ".DS_Store",
    "cat/._0.png",
    "cat/.hidden.png",
    "cat/Thumbs.db",
    "cat/desktop.ini",
    "cat/.ipynb_checkpoints/0.png",
    "cat/__MACOSX/0.png",
    "cat/labels.csv",
    "$RECYCLE.BIN/0.png",
    "__pycache__/0.png",
)


@given(st.lists(st.sampled_from(STRANGERS), min_size=1, unique=True), st.booleans())
def test_hidden_and_system_files_are_no_samples(tmp_path_factory, strangers, two):
    root = photos(tmp_path_factory.mktemp("data"), ("train", "test") if two else (".",), 5)
    before = load(f"folder:{root}")
    for part in ("train", "test") if two else (".",):
        for name in strangers:
            path = root / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"of the system")
    after = load(f"folder:{root}")
    assert after.class_names == before.class_names == ("cat", "dog")
    assert np.array_equal(after.train.inputs, before.train.inputs)
    assert np.array_equal(after.test.inputs, before.test.inputs)


@pytest.mark.parametrize("inner", ["images", "Images", "more/deeper"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_folder_inside_of_a_class_is_refused_not_taken_for_it(tmp_path, inner, part):
    photos(tmp_path)
    save_image(tmp_path / part / "cat" / inner / "5.png")
    with pytest.raises(ValueError, match=f"cat/{inner[:4]}.*inside of a class"):
        load(f"folder:{tmp_path}")


def test_the_layout_of_tiny_imagenet_is_read_where_all_classes_have_it(tmp_path):
    for part in ("train", "val"):
        for name in ("n01", "n02"):
            save_image(tmp_path / part / name / "images" / "0.png")
            (tmp_path / part / name / f"{name}_boxes.txt").write_text("0.png\t0\t0\t5\t5\n")
    assert len(load(f"folder:{tmp_path}").train) == 2
    assert len(load("tinyimagenet", tmp_path).test) == 2
    save_image(tmp_path / "train" / "n03" / "0.png")
    with pytest.raises(ValueError, match=r"n01/images.*inside of a class"):
        load(f"folder:{tmp_path}")


def test_nothing_is_lost_without_a_word(tmp_path):
    photos(tmp_path, ("train",), 5)
    for name in ("valid", "Test"):
        photos(tmp_path, (name,))
    with pytest.raises(ValueError, match="beside train/ there is Test, valid"):
        load(f"folder:{tmp_path}")
    photos(tmp_path, ("test", "val"))
    assert decided(load(f"folder:{tmp_path}")) == ("val/ is left alone: test/ is the test split",)
    for part in ("train", "test"):
        save_image(tmp_path / part / "stray.png")
        with pytest.raises(ValueError, match=rf"{part}/stray\.png lies beside the folders"):
            load(f"folder:{tmp_path}")
        (tmp_path / part / "stray.png").unlink()
    photos(tmp_path / "named", ("training", "testing"))
    with pytest.raises(ValueError, match="inside of a class"):
        load(f"folder:{tmp_path / 'named'}")


def test_classes_without_images_are_named(tmp_path):
    photos(tmp_path)
    for name in ("fox", "owl"):
        (tmp_path / "train" / name).mkdir()
    with pytest.raises(ValueError, match=r"no images of class 'fox', 'owl' in .*train"):
        load(f"folder:{tmp_path}")
    for name in ("fox", "owl"):
        save_image(tmp_path / "train" / name / "0.png")
    assert decided(load(f"folder:{tmp_path}")) == ("no test image of class 'fox', 'owl'",)
    (tmp_path / "test" / "bat").mkdir()
    with pytest.raises(ValueError, match="train lacks: bat"):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize("first", ["grey", "colour"])
def test_mixed_sets_are_refused_unless_asked_for(tmp_path, first):
    modes = ("L", "RGB") if first == "grey" else ("RGB", "L")
    for part in ("train", "test"):
        for name, mode in zip(("a", "b"), modes, strict=True):
            save_image(tmp_path / part / name / "0.png", mode=mode)
    with pytest.raises(ValueError, match=r'b/0\.png: .*colour="rgb"'):
        load(f"folder:{tmp_path}")
    assert load(f"folder:{tmp_path}", colour="rgb").input_shape == (3, 4, 6)
    assert load(f"folder:{tmp_path}", colour="grey").input_shape == (1, 4, 6)
    with pytest.raises(ValueError, match="'grey' or 'rgb', got 'red'"):
        load(f"folder:{tmp_path}", colour="red")


def test_other_faults_are_named(tmp_path):
    photos(tmp_path)
    odd = tmp_path / "train" / "cat" / "odd.png"
    save_image(odd, size=(5, 5))
    with pytest.raises(ValueError, match=r"odd\.png: size 5x5.*one size"):
        load(f"folder:{tmp_path}")
    odd.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"odd\.png: not a readable image"):
        load(f"folder:{tmp_path}")
    odd.unlink()
    odd.symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(FileNotFoundError, match=r"odd\.png: no such file"):
        load(f"folder:{tmp_path}")
    odd.unlink()
    odd.with_suffix(".gif").write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match=r"odd\.gif: \.gif images are not read"):
        load(f"folder:{tmp_path}")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load(f"folder:{tmp_path / 'none'}")
    with pytest.raises(FileNotFoundError, match="is a file"):
        load(f"folder:{tmp_path / 'train' / 'cat' / '0.png'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="train/CLASS"):
        load(f"folder:{tmp_path / 'empty'}")
    with pytest.raises(ValueError, match="one class folder, 'cat'"):
        save_image(tmp_path / "alone" / "cat" / "0.png")
        load(f"folder:{tmp_path / 'alone'}")
    photos(tmp_path / "half", ("test",))
    with pytest.raises(FileNotFoundError, match=r"half/train does not"):
        load(f"folder:{tmp_path / 'half'}")


def test_images_that_do_not_fit_memory_are_decoded_when_used(tmp_path, monkeypatch):
    photos(tmp_path)
    held = load(f"folder:{tmp_path}")
    assert held.train.inputs.dtype == np.uint8  # four times smaller than floats
    monkeypatch.setattr(folder, "MEMORY_LIMIT", 0)
    lazy = load(f"folder:{tmp_path}")
    assert isinstance(lazy.train.inputs, ImageFiles)
    assert np.array_equal(lazy.train.floats(), held.train.floats())
    assert lazy.statistics() == held.statistics()
