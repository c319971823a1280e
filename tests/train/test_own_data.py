"""From a file of one's own to a certificate without torch: tables, arrays, signals, folders."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import tiny
from PIL import Image
from pyarrow import parquet
from tiny import one_line_error

from sortnet.data import Box, DataSet
from sortnet.export import CertifiedSession
from sortnet.models import ModelConfig
from sortnet.training import runs
from sortnet.training.own import feature_fields, own_preset

QUICK = ("--epochs", "150", "--pgd-samples", "8", "--set", "model.width=16")


def rows(count=90, seed=0):
    """Numbers [N, 3] in three units, and the state that they tell."""
    draw = np.random.default_rng(seed)
    state = draw.integers(0, 3, count)
    x = np.stack([300 + 40.0 * state, -2 + state, draw.random(count)], axis=1)
    x[:, :2] += draw.normal(0, 1, (count, 2)) * [4, 0.1]
    return x.round(4), np.array(["cold", "mild", "warm"])[state]


def write_table(path, x, y, names=("kelvin", "volt", "noise")):
    columns = {name: x[:, i] for i, name in enumerate(names)} | {"state": y}
    table = pa.table(columns)
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        lines = [",".join(table.column_names)]
        lines += [",".join(map(str, row.values())) for row in table.to_pylist()]
        path.write_text("\n".join(lines) + "\n")


def certify_without_torch(*arguments):
    script = (
        "import sys\nsys.modules['torch'] = None\nfrom sortnet.cli.main import main\n"
        f"main({['certify', *map(str, arguments)]!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_all_the_way(run_cli, tmp_path, suffix):
    """Classes and columns by name at every step; the last step has no torch."""
    file = tmp_path / f"rooms{suffix}"
    write_table(file, *rows())
    code, out, err = run_cli("train", f"table:{file}", "--target", "state", "--out", "run", *QUICK)
    assert code == 0, err
    said = " ".join(out.split())
    for words in (
        "one split only: 72 samples for training, 18 for testing, each class in proportion, seed 0",
        "72 training samples of 3 in 3 classes",
        "trained for eps 1/10, reported at 0.05, 0.1",
        "eps is in units of each feature, within its box",
    ):
        assert words in said, said
    config = runs.read_config(tmp_path / "run")
    assert config.target == "state" and config.class_names == ("cold", "mild", "warm")
    code, _, err = run_cli("evaluate", "run", "--pgd-steps", "3", "--json", "e.json")
    assert code == 0, err
    evaluated = json.loads((tmp_path / "e.json").read_text())
    assert evaluated["samples"] == 18 and evaluated["clean"] > 0.5
    assert evaluated["certified"]["0.05"] <= evaluated["pgd"]["0.05"] <= evaluated["clean"]
    code, _, err = run_cli("export", "run", "-o", "rooms.onnx")
    assert code == 0, err
    session = CertifiedSession(tmp_path / "rooms.onnx")
    assert session.class_names == ("cold", "mild", "warm")
    assert session.feature_names == ("kelvin", "volt", "noise")

    # Other rows, their columns in another order; one of them is far away.
    x, y = rows(30, seed=1)
    x = x.clip(session.network.input.low + 1e-3, session.network.input.high - 1e-3).round(4)
    x[11, 0] = 1000
    new = tmp_path / "new.csv"
    write_table(new, x[:, [2, 0, 1]], y, ("noise", "kelvin", "volt"))
    named = ("--data", f"table:{new}", "--target", "state")
    warned = certify_without_torch(
        tmp_path / "rooms.onnx", *named, "--eps", "0.05", "--json", tmp_path / "c.json"
    )
    assert "1 of 30 samples lie outside" in warned and "radius is 0: 11" in warned
    certified = json.loads((tmp_path / "c.json").read_text())
    code, _, err = run_cli(
        "evaluate", "run", "--data", f"table:{new}", "--eps", "0.05", "--json", "n.json"
    )
    assert code == 0 and "radius is 0: 11" in err, err
    again = json.loads((tmp_path / "n.json").read_text())
    assert again["outside"] == [11] and certified["outside"] == ["11"]
    assert abs(again["clean"] - certified["clean"]) < 1e-9
    assert abs(again["certified"]["0.05"] - certified["certified"]["0.05"]) < 1e-9


def test_resuming_remembers_the_columns(run_cli, tmp_path):
    write_table(tmp_path / "t.csv", *rows())
    start = ("train", "own", "--data", "t.csv", "--target", "state", "--drop", "noise")
    code, out, err = run_cli(*start, "--out", "run", "--immutable", "volt", *QUICK)
    assert code == 0 and "unit 0, as if nobody could change them: volt" in " ".join(out.split()), (
        err
    )
    config = runs.read_config(tmp_path / "run")
    assert config.drop == ("noise",) and config.feature_names == ("kelvin", "volt")
    assert config.model.box.unit[1] == 0 < config.model.box.unit[0]
    code, _, err = run_cli("train", "own", "--out", "run", "--resume", "--pgd-samples", "0")
    assert code == 0, err
    code, _, err = run_cli(*start[:6], "--out", "run", "--resume", "--pgd-samples", "0")
    assert code == 0, err
    wrong = ("--out", "run", "--resume")
    one_line_error(run_cli(*start[:4], "--target", "volt", *wrong), "--target state, not volt")
    begin = run_cli(*start[:4], "--target", "volt", "--out", "run")
    one_line_error(begin, "holds a run with --target state, not volt", "change --out")
    begin = run_cli(*start[:6], "--drop", "volt", "--out", "run")
    one_line_error(begin, "holds a run with --drop noise, not volt")
    write_table(tmp_path / "other.csv", *rows())
    begin = run_cli("train", "own", "--data", "other.csv", *start[4:], "--out", "run")
    one_line_error(begin, "holds a run with --data", "t.csv, not", "other.csv")
    one_line_error(run_cli(*start, "--out", "run"), "holds a run already; add --resume")
    one_line_error(run_cli("evaluate", "run", "--target", "volt"), "learned --target state", "volt")
    one_line_error(run_cli(*start[:6], "--unit", "std", *wrong), "--unit", "resume it")


def test_float_images_signals_and_a_folder(run_cli, tmp_path):
    """Floats stay floats: thousandths that bytes would merge are told apart."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, 60)
    images = (0.5 + 0.001 * y[:, None, None, None] * np.ones((1, 1, 5, 5))).astype(np.float32)
    np.savez(tmp_path / "images.npz", x=images, y=y)
    time = np.linspace(0, 12, 20)
    signals = np.sin(time * (1 + y[:, None, None])) * np.array([[3], [50]])
    signals = (signals + draw.normal(0, 0.1, signals.shape)).astype(np.float32)
    np.savez(tmp_path / "signals.npz", x=signals, y=y, layout="NCT", class_names=["slow", "fast"])
    for i, label in enumerate(y):
        place = tmp_path / "photos" / ("dark", "light")[label]
        place.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 90, (6, 6)) + 120 * label
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{i}.png")
    for data, words in (
        ("npz:images.npz", "samples of 1 x 5 x 5"),
        ("signals.npz", "samples of 2 x 20"),
        ("folder:photos", "eps is in pixels"),
    ):
        out = data.partition(".")[0].replace(":", "-")
        code, said, err = run_cli("train", data, "--out", out, "--eps", "0.001", *QUICK)
        assert code == 0, err
        assert words in " ".join(said.split())
        code, _, err = run_cli("export", out, "-o", f"{out}.onnx")
        assert code == 0, err
        certify_without_torch(
            f"{out}.onnx", "--data", data, "--eps", "0.001", "--json", tmp_path / "c.json"
        )
        assert json.loads((tmp_path / "c.json").read_text())["samples"] == 60
    loaded, _ = runs.load_run(tmp_path / "signals")
    assert loaded.config.box.unit[0] < loaded.config.box.unit[-1] / 10  # a channel, a unit
    assert CertifiedSession("signals.onnx").class_names == ("slow", "fast")
    assert CertifiedSession("folder-photos.onnx").class_names == ("dark", "light")


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda x, y: x.__setitem__((4, 0), np.nan), (), ("'kelvin': NaN in row 4",)),
        (lambda x, y: x.__setitem__((5, 1), np.inf), (), ("'volt': infinity in row 5",)),
        (lambda x, y: x.__setitem__((slice(None), 2), 7), (), ("constant features: 'noise'",)),
        (lambda x, y: y.__setitem__(slice(None), "cold"), (), ("only the class 'cold'",)),
        (None, ("--drop", "nois"), ("no column to drop 'nois'",)),
        (None, ("--immutable", "vlot"), ("no feature 'vlot'", "did you mean 'volt'?")),
        (None, ("--immutable", "kelvin", "--immutable", "volt", "--immutable", "noise"),
         ("the unit is 0 for every feature",)),
        (None, ("--unit", "0"), ("a number above 0",)),
        (None, ("--unit", "metres"), ("--unit is range, std or a number",)),
        (None, ("--target", "temperature"), ("no target 'temperature'", "'kelvin'")),
        (None, ("--target", "noise", "--drop", "state"), ("SortNetRegressor",)),
        (None, ("--eps", "0"), ("a radius",)),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_learned(run_cli, tmp_path, change, options, words):
    x, y = rows()
    if change is not None:
        change(x, y)
    write_table(tmp_path / "t.parquet", x, y)
    if "--target" not in options:
        options = ("--target", "state", *options)
    one_line_error(run_cli("train", "t.parquet", *options), *words)
    assert not (tmp_path / "runs").exists()


