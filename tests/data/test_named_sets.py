import gzip
import http.client
import struct
import urllib.error
import zlib

import numpy as np
import pytest
import torch
from files import idx, save_image
from hypothesis import given
from hypothesis import strategies as st

from sortnet.data import augment
from sortnet.data import sets as data


def write_mnist(folder, gz: bool) -> np.ndarray:
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 4)).astype(np.uint8)
    for stem, array in (
        ("train-images-idx3-ubyte", images),
        ("train-labels-idx1-ubyte", np.arange(7, dtype=np.uint8)),
        ("t10k-images-idx3-ubyte", images[:2]),
        ("t10k-labels-idx1-ubyte", np.arange(2, dtype=np.uint8)),
    ):
        raw = idx(array)
        path = folder / (stem + ".gz" * gz)
        path.write_bytes(gzip.compress(raw) if gz else raw)
    return images


def test_digits_are_split_in_fifths_and_scaled_by_16():
    digits = data.load("digits")
    assert (len(digits.train), len(digits.test)) == (1437, 360)
    assert digits.input_shape == (1, 8, 8)
    x = digits.test.floats()
    assert x.dtype == np.float32 and x.min() == 0 and x.max() == 1
    whole = np.concatenate([digits.train.images, digits.test.images])
    assert len(np.unique(whole.reshape(1797, -1), axis=0)) == 1797  # nothing in both parts


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("place", [".", "MNIST/raw"])
def test_mnist_in_both_published_layouts(tmp_path, gz, place):
    images = write_mnist(tmp_path / "root" / place, gz)
    loaded = data.load("mnist", tmp_path / "root")
    assert np.array_equal(loaded.train.images[:, 0], images)
    assert loaded.train.labels.tolist() == list(range(7)) and len(loaded.test) == 2


def test_download_fetches_only_what_is_missing(tmp_path, monkeypatch):
    fetched = []

    def download(name, root):
        fetched.append(name)
        write_mnist(root / "MNIST" / "raw", gz=True)

    monkeypatch.setattr(data, "_download", download)
    for _ in range(2):
        assert len(data.load("mnist", tmp_path / "new", download=True).test) == 2
    assert fetched == ["mnist"]


def test_truncated_or_foreign_idx_files_are_refused(tmp_path):
    write_mnist(tmp_path / "a", gz=False)
    file = tmp_path / "a" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match="truncated"):
        data.load("mnist", tmp_path / "a")
    file.write_bytes(b"PNG...")
    with pytest.raises(ValueError, match="not an idx file"):
        data.load("mnist", tmp_path / "a")
    file.unlink()
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        data.load("mnist", tmp_path / "a")
    write_mnist(tmp_path / "b", gz=True)
    file = tmp_path / "b" / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match="gzip"):
        data.load("fashion-mnist", tmp_path / "b")


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_binary_version(tmp_path, name, classes):
    coarse = [] if classes == 10 else [0]
    folder = tmp_path / ("cifar-10-batches-bin" if classes == 10 else "cifar-100-binary")
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3072)).astype(np.uint8)
    record = b"".join(bytes([*coarse, label]) + row.tobytes() for label, row in enumerate(pixels))
    train = [f"data_batch_{i}.bin" for i in range(1, 6)] if classes == 10 else ["train.bin"]
    for file in (*train, "test_batch.bin" if classes == 10 else "test.bin"):
        (folder / file).write_bytes(record)
    loaded = data.load(name, tmp_path)
    assert loaded.input_shape == (3, 32, 32) and loaded.classes == classes
    assert len(loaded.train) == 2 * len(train) and loaded.test.labels.tolist() == [0, 1]
    assert np.array_equal(loaded.test.images.reshape(2, -1), pixels)
    (folder / train[0]).write_bytes(record[:-1])
    with pytest.raises(ValueError, match="truncated"):
        data.load(name, tmp_path)


def test_broken_archives_and_false_headers_are_one_line(tmp_path):
    write_mnist(tmp_path / "a", gz=True)
    file = tmp_path / "a" / "train-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    inside = len(whole) // 2
    cases = {
        "bit in the stream": whole[:inside] + bytes([whole[inside] ^ 0x40]) + whole[inside + 1 :],
        "cut": whole[:inside],
        "no gzip": b"not a gzip file",
        "empty": b"",
        "overflow to zero": gzip.compress(struct.pack(">5I", 0x0804, 2**31, 2**31, 2, 2)),
        "overflow to 20": gzip.compress(struct.pack(">4I", 0x0803, 2**32 - 1, 2**32 - 1, 20)),
        "no dimension": gzip.compress(struct.pack(">I", 0x0800)),
        "cut header": gzip.compress(struct.pack(">2I", 0x0803, 7)),
        "floats": gzip.compress(struct.pack(">2I", 0x0D01, 1) + bytes(4)),
        "left over": gzip.compress(struct.pack(">2I", 0x0801, 1) + bytes(2)),
        "endless": gzip.compress(struct.pack(">2I", 0x0801, 1) + bytes(10**7)),
    }
    for name, raw in cases.items():
        file.write_bytes(raw)
        with pytest.raises(ValueError) as raised:
            data.load("mnist", tmp_path / "a")
        assert str(raised.value).startswith(f"{file}: "), name
        assert "\n" not in str(raised.value), name


