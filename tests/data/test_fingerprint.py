"""A fingerprint tells every other row, label and order, and nothing else."""

import dataclasses
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sortnet.data import Box, ImageFiles, Split
from sortnet.data import fingerprint as module
from sortnet.data.fingerprint import DataRows, fingerprint
from sortnet.data.sets import DataSet, load


def split(seed=0, count=12, kind="bytes", **more):
    draw = np.random.default_rng(seed)
    if kind == "bytes":
        x = draw.integers(0, 17, (count, 1, 2, 3)).astype(np.uint8)
        return Split(x, draw.integers(0, 3, count), levels=more.pop("levels", 16), **more)
    x = draw.normal(0, 5, (count, 4)).astype(np.float32)
    y = draw.integers(0, 3, count) if kind == "classes" else draw.normal(0, 1, count)
    return Split(x, y, box=Box(np.full(4, -99), np.full(4, 99)), **more)


KINDS = st.sampled_from(["bytes", "classes", "numbers"])


@given(KINDS, st.integers(0, 99), st.permutations(range(12)))
def test_rows_in_another_order_are_told_and_names_are_not(kind, seed, order):
    whole = split(seed, kind=kind)
    moved = whole.take(np.array(order))
    same = np.array_equal(moved.inputs, whole.inputs) and np.array_equal(moved.labels, whole.labels)
    assert (fingerprint(moved) == fingerprint(whole)) is same
    back = moved.take(np.argsort(order))  # its samples have names now
    assert back.names is not None and fingerprint(back) == fingerprint(whole)


@given(KINDS, st.integers(0, 99), st.integers(0, 11), st.data())
def test_one_value_or_label_or_row_is_told(kind, seed, row, data):
    whole = split(seed, kind=kind)
    inputs, labels = whole.inputs.copy(), whole.labels.copy()
    place = data.draw(st.integers(0, inputs[0].size - 1))
    flat = inputs.reshape(len(inputs), -1)
    flat[row, place] = flat[row, place] - 1 if flat[row, place] > 0 else flat[row, place] + 1
    edited = dataclass_copy(whole, inputs=inputs)
    labels[row] = (labels[row] + 1) % 3 if kind != "numbers" else np.nextafter(labels[row], 9)
    relabelled = dataclass_copy(whole, labels=labels)
    kept = np.delete(np.arange(12), row)
    found = {fingerprint(one) for one in (whole, edited, relabelled, whole.take(kept))}
    assert len(found) == 4
    assert fingerprint(whole.take(kept)).rows == 11


def dataclass_copy(whole, inputs=None, labels=None):
    return Split(
        whole.inputs if inputs is None else inputs,
        whole.labels if labels is None else labels,
        None if whole.levels == 1 else whole.levels,
        whole.box,
    )


@given(KINDS, st.integers(1, 13))
def test_memory_order_and_chunks_do_not_matter(kind, chunk):
    whole = split(3, kind=kind)
    turned = dataclass_copy(whole)
    object.__setattr__(turned, "inputs", np.asfortranarray(whole.inputs).astype(
        whole.inputs.dtype.newbyteorder(">")
    ))  # fmt: skip
    object.__setattr__(turned, "labels", whole.labels.astype(whole.labels.dtype.newbyteorder(">")))
    expected = fingerprint(whole)
    before = module.CHUNK
    try:
        module.CHUNK = chunk
        assert fingerprint(turned) == expected
    finally:
        module.CHUNK = before


def test_levels_and_kinds_are_told():
    y = np.zeros(3, np.int64)
    pixels = np.zeros((3, 1, 2, 2), np.uint8)
    splits = [Split(pixels, y, levels=16), Split(pixels, y), Split(pixels.astype(np.float32), y)]
    splits += [Split(pixels, y.astype(float)), Split(pixels.reshape(3, 2, 1, 2), y)]
    assert len({fingerprint(one) for one in splits}) == len(splits)


def test_a_known_fingerprint_is_the_same_on_every_machine():
    """Worked out by hand: the header, the values as they are kept, the labels."""
    import hashlib

    whole = Split(np.array([[0.5, 0.25]], np.float32), [1])
    head = b'["float32", [1, 2], 1, "int64"]'
    content = b"\0\0\0\x3f" + b"\0\0\x80\x3e" + b"\1" + b"\0" * 7
    assert fingerprint(whole).sha256 == hashlib.sha256(head + content).hexdigest()


def test_zero_has_no_sign():
    values = np.array([[0.5, 0.0], [0.0, 0.75]], np.float32)
    turned = np.where(values == 0, np.float32(-0.0), values)
    assert np.signbit(turned).sum() > np.signbit(values).sum()
    targets = np.array([0.0, 1.0]), np.array([-0.0, 1.0])
    assert fingerprint(Split(values, targets[0])) == fingerprint(Split(turned, targets[1]))
    assert fingerprint(Split(values, targets[0])) != fingerprint(Split(values / 2, targets[0]))


