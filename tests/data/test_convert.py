"""Samples and labels of every kind that users hand over."""

import contextlib

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sortnet.data import Box, DataSet, Split, encode_labels, load
from sortnet.data.convert import as_array, as_inputs, as_labels

INTEGERS = hnp.integer_dtypes(endianness="?") | hnp.unsigned_integer_dtypes(endianness="?")
CONTAINERS = {
    "array": lambda a: a,
    "list": lambda a: a.tolist(),
    "list of scalars": list,
    "tuple": lambda a: tuple(a.tolist()),
    "objects": lambda a: a.astype(object),
    "backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "read-only": lambda a: _frozen(a),
    "pandas": lambda a: pd.Series(_native(a), index=np.arange(len(a)) + 7),
    "pandas index": lambda a: pd.Index(_native(a)),
    "pandas nullable": lambda a: pd.Series(_native(a)).convert_dtypes(),
    "pandas categories": lambda a: pd.Series(_native(a)).astype("category"),
    "polars": lambda a: pl.Series(_native(a)),
    "arrow": lambda a: pa.array(_native(a)),
    "arrow chunks": lambda a: pa.chunked_array([_native(a)]),
    "torch": lambda a: torch.from_numpy(_native(a).copy()),
    "masked, nothing hidden": lambda a: np.ma.array(a, mask=False),
}
X3 = np.zeros((3, 1, 2, 2), np.uint8)


def _native(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("="))


def _frozen(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


@given(st.data(), st.sampled_from(sorted(CONTAINERS)), st.integers(1, 6))
def test_labels_of_every_integer_type_and_container(data, container, count):
    dtype = data.draw(INTEGERS | st.just(np.dtype(np.bool_)))
    most = 1 if dtype.kind == "b" else 100
    values = data.draw(hnp.arrays(dtype, count, elements=st.integers(0, most)))
    split = Split(np.zeros((count, 1, 2, 2), np.uint8), CONTAINERS[container](values))
    assert split.labels.dtype == np.int64 and split.labels.dtype.isnative
    assert split.labels.tolist() == values.tolist()
    for _, part in split.batches(4):  # what crashed, or warned of memory that is read-only
        torch.nn.functional.cross_entropy(torch.zeros(len(part), 101), torch.from_numpy(part))


@given(st.data(), st.sampled_from(sorted(CONTAINERS)))
def test_classes_of_every_kind_are_numbered_and_keep_their_names(data, container):
    kind = data.draw(st.sampled_from(["text", "integer", "boolean"]))
    element = {
        "text": st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1),
        "integer": st.integers(-300, 300),
        "boolean": st.booleans(),
    }[kind]
    values = data.draw(st.lists(element, min_size=1, max_size=8))
    if kind == "text" and container == "torch":
        container = "list"
    labels, names = encode_labels(CONTAINERS[container](np.array(values)))
    assert [names[label] for label in labels] == [str(value) for value in values]
    assert list(names) == [str(value) for value in sorted(set(values))]
    again, same = encode_labels(values[::-1], names)
    assert again.tolist() == labels.tolist()[::-1] and same == names
    with pytest.raises(ValueError, match="unseen classes"):
        encode_labels([*map(str, values), "another"], names)


def test_integers_are_names_where_names_are_integers_else_places():
    assert encode_labels([5, 25, 5], ["5", "15", "25"])[0].tolist() == [0, 2, 0]
    assert encode_labels([2, 0], ["cat", "dog", "owl"])[0].tolist() == [2, 0]
    assert encode_labels([True, False], ["no", "yes"])[0].tolist() == [1, 0]
    assert encode_labels([True, False], ["True", "False"])[0].tolist() == [0, 1]
    for values, names in (([3], ["a", "b", "c"]), ([-1], ["a", "b"]), ([0], ["5", "6"])):
        with pytest.raises(ValueError, match="unseen classes"):
            encode_labels(values, names)
    for values in (["a", ""], [0.5, 1.0], [[1, 2]], [np.datetime64("2020-01-01")]):
        with pytest.raises(ValueError, match="labels: "):
            encode_labels(values)
    with pytest.raises(ValueError, match="differ"):
        encode_labels(["a"], ["a", "a"])


