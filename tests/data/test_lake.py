"""Row groups of Parquet files: every row once, and errors that name file and row."""

import io
import pickle
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from sortnet.data import load, load_samples
from sortnet.data.lake import parts, read_part, rows_of
from sortnet.data.lake_files import files
from sortnet.data.schema import Schema

COLOUR = Schema((3, 4, 5), 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 5)).astype(np.uint8)
LABELS = np.arange(20) % 3


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(file, kind)
    return file.getvalue()


def fixed(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    flat = pa.array(values.ravel().tolist(), kind)
    return pa.FixedSizeListArray.from_arrays(flat, values[0].size)


FORMS = {
    "fixed bytes": lambda x: fixed(x, pa.uint8()),
    "fixed int32": lambda x: fixed(x, pa.int32()),
    "fixed floats": lambda x: fixed(x.astype(np.float32) / np.float32(255), pa.float32()),
    "lists": lambda x: pa.array(x.reshape(len(x), -1).tolist(), pa.list_(pa.uint8())),
    "large lists": lambda x: pa.array(x.reshape(len(x), -1).tolist(), pa.large_list(pa.int64())),
    "nested": lambda x: pa.FixedSizeListArray.from_arrays(
        pa.FixedSizeListArray.from_arrays(fixed(x.reshape(-1, 5), pa.uint8()), 4), 3
    ),
    "binary": lambda x: pa.array([encoded(image) for image in x], pa.binary()),
    "large binary": lambda x: pa.array([encoded(image, "BMP") for image in x], pa.large_binary()),
    "nested lists": lambda x: pa.array(x.tolist(), pa.list_(pa.list_(pa.list_(pa.uint8())))),
    "struct": lambda x: pa.array([{"bytes": encoded(image), "path": None} for image in x]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [1, 7, 20])
def test_every_row_once_whatever_the_form_and_the_groups(tmp_path, form, rows):
    table = pa.table({"key": [f"k{i}" for i in range(20)], "x": FORMS[form](PIXELS), "y": LABELS})
    (tmp_path / "deep").mkdir()
    parquet.write_table(table.slice(0, 12), tmp_path / "a.parquet", row_group_size=rows)
    parquet.write_table(table.slice(12), tmp_path / "deep" / "b.PARQUET", row_group_size=rows)
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / "_metadata.parquet").write_text("no data")
    (tmp_path / ".part.parquet").write_text("under way")
    found = pickle.loads(pickle.dumps(parts(tmp_path)))
    assert sum(part.rows for part in found) == 20
    read = [read_part(part, COLOUR) for part in found]
    assert [key for rows_ in read for key in rows_.keys.to_pylist()] == table["key"].to_pylist()
    assert np.array_equal(np.concatenate([rows_.labels for rows_ in read]), LABELS)
    inputs = np.concatenate([rows_.inputs for rows_ in read])
    assert inputs.dtype == np.float32
    assert np.array_equal(inputs, PIXELS.astype(np.float32) / np.float32(255))
    whole = load_samples(f"parquet:{tmp_path}", like=COLOUR)
    assert np.array_equal(whole.floats(), inputs)
    assert list(whole.sample_names) == table["key"].to_pylist()
    parquet.write_table(table.drop_columns(["key"]), tmp_path / "deep" / "b.PARQUET")
    mixed = load_samples(f"parquet:{tmp_path}", like=COLOUR).sample_names
    assert mixed[:12] == whole.sample_names[:12]
    assert mixed[12:] == tuple(f"deep/b.PARQUET:{i}" for i in range(20))
    alone = load_samples(f"parquet:{tmp_path / 'deep' / 'b.PARQUET'}", like=COLOUR)
    assert alone.sample_names == tuple(f"b.PARQUET:{i}" for i in range(20))


@given(st.integers(0, 19), st.integers(0, 20))
def test_slices_of_a_table_hide_the_other_rows(start, length):
    for form in ("fixed bytes", "lists", "nested"):
        table = pa.table({"x": FORMS[form](PIXELS)}).slice(start, length)
        rows = rows_of(table, COLOUR)
        expected = PIXELS[start : start + length].astype(np.float32) / np.float32(255)
        assert np.array_equal(rows.inputs, expected) and rows.labels is rows.keys is None


def test_feature_columns_are_found_by_name(tmp_path):
    wine = load("wine")
    schema, x = wine.schema, wine.test.floats()
    columns = {name: x[:, i].astype(float) for i, name in enumerate(schema.feature_names)}
    names = [schema.class_names[label] for label in wine.test.labels]
    table = pa.table({"comment": names, **dict(reversed(columns.items())), "kind": names})
    parquet.write_table(table, tmp_path / "w.parquet", row_group_size=10)
    read = [read_part(part, schema, target="kind") for part in parts(tmp_path / "w.parquet")]
    assert np.array_equal(np.concatenate([rows.inputs for rows in read]), x)
    assert np.array_equal(np.concatenate([rows.labels for rows in read]), wine.test.labels)
    split = load_samples(f"parquet:{tmp_path}", like=schema, target="kind")
    assert np.array_equal(split.inputs, x) and split.box is schema.box
    with pytest.raises(ValueError, match="no column 'y'"):
        load_samples(f"parquet:{tmp_path}", like=schema)
    with pytest.raises(ValueError, match="features 'alcohol' are missing"):
        rows_of(table.drop_columns(["alcohol"]), schema)


def test_nested_lists_lie_as_the_network_takes_them():
    square = np.random.default_rng(1).integers(0, 256, (6, 3, 4, 4)).astype(np.uint8)
    schema = Schema((3, 4, 4), 3)
    expected = square.astype(np.float32) / np.float32(255)
    assert np.array_equal(rows_of(pa.table({"x": square.tolist()}), schema).inputs, expected)
    for axes, found in (
        (square.transpose(0, 2, 3, 1), [4, 4, 3]),
        (square.reshape(6, 16, 3), [16, 3]),
        (square.reshape(6, 3, 16), [3, 16]),
        (square.reshape(6, 1, 48), [1, 48]),
        (square[:, None], [1, 3, 4, 4]),
    ):
        words = re.escape(f"row 9: x has lists of shape {found}, the network takes [3, 4, 4]")
        nested = fixed(axes.reshape(-1, found[-1]), pa.uint8())
        for length in found[-2::-1]:
            nested = pa.FixedSizeListArray.from_arrays(nested, length)
        for column in (axes.tolist(), nested):
            with pytest.raises(ValueError, match=words):
                rows_of(pa.table({"x": column}), schema, first=9)
    grey = Schema((1, 4, 4), 3)
    rows = rows_of(pa.table({"x": square[:, 0].tolist()}), grey)
    assert np.array_equal(rows.inputs, expected[:, :1])
    with pytest.raises(ValueError, match=r"shape \[4, 4, 1\], the network takes \[1, 4, 4\]"):
        rows_of(pa.table({"x": square[:, 0, :, :, None].tolist()}), grey)
    with pytest.raises(ValueError, match=r"shape \[6, 8\], the network takes \[48\]"):
        rows_of(pa.table({"x": square.reshape(6, 6, 8).tolist()}), Schema((48,), 3, levels=255))


CLEAN = (PIXELS.reshape(20, -1) / 255).tolist()


def spoiled(place: int, value: object) -> list:
    rows = [list(row) for row in CLEAN]
    rows[place][7] = value
    return rows


BAD = {
    "NaN": (spoiled(13, float("nan")), "sample 13, feature 7: NaN"),
    "infinity": (spoiled(19, float("inf")), "sample 19, feature 7: infinity"),
    "range": (spoiled(12, 255.0), "sample 12, feature 7: 255.*divide by 255"),
    "null in x": (spoiled(17, None), "row 17: a value of x is missing"),
    "null": ([*CLEAN[:11], None, *CLEAN[12:]], "row 11: x is missing"),
    "ragged": ([*CLEAN[:15], [0.5] * 59, *CLEAN[16:]], "row 15: x has a list of 59"),
    "short": ([row[:-1] for row in CLEAN], r"x has 59 values a row, .*\[3, 4, 5\]"),
    "ragged inside": (
        [[[[0.0] * 5] * 4] * 3] * 12
        + [[[[0.0] * 6, [0.0] * 4, [0.0] * 5, [0.0] * 5]] + [[[0.0] * 5] * 4] * 2]
        + [[[[0.0] * 5] * 4] * 3] * 7,
        "row 12: x has a list of 6 values",
    ),
    "text": (["a"] * 20, "expected lists of numbers, or binary"),
    "lists of text": ([["a"] * 60] * 20, "lists of string"),
    "number": (list(range(20)), "expected lists of numbers"),
    "bytes over levels": ([[0] * 60] * 14 + [[300] * 60] * 6, "sample 14: integer pixels"),
    "no image": ([encoded(PIXELS[0])] * 16 + [b"none"] * 4, "row 16: not a readable image"),
    "grey image": ([encoded(PIXELS[0])] * 10 + [encoded(PIXELS[0][:1].repeat(3, 0))[:50]] * 10,
                   "row 10: not a readable image"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_faults_name_file_and_row(tmp_path, name):
    values, words = BAD[name]
    path = tmp_path / "f.parquet"
    parquet.write_table(pa.table({"x": values, "y": LABELS}), path, row_group_size=10)
    with pytest.raises(ValueError, match=words) as raised:
        for part in parts(path):
            read_part(part, COLOUR)
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


def test_labels_and_damage(tmp_path):
    path = tmp_path / "f.parquet"
    x = FORMS["fixed bytes"](PIXELS)
    for labels, words in (
        ([*LABELS[:15].tolist(), None, 0, 0, 0, 0], "'y': missing value in row 15"),
        ([*LABELS[:15].tolist(), 7, 0, 0, 0, 0], "unseen classes '7'"),
        (["a"] * 20, "unseen classes 'a'"),
    ):
        parquet.write_table(pa.table({"x": x, "y": labels}), path, row_group_size=10)
        with pytest.raises(ValueError, match=words):
            [read_part(part, COLOUR) for part in parts(path)]
    parquet.write_table(
        pa.table({"x": x, "y": LABELS}), path, row_group_size=10, compression="gzip"
    )
    whole, known = path.read_bytes(), parts(path)
    group = parquet.ParquetFile(path).metadata.row_group(1).column(0)
    start = group.dictionary_page_offset or group.data_page_offset
    damaged = bytearray(whole)
    damaged[start : start + group.total_compressed_size] = bytes(group.total_compressed_size)
    path.write_bytes(damaged)
    assert len(read_part(known[0], COLOUR).inputs) == 10
    with pytest.raises(ValueError, match=r"f\.parquet: row group 1 is damaged"):
        read_part(known[1], COLOUR)
    for raw in (b"", whole[: len(whole) // 2], b"PAR1PAR1"):
        path.write_bytes(raw)
        with pytest.raises(ValueError, match=r"f\.parquet: not a readable Parquet"):
            parts(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_part(known[0], COLOUR)
    with pytest.raises(FileNotFoundError, match=r"no \.parquet files"):
        parts(tmp_path)
    with pytest.raises(ValueError, match="no column 'x'"):
        rows_of(pa.table({"z": [1]}), COLOUR)
    with pytest.raises(ValueError, match="is for certifying"):
        load(f"parquet:{tmp_path}")


def test_integers_are_no_floats_and_pictures_no_signals():
    signals = Schema((2, 30), 2, levels=1)
    table = pa.table({"x": fixed(np.zeros((2, 60), int), pa.int16())})
    with pytest.raises(ValueError, match="integers, but the network learned from floats"):
        rows_of(table, signals)
    with pytest.raises(ValueError, match="binary images, the network takes"):
        rows_of(pa.table({"x": [encoded(PIXELS[0])]}), signals)
    sixteen = Schema((1, 2, 2), 2, levels=16)
    rows = rows_of(pa.table({"x": fixed(np.full((1, 4), 16), pa.uint8())}), sixteen)
    assert (rows.inputs == 1).all()


def test_links_to_folders_are_followed_once(tmp_path):
    lake, away = tmp_path / "lake", tmp_path / "away"
    table = pa.table({"x": FORMS["fixed bytes"](PIXELS), "y": LABELS})
    for name in ("lake/day/a", "away/deep/b", "away/_tmp/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, tmp_path / f"{name}.parquet")
    (lake / "linked").symlink_to(away, target_is_directory=True)
    (lake / "again").symlink_to(lake / "day", target_is_directory=True)
    (lake / "zz").symlink_to(away / "deep", target_is_directory=True)
    (lake / "day" / "up").symlink_to(lake, target_is_directory=True)
    (away / "deep" / "loop").symlink_to(away, target_is_directory=True)
    found = [file.relative_to(lake).as_posix() for file in files(lake)]
    assert found == ["day/a.parquet", "linked/deep/b.parquet"]
    assert len(load_samples(f"parquet:{lake}", like=COLOUR)) == 40
    (lake / "day" / "gone.parquet").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no such file: .*gone\.parquet"):
        parts(lake)
    (lake / "day" / "out").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(ValueError, match=r"day/out is a link to .*, which holds the lake itself"):
        files(lake)


def test_pictures_of_another_kind_are_told_what_the_network_takes():
    for image, schema, words in (
        (PIXELS[0], Schema((1, 4, 5), 2), "row 7: a colour image, but the network takes grey ones"),
        (PIXELS[0], Schema((3, 5, 4), 2), "row 7: size 5x4, but the network takes 4x5$"),
        (PIXELS[0], Schema((3, 9, 9), 2), "row 7: size 5x4, but the network takes 9x9$"),
        (PIXELS[0], Schema((4, 4, 5), 2), "the network takes 4 channels"),
    ):
        with pytest.raises(ValueError, match=words) as raised:
            rows_of(pa.table({"x": [encoded(image)]}), schema, first=7)
        assert "first image" not in str(raised.value) and "colour=" not in str(raised.value)


def test_integers_of_a_lake_that_leave_white_open(tmp_path):
    """A file does not say how deep its pixels were when the network learned."""
    spoken = Schema((3, 4, 5), 3, levels=1)
    for most in (1, 16, 127, 128, 255):
        x = PIXELS.astype(int) * most // int(PIXELS.max())
        parquet.write_table(
            pa.table({"x": fixed(x, pa.int16()), "y": LABELS}), tmp_path / "a.parquet"
        )
        if most < 128:
            words = f"the largest pixel is {most}: if that is white, pass levels={most} "
            with pytest.raises(ValueError, match=words):
                load_samples(f"parquet:{tmp_path}", like=spoken)
        else:
            read = load_samples(f"parquet:{tmp_path}", like=spoken).floats()
            assert np.array_equal(read, x.astype(np.float32) / np.float32(255))
        for levels in (most, 255):
            read = load_samples(f"parquet:{tmp_path}", like=spoken, levels=levels).floats()
            assert np.array_equal(read, x.astype(np.float32) / np.float32(levels))
    with pytest.raises(ValueError, match="levels=16 is for pixels"):
        load_samples(f"parquet:{tmp_path}", like=Schema((60,), 3, levels=1), levels=16)


def test_features_are_no_labels_and_columns_are_there_once(tmp_path):
    named = Schema((3,), 2, 1, None, ("x1", "y", "key"))
    table = pa.table({"x1": [0.5, 0.25], "y": [0.0, 1.0], "key": [1.0, 0.0], "kind": [1, 0]})
    rows = rows_of(table, named)
    assert rows.labels is rows.keys is None and rows.inputs.shape == (2, 3)
    parquet.write_table(table, tmp_path / "a.parquet")
    split = load_samples(f"parquet:{tmp_path}", like=named, target="kind")
    assert split.labels.tolist() == [1, 0]
    assert split.sample_names == ("a.parquet:0", "a.parquet:1")
    with pytest.raises(ValueError, match="no column 'y'"):
        load_samples(f"parquet:{tmp_path}", like=named)
    for name in ("x1", "y"):
        with pytest.raises(ValueError, match=f"the target '{name}' is an input of the network"):
            load_samples(f"parquet:{tmp_path}", like=named, target=name)
    for name in ("x1", "kind"):
        twice = pa.Table.from_arrays(
            [*table.columns, table[name]], names=[*table.column_names, name]
        )
        parquet.write_table(twice, tmp_path / "a.parquet")
        words = f"two columns have the name '{name}'"
        with pytest.raises(ValueError, match=rf"a\.parquet: {words}"):
            load_samples(f"parquet:{tmp_path}", like=named, target="kind")
        with pytest.raises(ValueError, match=words):
            rows_of(twice, named, target="kind")