@pytest.mark.parametrize(
    "error",
    [
        http.client.IncompleteRead(b"part"),
        zlib.error("Error -3"),
        EOFError(),
        RuntimeError("File not found\nor corrupted."),
        urllib.error.URLError("reset"),
    ],
)
def test_a_broken_download_is_one_line(tmp_path, monkeypatch, error):
    def download(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("torchvision.datasets.MNIST", download)
    with pytest.raises(OSError, match=r"download of mnist into .* failed: .+") as raised:
        data.load("mnist", tmp_path, download=True)
    assert "\n" not in str(raised.value)


def test_cifar_python_version_is_read_only_if_its_checksums_match(tmp_path, monkeypatch):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(ValueError, match="MD5"):
        data.load("cifar10", tmp_path)


def test_tinyimagenet_as_published(tmp_path):
    root = tmp_path / "tiny-imagenet-200"
    for wnid in ("n02", "n01"):
        save_image(root / "train" / wnid / "images" / f"{wnid}_0.JPEG")
    (root / "wnids.txt").write_text("n02\nn01\n")
    save_image(root / "val" / "images" / "val_0.JPEG")
    (root / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn02\t0\t0\t5\t5\n")
    loaded = data.load("tinyimagenet", tmp_path)
    assert loaded.classes == 2 and loaded.test.labels.tolist() == [1]
    save_image(root / "val" / "images" / "val_1.JPEG", mode="L")  # as 1 % of the published ones
    (root / "wnids.txt").write_text("\ufeffn02\nn01\n", encoding="utf-8")
    annotations = "\ufeffval_0.JPEG\tn02\t0\t0\t5\t5\nval_1.JPEG\tn01\t0\t0\t5\t5\n"
    (root / "val" / "val_annotations.txt").write_text(annotations, encoding="utf-8")
    loaded = data.load("tinyimagenet", tmp_path)
    assert loaded.class_names == ("n01", "n02") and loaded.input_shape == (3, 4, 6)
    assert loaded.test.labels.tolist() == [1, 0]
    grey = loaded.test.inputs[1]
    assert (grey == grey[:1]).all()
    (root / "wnids.txt").write_bytes(b"n01\nn02\n\xff\xfe")
    with pytest.raises(ValueError, match=r"wnids\.txt: not a text file"):
        data.load("tinyimagenet", tmp_path)
    (root / "wnids.txt").write_text("n02\nn01\nn03\n")
    with pytest.raises(ValueError, match="no images of class 'n03'"):
        data.load("tinyimagenet", tmp_path)
    (root / "wnids.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"wnids\.txt"):
        data.load("tinyimagenet", tmp_path)


def test_imagenet64_as_npz_and_as_folders(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 12288)).astype(np.uint8)
    labels = np.array([1, 1000])
    for name in (*(f"train_data_batch_{i}" for i in range(1, 11)), "val_data"):
        np.savez(tmp_path / f"{name}.npz", data=pixels, labels=labels, mean=pixels[0])
    loaded = data.load("imagenet64", tmp_path)
    assert loaded.classes == 1000 and len(loaded.train) == 20
    assert loaded.test.labels.tolist() == [0, 999]
    (tmp_path / "train_data_batch_7.npz").unlink()
    with pytest.raises(FileNotFoundError, match="train_data_batch_7"):
        data.load("imagenet64", tmp_path)
    for part in ("train", "val"):
        for name in ("n1", "n2"):
            save_image(tmp_path / "f" / part / name / "0.png", size=(64, 64))
    assert data.load("imagenet64", tmp_path / "f").input_shape == (3, 64, 64)


def test_wrong_names_and_folders_say_what_was_expected(tmp_path):
    with pytest.raises(ValueError, match="known: digits"):
        data.load("mnits")
    for spec, meant in (("fasion-mnist", "fashion-mnist"), ("tabel:x.csv", "table:")):
        with pytest.raises(ValueError, match=f"unknown data set '{spec}'; did you mean '{meant}'"):
            data.load(spec)
    with pytest.raises(FileNotFoundError, match="--root DIR"):
        data.load("mnist")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        data.load("cifar10", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="train/CLASS"):
        data.load(f"folder:{tmp_path}")
    with pytest.raises(ValueError, match="cannot be downloaded"):
        data.load("tinyimagenet", tmp_path, download=True)


def test_held_out_part_comes_from_training_alone():
    digits = data.load("digits")
    part = digits.hold_out(0.1, seed=3)
    assert len(part.test) == 144 and len(part.train) == 1437 - 144
    both = np.concatenate([part.train.images, part.test.images]).reshape(1437, -1)
    whole = digits.train.images.reshape(1437, -1)
    assert np.array_equal(np.sort(both, axis=0), np.sort(whole, axis=0))
    with pytest.raises(ValueError, match="held-out"):
        digits.hold_out(1.0)


@given(
    shape=st.tuples(*[st.integers(1, 5)] * 4),
    pad=st.integers(0, 3),
    mode=st.sampled_from(["edge", "zero"]),
    seed=st.integers(0, 9),
)
def test_crops_against_pad_and_slice(shape, pad, mode, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    shift = torch.randint(0, 2 * pad + 1, (2, shape[0]), generator=generator)
    got = augment.crop(images, shift, pad, mode)
    widths = ((0, 0), (0, 0), (pad, pad), (pad, pad))
    padded = np.pad(images.numpy(), widths, mode="edge" if mode == "edge" else "constant")
    for n, (row, column) in enumerate(shift.T.tolist()):
        window = padded[n, :, row : row + shape[2], column : column + shape[3]]
        assert np.array_equal(got[n], window)


def test_flips_and_unknown_crop_mode():
    images = torch.arange(12, dtype=torch.uint8).reshape(2, 1, 2, 3)
    flipped = augment.flip(images, torch.tensor([True, False]))
    assert flipped[0, 0].tolist() == [[2, 1, 0], [5, 4, 3]] and torch.equal(flipped[1], images[1])
    with pytest.raises(ValueError, match="crop mode"):
        augment.crop(images, torch.zeros(2, 2, dtype=torch.int64), 1, "mirror")
