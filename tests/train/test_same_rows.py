"""Rows that were trained on are never scored without a word: after the data of a run changed."""

import json
import os
import shutil

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from tiny import one_line_error

from sortnet.data.sets import load
from sortnet.training import comparison_row, runs
from sortnet.training.reproduction import Reproduction
from sortnet.training.same_data import UnknownRowsWarning, check_test_rows
from sortnet.training.trainer import Trainer

QUICK = ("--epochs", "1", "--pgd-samples", "0")


def bars(count=120):
    """One file of images and labels."""
    whole = tiny.dataset(count).train
    return whole.inputs, whole.labels


CHANGES = {
    "reordered": lambda x, y: (x[::-1], y[::-1]),
    "one moved to the end": lambda x, y: (np.roll(x, -1, axis=0), np.roll(y, -1)),
    "cut": lambda x, y: (x[:-1], y[:-1]),
    "extended": lambda x, y: (np.concatenate([x, x[:1]]), np.concatenate([y, y[:1]])),
    "edited": lambda x, y: (np.where(np.arange(len(x))[:, None, None, None] == 7, 255 - x, x), y),
    "relabelled": lambda x, y: (x, np.where(np.arange(len(y)) == 7, (y + 1) % 3, y)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_file_that_changed_is_neither_scored_nor_trained_on(run_cli, tmp_path, change):
    x, y = bars()
    np.savez(tmp_path / "d.npz", x=x, y=y)
    code, _, err = run_cli("train", "tiny", "--data", "d.npz", "--out", "run", *QUICK)
    assert code == 0, err
    other = CHANGES[change](x, y)
    np.savez(tmp_path / "d.npz", x=other[0], y=other[1])
    words = ("run was trained on other rows than d.npz", "--data FILE")
    one_line_error(run_cli("evaluate", "run"), *words)
    resumed = run_cli("train", "tiny", "--out", "run", "--resume")
    one_line_error(resumed, "run was begun on other rows than d.npz", "another --out")
    (tmp_path / "run" / runs.CHECKPOINT).unlink()  # also where nothing was done yet
    one_line_error(run_cli("train", "tiny", "--out", "run", "--resume"), "other rows than d.npz")
    # What is said to be scored is scored, whatever the run's own data is.
    np.savez(tmp_path / "new.npz", x=x[:30], y=y[:30])
    code, _, err = run_cli("evaluate", "run", "--data", "new.npz", "--pgd-steps", "0")
    assert code == 0 and not err, err
    np.savez(tmp_path / "d.npz", x=x, y=y)
    code, _, err = run_cli("evaluate", "run", "--pgd-steps", "0", "--json", "e.json")
    assert code == 0 and json.loads((tmp_path / "e.json").read_text())["samples"] == 24, err


@given(st.permutations(range(30)), st.integers(0, 2))
def test_no_row_that_was_trained_on_is_scored(tmp_path_factory, order, cut):
    """Either the check refuses, or the test rows are those that were held back in training."""
    place = tmp_path_factory.mktemp("rows")
    x, y = bars(30)
    y = np.arange(30) % 3
    x = x.copy()
    x[:, 0, 0, 0] = np.arange(30)  # tells the rows apart
    np.savez(place / "d.npz", x=x, y=y)
    data = load(str(place / "d.npz"))
    trained = set(data.train.inputs[:, 0, 0, 0].tolist())
    trainer = Trainer(tiny.config(tiny.preset(batch_size=8)), data, place / "run")
    chosen = np.array(order[: 30 - cut])
    np.savez(place / "d.npz", x=x[chosen], y=y[chosen])
    now = load(str(place / "d.npz"))
    try:
        check_test_rows(place / "run", trainer.config, now)
    except runs.RunError:
        assert cut or list(order) != list(range(30))
    else:
        assert not trained & set(now.test.inputs[:, 0, 0, 0].tolist())


def test_a_test_split_of_its_own_may_change_and_the_training_split_not(run_cli, tmp_path):
    x, y = bars()

    def write(train, test):
        np.savez(
            tmp_path / "d.npz", x_train=x[train], y_train=y[train], x_test=x[test], y_test=y[test]
        )

    write(slice(0, 90), slice(90, 120))
    begin = ("train", "tiny", "--data", "d.npz", "--out", "run", *QUICK)
    code, _, err = run_cli(*begin)
    assert code == 0, err
    write(slice(0, 90), slice(100, 120))
    code, _, err = run_cli("evaluate", "run", "--pgd-steps", "0", "--json", "e.json")
    assert code == 0 and json.loads((tmp_path / "e.json").read_text())["samples"] == 20, err
    code, _, err = run_cli("train", "tiny", "--out", "run", "--resume", "--pgd-samples", "0")
    assert code == 0, err
    write(slice(1, 91), slice(100, 120))
    resumed = run_cli("train", "tiny", "--out", "run", "--resume")
    one_line_error(resumed, "90 training samples of other values")
    code, _, err = run_cli("evaluate", "run", "--pgd-steps", "0")
    assert code == 0 and len(err.splitlines()) == 1, err
    assert err.startswith("sortnet: warning: run was trained on other rows than d.npz gives now")
    assert "90 training samples of other values, labels or order" in err
    # One that has no test split any more is parted by us, and the other way round.
    np.savez(tmp_path / "d.npz", x=x, y=y)
    one_line_error(run_cli("evaluate", "run"), "90 training samples then, 96 now")


def test_training_rows_in_the_test_split_are_said(run_cli, tmp_path):
    x, y = bars()
    arrays = {"x_train": x[:90], "y_train": y[:90], "x_test": x[90:], "y_test": y[90:]}
    np.savez(tmp_path / "d.npz", **arrays)
    code, _, err = run_cli("train", "tiny", "--data", "d.npz", "--out", "run", *QUICK)
    assert code == 0, err
    note = "test samples have the values of training samples"
    code, out, err = run_cli("evaluate", "run", "--pgd-steps", "0")
    assert code == 0 and not err and note not in out
    np.savez(tmp_path / "d.npz", **arrays | {"x_test": x[80:], "y_test": y[80:]})
    code, out, err = run_cli("evaluate", "run", "--pgd-steps", "0")
    assert code == 0 and not err and f"10 of 40 {note}" in out
    # The rows went from one split to the other: none is in both.
    np.savez(tmp_path / "d.npz", x_train=x[:80], y_train=y[:80], x_test=x[80:], y_test=y[80:])
    code, out, err = run_cli("evaluate", "run", "--pgd-steps", "0")
    assert code == 0 and note not in out
    assert "sortnet: warning: run was trained on other rows" in err and "then, 80 now" in err


def test_a_part_held_out_of_training_depends_on_its_rows(run_cli, tmp_path):
    x, y = bars()
    arrays = {"x_train": x, "y_train": y, "x_test": x[:20], "y_test": y[:20]}
    np.savez(tmp_path / "d.npz", **arrays)
    begin = ("train", "tiny", "--data", "d.npz", "--hold-out", "0.25", "--out", "run", *QUICK)
    code, _, err = run_cli(*begin)
    assert code == 0, err
    np.savez(tmp_path / "d.npz", **arrays | {"x_train": x[::-1], "y_train": y[::-1]})
    one_line_error(run_cli("evaluate", "run"), "other rows than d.npz")
    code, _, err = run_cli("evaluate", "run", "--data", "d.npz", "--pgd-steps", "0")
    assert code == 0 and not err, err  # x_test was said to be scored


def test_the_file_of_the_run_as_other_data_is_scored_whole_with_a_word(run_cli, tmp_path):
    x, y = bars()
    np.savez(tmp_path / "d.npz", x=x, y=y)
    run_cli("train", "tiny", "--data", "d.npz", "--out", "run", *QUICK)
    code, _, err = run_cli(
        "evaluate", "run", "--data", "d.npz", "--pgd-steps", "0", "--json", "e.json"
    )
    assert code == 0 and json.loads((tmp_path / "e.json").read_text())["samples"] == 120
    assert "warning: d.npz is what run learned from" in err and len(err.splitlines()) == 1


def forget_rows(place):
    """As a run of an older version."""
    document = json.loads((place / runs.CONFIG).read_text())
    del document["data_rows"]
    (place / runs.CONFIG).write_text(json.dumps(document))


@pytest.mark.parametrize("hold_out", ["0", "0.25"])
def test_the_rows_of_the_run_are_known_wherever_they_lie(run_cli, tmp_path, hold_out):
    x, y = bars()
    np.savez(tmp_path / "d.npz", x=x, y=y)
    begin = ("train", "tiny", "--data", "d.npz", "--hold-out", hold_out, "--out", "run", *QUICK)
    code, _, err = run_cli(*begin)
    assert code == 0, err
    (tmp_path / "copies").mkdir()
    shutil.copy(tmp_path / "d.npz", tmp_path / "copies" / "other.npz")
    (tmp_path / "link.npz").symlink_to("d.npz")
    data = load(str(tmp_path / "d.npz"))
    train = (data.hold_out(float(hold_out)) if float(hold_out) else data).train
    np.savez(tmp_path / "train.npz", x=train.inputs, y=train.labels)

    def said(name):
        code, _, err = run_cli("evaluate", "run", "--data", name, "--pgd-steps", "0")
        assert code == 0 and len(err.splitlines()) <= 1, err
        return f"warning: {name} is what run learned from" in err

    assert all(map(said, ("d.npz", "copies/other.npz", "link.npz", "train.npz")))
    np.savez(tmp_path / "new.npz", x=255 - x, y=y)
    assert not said("new.npz")
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=255 - x, y_test=y)
    assert not said("own.npz")
    forget_rows(tmp_path / "run")
    assert said("d.npz") and not said("new.npz")


def test_the_table_of_the_run_is_known_by_its_rows(run_cli, tmp_path):
    lines = [f"{i % 7}.5,{i},{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["u,index,kind", *lines]) + "\n")
    arguments = ("--data", "t.csv", "--target", "kind", "--drop", "index", "--out", "run")
    code, _, err = run_cli("train", "own", *arguments, *QUICK)
    assert code == 0, err
    os.rename(tmp_path / "t.csv", tmp_path / "moved.csv")
    code, _, err = run_cli("evaluate", "run", "--data", "moved.csv", "--pgd-steps", "0")
    assert code == 0 and "warning: moved.csv is what run learned from" in err
    (tmp_path / "few.csv").write_text("u,kind\n0.5,a\n1.5,b\n")
    code, _, err = run_cli("evaluate", "run", "--data", "few.csv", "--pgd-steps", "0")
    assert code == 0 and not err


def test_a_run_without_fingerprint_goes_on_with_one_line(run_cli, tmp_path):
    x, y = bars()
    np.savez(tmp_path / "d.npz", x=x, y=y)
    run_cli("train", "tiny", "--data", "d.npz", "--out", "run", *QUICK)

    forget_rows(tmp_path / "run")
    resume = ("train", "tiny", "--out", "run", "--resume", "--pgd-samples", "0")
    for command in (("evaluate", "run", "--pgd-steps", "0"), resume, resume):
        code, _, err = run_cli(*command)
        assert code == 0, err
        said = [line for line in err.splitlines() if "fingerprint" in line]
        assert len(said) == 1 and said[0].startswith("sortnet: warning: run was begun"), err
    # Nothing that is not known was written down meanwhile.
    assert runs.read_config(tmp_path / "run").data_rows is None
    data = load(str(tmp_path / "d.npz"))
    with pytest.warns(UnknownRowsWarning, match="cannot be told"):
        Trainer(runs.read_config(tmp_path / "run"), data, tmp_path / "run").resume()


@pytest.mark.parametrize("change", ["reordered", "cut", "edited"])
def test_a_comparison_mixes_no_rows(tmp_path, change):
    x, y = bars()
    np.savez(tmp_path / "d.npz", x=x, y=y)
    base = tiny.preset()
    row = comparison_row(base, "sortnet")
    work = Reproduction(base, (row,), 1, 1.0, 5, tmp_path)
    _, _, place = next(work.runs())
    data = load(str(tmp_path / "d.npz"))
    trainer = Trainer(work._config(row.scaled(2.0), data, 0), data, place)
    runs.write_config(place, trainer.config)
    work.check(data)
    other = CHANGES[change](x, y)
    np.savez(tmp_path / "d.npz", x=other[0], y=other[1])
    with pytest.raises(runs.RunError, match=r"other rows than d\.npz.*give another --out"):
        work.check(load(str(tmp_path / "d.npz")))


def test_a_comparison_of_ones_own_says_that_the_rows_changed(run_cli, tmp_path):
    """Not that the recipe did, which follows from the rows."""
    draw = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = (draw.random((60, 3)) + y[:, None]).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    arguments = ("reproduce", "d.npz", "--budget", "0.5s", "--seeds", "1", "--pgd-samples", "2")
    arguments += ("--row", "sortnet", "--out", "c")
    code, _, err = run_cli(*arguments)
    assert code == 0, err
    np.savez(tmp_path / "d.npz", x=x[::-1], y=y[::-1])
    code, _, err = run_cli(*arguments)
    assert code and "holds a run on other rows than d.npz gives now" in err.splitlines()[-1], err


def test_other_names_in_a_file_are_other_data(run_cli, tmp_path):
    """The same numbers under other names, or the same names in another order."""
    x, y = bars()
    arrays = {"x_train": x, "y_train": y, "x_test": x[:20], "y_test": y[:20]}
    np.savez(tmp_path / "d.npz", **arrays, class_names=["low", "middle", "top"])
    run_cli("train", "tiny", "--data", "d.npz", "--out", "run", *QUICK)
    np.savez(tmp_path / "d.npz", **arrays, class_names=["top", "middle", "low"])
    words = ("class names low, middle, top, d.npz has top, middle, low now",)
    one_line_error(run_cli("evaluate", "run"), *words)
    one_line_error(run_cli("train", "tiny", "--out", "run", "--resume"), *words)
    np.savez(tmp_path / "d.npz", **arrays, class_names=["low", "middle", "top"], levels=250)
    one_line_error(run_cli("evaluate", "run"), "levels")


@pytest.mark.parametrize("left", [runs.CHECKPOINT, runs.WEIGHTS])
def test_a_folder_that_lost_its_config_is_begun_too(run_cli, tmp_path, left):
    x, y = bars()
    np.savez(tmp_path / "d.npz", x=x, y=y)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / left).write_bytes(b"weights")
    begin = ("train", "tiny", "--data", "d.npz", "--out", "run", *QUICK)
    one_line_error(run_cli(*begin), f"run holds {left}", "config.json is gone", "change --out")
    assert {p.name for p in (tmp_path / "run").iterdir()} == {left}


def two_sets(place):
    """Two sets of rows of the same kind."""
    sets = []
    for name, part in (("a", slice(0, 90)), ("b", slice(30, 120))):
        x, y = bars()
        arrays = {"x_train": x[part], "y_train": y[part], "x_test": x[:30], "y_test": y[:30]}
        np.savez(place / f"{name}.npz", **arrays)
        sets.append(load(str(place / f"{name}.npz")))
    return sets


def test_a_new_run_leaves_nothing_of_an_old_one(tmp_path):
    a, b = two_sets(tmp_path)
    place = tmp_path / "run"
    Trainer(tiny.config(), a, place).run()
    assert (place / runs.WEIGHTS).is_file() and (place / runs.CHECKPOINT).is_file()
    begun = Trainer(tiny.config(), b, place)

    class Killed(BaseException):
        """As soon as the config is there."""

    def kill(*_):
        assert runs.read_config(place).data_rows == begun.config.data_rows
        raise Killed

    with pytest.raises(Killed):
        begun.run(kill)
    assert not (place / runs.WEIGHTS).exists() and not (place / runs.CHECKPOINT).exists()
    # One that is resumed keeps what it has, though its checkpoint was removed.
    Trainer(tiny.config(), a, place).run()
    (place / runs.CHECKPOINT).unlink()
    again = Trainer(tiny.config(), a, place)
    again.resume()
    with pytest.raises(Killed):
        again.run(lambda *_: (_ for _ in ()).throw(Killed))
    assert (place / runs.WEIGHTS).is_file()


def test_a_checkpoint_says_which_rows_it_learned_from(tmp_path):
    a, b = two_sets(tmp_path)
    place = tmp_path / "run"
    Trainer(tiny.config(), a, place).run(until=1)
    runs.write_config(place, Trainer(tiny.config(), b, place).config)
    with pytest.raises(runs.RunError, match="it learned from other training rows"):
        Trainer(tiny.config(), b, place).resume()
    # One of an older version does not say it.
    tensors, metadata = runs.read_tensors(place / runs.CHECKPOINT)
    kept = {name: metadata[name] for name in ("step", "seconds")}
    assert len(metadata) == 3
    runs.write_tensors(place / runs.CHECKPOINT, tensors, kept)
    again = Trainer(tiny.config(), b, place)
    again.resume()
    assert again.step == 1


@pytest.mark.parametrize("parted", [False, True])
def test_data_that_was_moved_is_trained_on(run_cli, tmp_path, parted):
    x, y = bars()
    split = {"x_train": x[:90], "y_train": y[:90], "x_test": x[90:], "y_test": y[90:]}
    arrays = {"x": x, "y": y} if parted else split
    np.savez(tmp_path / "d.npz", **arrays)
    begin = ("train", "tiny", "--data", "d.npz", "--out", "run", *QUICK)
    code, _, err = run_cli(*begin)
    assert code == 0, err
    os.rename(tmp_path / "d.npz", tmp_path / "moved.npz")
    resume = ("train", "tiny", "--out", "run", "--resume", "--pgd-samples", "0", "--data")
    code, _, err = run_cli(*resume, "moved.npz")
    assert code == 0, err
    config = runs.read_config(tmp_path / "run")
    assert config.preset.data == f"npz:{tmp_path / 'moved.npz'}"
    code, _, err = run_cli("evaluate", "run", "--pgd-steps", "0")
    assert code == 0 and not err, err
    # Other rows and another kind of data are not the same data moved.
    np.savez(tmp_path / "other.npz", **{name: value[::-1] for name, value in arrays.items()})
    one_line_error(run_cli(*resume, "other.npz"), "begun on other rows than other.npz")
    one_line_error(run_cli(*resume, "digits"), "was begun with --data", "not digits")
    assert runs.read_config(tmp_path / "run") == config
    # Nor can anybody tell of a run that kept no fingerprint.
    forget_rows(tmp_path / "run")
    shutil.copy(tmp_path / "moved.npz", tmp_path / "copy.npz")
    one_line_error(run_cli(*resume, "copy.npz"), "was begun with --data", "copy.npz")