def test_image_files_are_told_by_their_bytes_wherever_they_lie(tmp_path):
    def files(place, values):
        place.mkdir()
        for i, value in enumerate(values):
            Image.fromarray(np.full((2, 2), value, np.uint8)).save(place / f"{i}.png")
        inputs = ImageFiles(sorted(place.iterdir()), (1, 2, 2))
        return fingerprint(Split(inputs, np.zeros(len(values), np.int64)))

    first = files(tmp_path / "a", (1, 2, 3))
    assert files(tmp_path / "b", (1, 2, 3)) == first
    assert files(tmp_path / "c", (1, 3, 2)) != first
    os.rename(tmp_path / "b" / "1.png", tmp_path / "b" / "1x.png")
    inputs = ImageFiles(sorted((tmp_path / "b").iterdir()), (1, 2, 2))
    assert fingerprint(Split(inputs, np.zeros(3, np.int64))) == first


@given(st.permutations(range(40)), st.integers(30, 40))
def test_a_parted_file_is_the_same_as_long_as_its_rows_are(tmp_path_factory, order, count):
    """Told is whatever changes a part; each part depends on all rows and on their order."""
    place = tmp_path_factory.mktemp("npz")
    draw = np.random.default_rng(0)
    x, y = draw.random((40, 3)).astype(np.float32), np.arange(40) % 2
    np.savez(place / "a.npz", x=x, y=y)
    whole = load(str(place / "a.npz"))
    before = DataRows.of(whole)
    chosen = np.array(order[:count])
    np.savez(place / "b.npz", x=x[chosen], y=y[chosen])
    now = load(str(place / "b.npz"))
    assert before.parted and now.parted
    same = all(
        np.array_equal(a.inputs, b.inputs) and np.array_equal(a.labels, b.labels)
        for a, b in ((whole.train, now.train), (whole.test, now.test))
    )
    assert (before.difference(DataRows.of(now), test=True) is None) is same


def test_what_is_parted(tmp_path):
    whole = split()
    arrays = {"x": whole.inputs, "y": np.arange(12) % 3, "levels": 16}
    np.savez(tmp_path / "one.npz", **arrays)
    two = {f"{name}_{part}": arrays[name] for name in "xy" for part in ("train", "test")}
    np.savez(tmp_path / "two.npz", **two, levels=16)
    for label in ("a", "b"):
        for part in ("one", "two/train", "two/test"):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            for i in range(5):
                Image.fromarray(np.full((2, 2), i, np.uint8)).save(folder / f"{i}.png")
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{i}.5,{i % 2}\n" for i in range(20)))
    for spec, parted in (
        ("one.npz", True), ("two.npz", False), ("folder:one", True), ("folder:two", False),
        ("t.csv", True),
    ):  # fmt: skip
        target = "b" if spec == "t.csv" else None
        data = load(spec, tmp_path, target=target)
        assert data.parted is parted, spec
        assert data.hold_out(0.25).parted
    for spec in ("digits", "wine", "vibration"):
        assert load(spec).parted


@pytest.mark.parametrize("test", [False, True])
def test_the_words_say_what_changed(test):
    def rows(train, held):
        data = DataSet("d", split(train, 12 - train), split(held, 12 - held), 3)
        return DataRows.of(data)

    same = rows(0, 0)
    assert same.difference(rows(0, 0), test) is None
    assert same.difference(rows(1, 0), test) == "12 training samples then, 11 now"
    edited = dataclasses.replace(same, train=fingerprint(split(9)))
    text = "12 training samples of other values, labels or order"
    assert same.difference(edited, test) == text
    held = same.difference(rows(0, 2), test)
    assert held == ("12 test samples then, 10 now" if test else None)


@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=4), st.floats(0.01, 0.99), st.integers(0, 5)
)
def test_what_is_held_out_leaves_every_class_to_learn_from(sizes, fraction, seed):
    y = np.repeat(np.arange(len(sizes)), sizes)
    whole = Split(np.arange(len(y) * 2, dtype=np.uint8).reshape(-1, 2), y)
    data = DataSet("d", whole, whole.take(slice(0, 1)), len(sizes))
    try:
        part = data.hold_out(fraction, seed)
    except ValueError as error:
        assert "to learn from; hold less out" in str(error)
        order = np.random.default_rng(seed).permutation(len(y))
        left = y[order[max(1, round(fraction * len(y))) :]]
        assert len(set(left)) < len(sizes)
    else:
        assert set(part.train.labels) == set(y) and len(part.train) + len(part.test) == len(y)