def test_what_does_not_go_together(run_cli, tmp_path):
    write_table(tmp_path / "t.csv", *rows())
    one_line_error(run_cli("train", "t.csv", "--data", "t.csv"), "leave --data out")
    one_line_error(run_cli("train", "own"), "needs --data")
    one_line_error(run_cli("train", "t.csv"), "--target COLUMN")
    one_line_error(run_cli("train", "tiny", "--eps", "0.1"), "recipe.eps_test")
    one_line_error(
        run_cli("train", "tiny", "--data", "t.csv", "--target", "state"), "train own", "[3]"
    )
    one_line_error(run_cli("train", "own", "--data", "bars", "--unit", "std"), "pixels")
    one_line_error(run_cli("train", "own", "--data", "bars", "--eps", "2"), "at most 1 (pixels")
    one_line_error(run_cli("train", "own", "--data", "diabetes"), "SortNetRegressor")
    one_line_error(run_cli("train", "tiny", "--target", "y"), "target column 'y' has no meaning")


def test_all_families_on_a_table(run_cli, tmp_path):
    write_table(tmp_path / "t.csv", *rows())
    arguments = ("--budget", "1s", "--seeds", "1", "--pgd-samples", "5", "--json", "r.json")
    families = [word for row in ("sortnet", "maxmin", "ibp-relu") for word in ("--row", row)]
    code, _, err = run_cli("reproduce", "t.csv", "--target", "state", *arguments, *families)
    assert code == 0, err
    table = json.loads((tmp_path / "r.json").read_text())
    assert [row["name"] for row in table["rows"]] == ["sortnet", "maxmin", "ibp-relu"]
    again = ("reproduce", "t.csv", "--target", "state", "--drop", "volt", *arguments, *families)
    code, _, err = run_cli(*again)
    assert (
        code and "holds a run with --drop nothing, not volt; give another" in err.splitlines()[-1]
    )


