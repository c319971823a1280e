"""One meaning and one name for each option, in every command."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tiny
from click import Command, Group
from tiny import one_line_error

from sortnet.cli import main as cli
from sortnet.export import CertifiedSession
from sortnet.training import presets, runs

QUICK = ("--epochs", "1", "--pgd-samples", "0")


@pytest.fixture
def photos(tmp_path):
    """A folder of 6 x 6 images in three classes with names."""
    from PIL import Image

    data = tiny.dataset(120, 30)
    for part, split in (("train", data.train), ("test", data.test)):
        for number, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
            folder = tmp_path / "photos" / part / ("ape", "bee", "cat")[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).save(folder / f"{number}.png")
    return tmp_path / "photos"


def commands() -> dict[str, Command]:
    found = {name: cli.cli.get_command(None, name) for name in cli.COMMANDS}
    for name, command in list(found.items()):
        if isinstance(command, Group):
            found |= {f"{name} {sub}": inner for sub, inner in command.commands.items()}
    return found


def test_every_option_has_one_name_and_one_meaning():
    """The same name means the same in every command; other spellings are notices only."""
    helps = {}
    for name, command in commands().items():
        assert "--debug" in [o for p in command.params for o in p.opts], name
        for parameter in command.params:
            long = [option for option in parameter.opts if option.startswith("--")]
            assert len(long) <= 1, (name, parameter.opts)
            for option in long:
                helps.setdefault(option, []).append((name, parameter))
    for option in ("--pgd", "--npz", "--output"):
        assert option not in helps
    for option in ("--root", "--limit", "--plot", "--eps", "--debug", "--pgd-steps"):
        assert len({p.help for name, p in helps[option] if name != "export"}) == 1, option
    for option, users in helps.items():
        assert (
            len({(type(p.type), p.is_flag, p.multiple) for n, p in users if n != "export"}) == 1
        ), option
    for name, parameter in helps["--out"]:
        assert "-o" in parameter.opts, name


@pytest.mark.parametrize(
    ("arguments", "old", "new"),
    [
        (("evaluate", "absent", "--npz", "d.npz"), "--npz", "--data"),
        (("evaluate", "absent", "--npz=d.npz"), "--npz", "--data"),
        (("certify", __file__, "--data", "x", "--eps", "1", "--pgd", "3"), "--pgd", "--pgd-steps"),
        (("export", "absent", "--output", "x.onnx"), "--output", "--out"),
        (("theory", "--only", "nothing", "--plot", "figures"), "--plot", "--plots"),
    ],
)  # fmt: skip
def test_old_spellings_work_with_a_notice(run_cli, arguments, old, new):
    code, _, err = run_cli(*arguments)
    notice, error = err.splitlines()
    assert notice == f"sortnet: notice: {old} is now {new}; the old name goes with the next release"
    assert code and "No such option" not in error


def test_debug_shows_the_traceback_wherever_it_stands(run_cli):
    for arguments in (("--debug", "train", "mnist"), ("train", "mnist", "--debug")):
        code, _, err = run_cli(*arguments)
        assert code == 1 and "Traceback" in err and "get_preset" in err
        assert err.splitlines()[-1].startswith("sortnet: error: unknown preset 'mnist'")
    one_line_error(run_cli("train", "mnist"), "did you mean 'mnist-0.")


def test_misspelt_commands_and_options_get_the_nearest(run_cli):
    one_line_error(run_cli("evalute", "run"), "no such command 'evalute'", "'evaluate'")
    one_line_error(run_cli("train", "tiny", "--epoch", "3"), "--epochs")
    one_line_error(run_cli("train", "tiny", "--sed", "3"), "--seed")


def test_python_m_sortnet(tmp_path):
    for arguments in (["--version"], ["presets"], ["theory", "--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "sortnet", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 0 and done.stdout and not done.stderr


def test_train_takes_the_data_that_it_is_given(run_cli, tmp_path, photos, monkeypatch):
    code, _, err = run_cli("train", "tiny", "--data", "folder:photos", "--out", "run", *QUICK)
    assert code == 0, err
    config = runs.read_config(tmp_path / "run")
    assert config.preset.data == f"folder:{photos}"  # wherever it is used from
    assert config.class_names == ("ape", "bee", "cat")
    assert config.schema.input_shape == (1, 6, 6)
    code, _, err = run_cli("export", "run", "-o", "photos.onnx")
    assert code == 0, err
    assert CertifiedSession(tmp_path / "photos.onnx").class_names == ("ape", "bee", "cat")
    monkeypatch.chdir("/")
    code, _, err = run_cli("evaluate", str(tmp_path / "run"), "--pgd-steps", "0")
    assert code == 0, err
    one_line_error(run_cli("train", "digits", "--data", str(photos)), f"folder:{photos}")
    one_line_error(run_cli("train", "digits", "--data", "no/such"), "unknown data set", "folder:")
    one_line_error(run_cli("train", "digits", "--data", "folder:no"), "no")
    one_line_error(run_cli("train", "digits", "--root", str(photos)), "root", "digits")


def test_root_is_where_relative_data_lies(run_cli, tmp_path, photos):
    arguments = ("--root", str(tmp_path), "--out", "other", *QUICK)
    code, _, err = run_cli("train", "tiny", "--data", "folder:photos", *arguments)
    assert code == 0, err
    config = runs.read_config(tmp_path / "other")
    assert (config.preset.data, config.data_root) == (f"folder:{photos}", None)


def test_data_that_does_not_fit_the_preset_is_refused(run_cli, tmp_path, photos, monkeypatch):
    fixed = dataclasses.replace(tiny.preset(), name="fixed")
    fixed = fixed.override(["model.input_shape=[1, 5, 5]", "model.mean=0", "model.std=1"])
    monkeypatch.setitem(presets.PRESETS, "fixed", fixed)
    result = run_cli("train", "fixed", "--data", "folder:photos", "--out", "run")
    one_line_error(result, "[1, 5, 5]", "[1, 6, 6]")
    result = run_cli("train", "digits", "--data", "diabetes", "--out", "run")
    one_line_error(result, "numbers to be predicted", "SortNetRegressor")
    for data in ("wine", "vibration"):
        result = run_cli("train", "digits", "--data", data, "--out", "run")
        one_line_error(result, "preset digits classifies images [C, H, W]", data)
    assert not (tmp_path / "run").exists()


def test_evaluate_takes_the_data_that_it_is_given(run_cli, tmp_path, photos):
    code, _, err = run_cli("train", "tiny", "--data", "folder:photos", "--out", "run", *QUICK)
    assert code == 0, err
    test = tiny.dataset().test
    names = np.array(["ape", "bee", "cat"])[test.labels]
    np.savez(tmp_path / "own.npz", x=test.images[:7], y=names[:7])
    quick = ("--pgd-steps", "0", "--json", "e.json")
    for data, count in (("folder:photos", 30), ("own.npz", 7), ("npz:own.npz", 7)):
        code, _, err = run_cli("evaluate", "run", "--data", data, *quick, "--plot", "e.svg")
        assert code == 0, err
        assert json.loads((tmp_path / "e.json").read_text())["samples"] == count
    assert (tmp_path / "e.svg").stat().st_size > 0
    code, _, err = run_cli("evaluate", "run", "--data", "own.npz", "--limit", "3", *quick)
    assert json.loads((tmp_path / "e.json").read_text())["samples"] == 3
    for data in ("/does/not/exist", "does/not/exist.npz", "folder:/does/not/exist"):
        one_line_error(run_cli("evaluate", "run", "--data", data), "exist")
    one_line_error(run_cli("evaluate", "run", "--data", "digits"), "digits", "ape")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--seed", "2"), ("--seed 1, not 2",)),
        (("--epochs", "3"), ("--epochs 2.0, not 3.0",)),
        (("--precision", "bfloat16"), ("--precision float32, not bfloat16",)),
        (("--hold-out", "0.2"), ("--hold-out 0.1, not 0.2",)),
        (("--set", "recipe.lr=0.5"), ("--set recipe.lr 0.02, not 0.5",)),
        (("--set", "model.width=40"), ("--set model.width 20, not 40",)),
        (("--set", "model.identity=10"), ("--set model.identity as the data says, not 10",)),
        (("--data", "digits"), ("--data bars, not digits",)),
    ],
)
def test_resume_refuses_what_differs(run_cli, tmp_path, options, words):
    begun = ("train", "tiny", "--out", "run", "--pgd-samples", "0")
    first = ("--seed", "1", "--epochs", "2", "--hold-out", "0.1", "--set", "recipe.p_ramp=[1, 2]")
    code, _, err = run_cli(*begun, *first)
    assert code == 0, err
    before = (tmp_path / "run" / runs.CONFIG).read_bytes()
    one_line_error(run_cli(*begun, "--resume", *options), "was begun with", *words)
    assert (tmp_path / "run" / runs.CONFIG).read_bytes() == before
    for same in ((), first, ("--seed", "1"), ("--set", "recipe.lr=0.02", "--data", "bars")):
        code, _, err = run_cli(*begun, "--resume", *same)
        assert code == 0, err


def test_quickstart_replaces_its_own_runs_only(run_cli, tmp_path, monkeypatch):
    """Not even a run of the same preset, nor files that only have the names of a run's."""
    run_cli("train", "digits", "--out", "mine", *QUICK)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "model.onnx").write_text("precious")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "metrics.jsonl").write_text("precious")
    for folder, words in (
        ("mine", "a run of digits"),
        ("notes", "model.onnx"),
        ("logs", "metrics.jsonl"),
    ):
        before = {p: p.read_bytes() for p in (tmp_path / folder).glob("*.*")}
        one_line_error(run_cli("quickstart", "--out", folder), words, "--out")
        assert {p: p.read_bytes() for p in (tmp_path / folder).glob("*.*")} == before
    (tmp_path / "empty").mkdir()
    quick = presets.PRESETS["digits"].override(["recipe.p_ramp=[0.1, 1]"])
    monkeypatch.setitem(presets.PRESETS, "digits", quick.scaled(1.0))
    for _ in range(2):
        code, _, err = run_cli("quickstart", "--out", "empty")
        assert code == 0, err


def test_bars_go_to_stderr(tmp_path):
    """Results can be piped: stdout has the table alone, even where stderr is a terminal."""
    code = (
        "from sortnet.cli import console\n"
        "console.errors._force_terminal = True\n"
        "with console.plain_bar('working') as bar: bar(1, 2)\n"
        "print('result')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "TERM": "xterm"},
    )
    assert done.stdout == "result\n" and "working" in done.stderr, done.stderr


def test_metrics_are_written_before_a_picture_can_fail(run_cli, tmp_path, monkeypatch):
    from sortnet.cli import plots

    def fail(*_):
        raise OSError("no pictures today")

    monkeypatch.setattr(plots, "training_plot", fail)
    one_line_error(run_cli("train", "tiny", "--out", "run", *QUICK), "no pictures today")
    assert "evaluation" in runs.read_metrics(tmp_path / "run")[-1]