BAD_LABELS = {
    "text": (["cat", "dog", "cat"], "text such as 'cat'"),
    "byte text": (np.array([b"a", b"b", b"c"]), "text such as 'a'"),
    "pandas text": (pd.Series(["a", "b", "a"]), "text such as 'a'"),
    "none": ([0, None, 1], "missing value in row 1"),
    "no labels": (None, "missing value"),
    "pandas NA": (pd.Series([0, None, 1], dtype="Int64"), "row 1"),
    "pandas NA in objects": (pd.Series([0, pd.NA, 1], dtype=object), "missing value in row 1"),
    "polars null": (pl.Series([0, 1, None]), "row 2"),
    "NaN": ([0.0, float("nan"), 1.0], "nan in row 1"),
    "infinity": ([0.0, 1.0, float("inf")], "inf in row 2"),
    "masked": (np.ma.array([0, 1, 2], mask=[0, 1, 0]), "masked"),
    "one-hot": (np.eye(3), r"argmax\(1\)"),
    "column": (np.zeros((3, 1), int), r"\.ravel\(\)"),
    "scalar": (3, r"\[N\], got \[\]"),
    "ragged": ([[0], [1, 2], [3]], "not an array of one shape"),
    "mixed": (np.array([0, "a", 1], object), "integer and text"),
    "dates": (np.array(["2020-01-01"] * 3, "M8[D]"), "dates"),
    "complex": (np.zeros(3, complex), "complex"),
    "records": (np.zeros(3, [("a", int)]), "records"),
    "beyond int64": (np.full(3, 2**63, np.uint64), "too large"),
    "beyond 64 bits": ([0, 1, 10**30], "beyond 64 bits"),
    "generator": ((i for i in range(3)), "generator"),
    "fewer": ([0, 1], "3 samples, but 2 labels"),
    "more": (range(4), "3 samples, but 4 labels"),
}


if hasattr(np.dtypes, "StringDType"):  # NumPy 2
    strings = np.array(["a", "b", "c"], np.dtypes.StringDType())
    BAD_LABELS["numpy strings"] = (strings, "text such as 'a'")


@pytest.mark.parametrize("name", BAD_LABELS)
def test_bad_labels_say_what_they_are(name):
    labels, words = BAD_LABELS[name]
    with pytest.raises(ValueError, match=words) as raised:
        Split(X3, labels)
    assert "\n" not in str(raised.value)


@given(
    hnp.arrays(
        hnp.floating_dtypes(sizes=(16, 32, 64), endianness="?"),
        hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5),
        elements={"min_value": 0, "max_value": 1},
    ),
    st.sampled_from(["array", "list", "read-only", "backwards", "torch", "objects"]),
)
def test_floats_stay_floats(values, container):
    layout = {2: "ND", 3: "NHW", 4: "NCHW"}[values.ndim]
    split = Split(CONTAINERS[container](values), np.zeros(len(values), int), layout=layout)
    expected = values.astype(np.float32)
    expected = expected[:, None] if layout == "NHW" else expected
    assert split.inputs.dtype == np.float32 and split.levels == 1
    assert np.array_equal(split.inputs, expected) and np.array_equal(split.floats(), expected)


@given(st.data(), st.integers(1, 255))
def test_integer_pixels_become_bytes_and_keep_their_levels(data, levels):
    dtype = data.draw(INTEGERS)
    most = min(levels, np.iinfo(dtype).max)
    values = data.draw(hnp.arrays(dtype, (2, 1, 3, 2), elements=st.integers(0, most)))
    split = Split(values, [0, 1], levels=levels)
    assert split.inputs.dtype == np.uint8 and np.array_equal(split.inputs, values)
    assert np.array_equal(split.floats(), values.astype(np.float32) / np.float32(levels))
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    strange = [v for v in (low, -1, levels + 1, high) if low <= v <= high and not 0 <= v <= levels]
    for value in strange:
        wrong = values.copy()
        wrong[1, 0, 2, 1] = value
        with pytest.raises(ValueError, match=rf"0\.\.{levels}"):
            Split(wrong, [0, 1], levels=levels)