def test_normalised_coordinates_have_the_radius_of_the_ball():
    """The fields against their definition, feature by feature."""
    x, y = rows(200)
    x[:, 2] = np.arange(200) < 1  # varies in one sample, which training may not hold
    data = DataSet.of(
        "rooms", (x[1:150], y[1:150]), (x[150:], y[150:]), box=Box.around(x),
        feature_names=["kelvin", "volt", "noise"],
    )  # fmt: skip
    seen = x[1:150].astype(np.float32).astype(np.float64)
    for unit, units in (
        ("range", seen.max(0) - seen.min(0)),
        ("std", seen.std(0)),
        (0.5, [0.5] * 3),
    ):
        fields = feature_fields(data, unit, ["volt"])
        expected = np.where([True, False, True], units, 0)
        np.testing.assert_allclose(fields["box"]["unit"], expected, rtol=1e-6)
        np.testing.assert_allclose(fields["mean"], seen.mean(0), rtol=1e-6)
        moved = np.array(fields["box"]["unit"]) > 0
        np.testing.assert_array_equal(
            np.array(fields["std"])[moved], np.array(fields["box"]["unit"])[moved]
        )
        config = ModelConfig("sortnet", (3,), 3, 2, 8, **fields)
        np.testing.assert_array_equal(config.input.low, data.box.low)


def test_a_preset_of_ones_own_is_data_alone():
    first, second = (own_preset(tiny.dataset(), "bars", ["0.05"]) for _ in range(2))
    assert first == second and first.recipe.eps_train == "3/40"