@given(hnp.arrays(np.uint8, (2, 6, 5, 3)))
def test_channels_are_moved_only_by_name(images):
    with pytest.raises(ValueError, match='layout="NHWC"'):
        Split(images, [0, 1])
    moved = Split(images, [0, 1], layout="NHWC")
    assert np.array_equal(moved.inputs, images.transpose(0, 3, 1, 2))
    assert moved.inputs.flags.c_contiguous
    assert Split(images, [0, 1], layout="NCHW").inputs.shape == (2, 6, 5, 3)


@pytest.mark.parametrize("shape", [(2, 12, 12, 3), (2, 8, 8, 1), (2, 4, 4, 3), (2, 32, 30, 4)])
def test_what_looks_like_channels_last_is_refused(shape):
    for values in (np.zeros(shape, np.uint8), np.zeros(shape), torch.zeros(shape)):
        with pytest.raises(ValueError, match="look like"):
            Split(values, [0, 1])


@pytest.mark.parametrize("shape", [(2, 3, 12, 12), (2, 1, 8, 8), (2, 3, 3, 3), (2, 12, 8, 8)])
def test_channels_first_is_as_it_is(shape):
    assert Split(np.zeros(shape), [0, 1]).inputs.shape == shape


BOX = Box(np.array([0, -5.0]), np.array([1, 5.0]))
BAD_INPUTS = {
    "x * 255": (np.full((3, 1, 2, 2), 127.5), {}, "127.5.*divide by 255"),
    "x * 255, one list": ([[0.0, 255.0]] * 3, {}, "divide by 255"),
    "0..16": (np.linspace(0, 16, 12).reshape(3, 4), {}, "divide by 255"),
    "normalised": (np.linspace(-2, 2, 12).reshape(3, 4), {}, "give a box"),
    "just above": (np.full((3, 2), np.nextafter(np.float32(1), np.float32(2))), {}, r"\[0, 1\]"),
    "NaN": (np.array([[0, 0], [0, np.nan], [0, 0]]), {}, "sample 1, feature 1: NaN"),
    "infinity": (np.full((3, 2), np.inf), {}, "infinity"),
    "too large": (np.full((3, 2), 1e39), {"box": BOX}, "infinity"),
    "missing": (pd.DataFrame({"a": [0, 1, 1], "b": [1, None, 0]}), {}, "sample 1, 'b': NaN"),
    "outside": ([[0, 0], [1, 5], [0, 6]], {"box": BOX}, r"sample 2, feature 1: 6 .* \[-5, 5\]"),
    "other box": (np.zeros((3, 3)), {"box": BOX}, r"samples are \[3\], their box is \[2\]"),
    "levels of floats": (np.zeros((3, 2)), {"levels": 16}, "floats"),
    "levels of booleans": (np.zeros((3, 2), bool), {"levels": 2}, "booleans"),
    "levels 0": (X3, {"levels": 0}, "1..255"),
    "levels 1.5": (X3, {"levels": 1.5}, "whole number"),
    "levels text": (X3, {"levels": "16"}, "whole number"),
    "byte over levels": (np.full((3, 1, 2, 2), 255, np.uint8), {"levels": 16}, r"0\.\.16"),
    "16 bits": (np.full((3, 1, 2, 2), 65535, np.uint16), {}, "floats in"),
    "negative": (np.full((3, 1, 2, 2), -1), {}, r"got -1\.\.-1"),
    "text": ([["a"]] * 3, {}, "text"),
    "text column": (pd.DataFrame({"a": ["x", "y", "z"], "b": [1, 0, 1]}), {}, "text"),
    "complex": (np.zeros((3, 2), complex), {}, "complex"),
    "rank 1": (np.zeros(3), {}, r"\[N, D\]"),
    "rank 5": (np.zeros((3, 1, 2, 2, 2)), {}, r"\[N, D\]"),
    "rank of layout": (np.zeros((3, 2)), {"layout": "NHW"}, "3 axes"),
    "layout": (np.zeros((3, 2)), {"layout": "HWC"}, "layout must be one of"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_samples_say_what_they_are(name):
    values, options, words = BAD_INPUTS[name]
    with pytest.raises(ValueError, match=words) as raised:
        Split(values, [0, 1, 2], **options)
    assert "\n" not in str(raised.value)


def test_sparse_samples_are_refused():
    from scipy.sparse import csr_matrix

    with pytest.raises(ValueError, match="toarray"):
        Split(csr_matrix(np.eye(3)), [0, 1, 2])


def test_signals_and_tables_have_a_box():
    box = Box(np.full((2, 5), -3.0), np.full((2, 5), 3.0))
    signals = np.random.default_rng(0).normal(0, 0.5, (4, 2, 5))
    split = Split(signals, [0, 1, 0, 1], box=box)
    assert split.inputs.shape == (4, 2, 5) and split.take(np.array([1])).box is box
    table = Split([[1, 2], [0, -5]], [0.5, 0.25], box=BOX)  # integers with a box become floats
    assert table.inputs.dtype == np.float32 and table.regression
    table.check((2,), 0, BOX.low, BOX.high)
    with pytest.raises(ValueError, match=r"\[0, 1\], sample 0 has 2 in feature 1"):
        table.check((2,), 0)
    with pytest.raises(ValueError, match="predicts classes"):
        table.check((2,), 3, BOX.low, BOX.high)
    with pytest.raises(ValueError, match=r"takes samples \[3\], the data has \[2\]"):
        table.check((3,), 0)


@given(
    hnp.arrays(
        np.float64, (5, 3), elements=st.floats(-1e30, 1e30, allow_subnormal=False), unique=True
    )
)
def test_a_box_around_samples_holds_them_with_a_tenth_to_spare(samples):
    box = Box.around(samples)
    low, high = box.low.astype(float), box.high.astype(float)
    spread = samples.max(0) - samples.min(0)
    assert (low <= samples.min(0) - 0.1 * spread * (1 - 1e-9)).all()
    assert (high >= samples.max(0) + 0.1 * spread * (1 - 1e-9)).all()
    size = np.abs(samples).max(0) + spread
    assert (low >= samples.min(0) - 0.1 * spread - 1e-6 * size - 1e-37).all()
    with contextlib.suppress(ValueError):  # what float32 rounds stays inside
        Split(samples, [0] * 5, box=box)
    assert (samples.astype(np.float32) >= box.low).all()
    assert (samples.astype(np.float32) <= box.high).all()


def test_boxes_that_say_nothing_are_refused():
    with pytest.raises(ValueError, match="constant features: 'b'"):
        Box.around(np.array([[0, 1], [2, 1]]), names=["a", "b"])
    with pytest.raises(ValueError, match="feature 0: NaN"):
        Box.around(np.array([[np.nan, 1], [2, 3]]))
    with pytest.raises(ValueError, match="at least one"):
        Box.around(np.empty((0, 2)))
    with pytest.raises(ValueError, match="low 2 > high 1 in feature 1"):
        Box(np.array([0, 2]), np.array([1, 1]))
    with pytest.raises(ValueError, match="finite"):
        Box(np.array([0.0]), np.array([1e39]))
    with pytest.raises(ValueError, match="low is"):
        Box(np.zeros(2), np.ones(3))


def test_data_sets_from_arrays():
    x = np.linspace(0, 1, 12).reshape(6, 2)
    made = DataSet.of("own", (x, list("abcabc")), (x[:2], ["c", "a"]), feature_names=["u", "v"])
    assert made.class_names == ("a", "b", "c") and made.test.labels.tolist() == [2, 0]
    assert made.schema.labels == made.class_names and made.feature_names == ("u", "v")
    counted = DataSet.of("own", (x, [0, 1, 2, 0, 1, 2]), (x[:1], [2]))
    assert counted.class_names is None and counted.classes == 3
    with pytest.raises(ValueError, match="unseen classes '3'"):
        DataSet.of("own", (x, [0, 1, 2, 0, 1, 2]), (x[:1], [3]))
    with pytest.raises(ValueError, match="only the class 'a'"):
        DataSet.of("own", (x, ["a"] * 6), (x[:1], ["a"]))
    with pytest.raises(ValueError, match="no training sample of class 'z'"):
        DataSet.of("own", (x, ["a", "b"] * 3), (x, ["a"] * 6), class_names=["a", "b", "z"])
    with pytest.raises(ValueError, match=r"training samples are \[2\], test samples \[1\]"):
        DataSet.of("own", (x, [0, 1] * 3), (x[:, :1], [0, 1] * 3))
    with pytest.raises(ValueError, match="all training targets are 1"):
        DataSet.of("own", (x, [1] * 6), (x, [1] * 6), regression=True)
    split = Split(x, [0, 1, 2, 0, 1, 3])
    mask = np.array([True, False, True, False, True, False])
    assert split.names is None and split.take(mask).take(slice(1, None)).names == ("2", "4")
    called = Split(x, split.labels, names=list("abcdef"))
    assert called.take(np.array([5, 0])).names == ("f", "a") and called.sample_names[1] == "b"
    with pytest.raises(ValueError, match="6 samples, but 2 names"):
        Split(x, split.labels, names=["a", "b"])
    for classes, good in ((4, True), (3, False), (0, False)):
        if good:
            assert DataSet("own", split, split, classes).classes == 4
        else:
            with pytest.raises(ValueError, match=r"got 0\.\.3"):
                DataSet("own", split, split, classes)
    with pytest.raises(ValueError, match="3 feature names"):
        DataSet.of("own", (x, [0, 1] * 3), (x, [0, 1] * 3), feature_names=["a", "b", "c"])


@pytest.mark.parametrize("name", ["digits", "wine", "diabetes", "vibration"])
def test_a_schema_survives_json(name):
    import json

    from sortnet.data import Schema

    schema = load(name).schema
    back = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert back.to_json() == schema.to_json() and back.regression == schema.regression
    if schema.box is not None:
        assert np.array_equal(back.box.low, schema.box.low)
        assert np.array_equal(back.box.high, schema.box.high)
    for damage in ({}, {**schema.to_json(), "box": {"low": [1]}}, {"classes": "many"}):
        with pytest.raises(ValueError, match="damaged"):
            Schema.from_json(damage)


@given(st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2)))
def test_lists_of_anything_become_arrays_or_one_line_errors(values):
    try:
        array = as_array(values, "values")
        as_labels(values)
    except ValueError as error:
        assert "\n" not in str(error).replace(str(values), "")
    else:
        assert array.dtype.kind in "biuf"


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a", float("nan"), "b"], "missing"),
        (["a", None], "missing"),
        (["a", 1], "text"),
        ([1e19, 3e19, 5.0], "2\\^53"),
    ],
)
def test_labels_that_would_merge_are_refused(labels: list[object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        encode_labels(labels)


@pytest.mark.parametrize("shape", [(4, 64, 64, 2), (4, 64, 64, 5), (4, 9, 9, 7), (4, 9, 12, 8)])
def test_channels_last_of_any_number_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="NHWC"):
        as_inputs(np.zeros(shape, np.uint8))
    assert as_inputs(np.zeros(shape, np.uint8), layout="NHWC")[0].shape[1] == shape[3]
