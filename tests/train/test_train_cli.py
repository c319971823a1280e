import dataclasses
import json
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from sortnet.cli import main as cli
from sortnet.cli import reproduce
from sortnet.data import sets as data
from sortnet.training import presets, runs
from sortnet.training.train import Trainer


@pytest.fixture
def run_cli(tmp_path, monkeypatch, capsys):
    """Runs `sortnet ARGUMENTS` in a fresh folder; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(presets.PRESETS, "tiny", dataclasses.replace(tiny.preset(), name="tiny"))
    real = data.load
    monkeypatch.setattr(
        data, "load", lambda name, *a: tiny.dataset() if name == "bars" else real(name, *a)
    )

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            cli.main(list(arguments))
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return call


def one_line_error(result: tuple[int, str, str], *words: str) -> None:
    code, _, err = result
    assert code != 0
    assert err.startswith("sortnet: error: ") and len(err.splitlines()) == 1, err
    assert all(word in err for word in words), err


def test_help_is_quick_and_complete():
    code = (
        "import sys\n"
        "from sortnet.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'numpy', 'onnx'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in cli.COMMANDS:
        assert name in done.stdout


@pytest.mark.parametrize("name", ["quickstart", "presets", "train", "evaluate", "reproduce"])
def test_every_command_explains_itself(run_cli, name):
    code, out, _ = run_cli(name, "--help")
    assert code == 0 and "--json" in out and len(out) > 150


def test_train_evaluate_and_their_json(run_cli, tmp_path):
    code, out, err = run_cli("train", "tiny", "--out", "run", "--json", "t.json", "--seed", "1")
    assert code == 0, err
    assert "certified" in out
    for name in (runs.CONFIG, runs.WEIGHTS, runs.METRICS, "training.png", "accuracy.png"):
        assert (tmp_path / "run" / name).stat().st_size > 0
    trained = json.loads((tmp_path / "t.json").read_text())
    code, _, err = run_cli("evaluate", "run", "--json", "e.json", "--eps", "0.05", "--eps", "1/10")
    assert code == 0, err
    evaluated = json.loads((tmp_path / "e.json").read_text())
    assert evaluated["clean"] == trained["clean"]
    assert evaluated["certified"]["1/10"] == trained["certified"]["0.1"]
    for eps in ("0.05", "1/10"):
        assert evaluated["certified"][eps] <= evaluated["pgd"][eps] <= evaluated["clean"]
    assert runs.read_metrics(tmp_path / "run")[-1]["evaluation"]["clean"] == trained["clean"]

    one_line_error(run_cli("train", "tiny", "--out", "run"), "--resume")
    code, _, err = run_cli("train", "tiny", "--out", "run", "--resume")
    assert code == 0, err


def test_ctrl_c_says_where_it_stopped_and_leaves_whole_files(run_cli, tmp_path, monkeypatch):
    step = Trainer.train_step

    def interrupted_step(self, *arguments):
        if self.step == 4:
            signal.raise_signal(signal.SIGINT)
        return step(self, *arguments)

    monkeypatch.setattr(Trainer, "train_step", interrupted_step)
    code, _, err = run_cli("train", "tiny", "--out", "run")
    assert code == 130 and "after step 5 of 16; --resume" in err and "Traceback" not in err
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {runs.CONFIG, runs.CHECKPOINT, runs.METRICS, "tensorboard"}


def test_npz_data(run_cli, tmp_path):
    run_cli("train", "tiny", "--out", "run", "--epochs", "1", "--pgd-samples", "0")
    test = tiny.dataset().test
    np.savez(tmp_path / "d.npz", x=test.images, y=test.labels)
    code, _, err = run_cli("evaluate", "run", "--npz", "d.npz", "--pgd-steps", "2")
    assert code == 0, err
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 1, 9, 9), np.uint8), y=np.zeros(2, int))
    one_line_error(run_cli("evaluate", "run", "--npz", "d.npz"), "[1, 9, 9]", "[1, 6, 6]")
    np.savez(tmp_path / "d.npz", x=test.images, y=np.where(test.labels == 2, 3, test.labels))
    one_line_error(run_cli("evaluate", "run", "--npz", "d.npz"), "labels must be in 0..2", "e.g. 3")
    before = (tmp_path / "d.npz").read_bytes()
    for output in ("d.npz", "run/config.json", "run/model.safetensors"):
        result = run_cli("evaluate", "run", "--npz", "d.npz", "--json", output)
        one_line_error(result, "--json", output, "name another")
    one_line_error(run_cli("evaluate", "run", "--json", "no/e.json"), "--json", "no does not exist")
    assert (tmp_path / "d.npz").read_bytes() == before


def test_bad_input_is_one_line(run_cli, tmp_path):
    one_line_error(run_cli("train", "mnist-0.2"), "unknown preset", "mnist-0.1")
    for command in ("train", "evaluate", "reproduce", "certify"):  # one name that all of them know
        assert "--root" in run_cli(command, "--help")[1]
    one_line_error(run_cli("train", "mnist-0.1"), "--root DIR")
    one_line_error(run_cli("train", "tiny", "--set", "recipe.rate=1"), "rate")
    one_line_error(run_cli("train", "tiny", "--set", "model.width=-3"), "width")
    one_line_error(run_cli("train", "tiny", "--set", "lr=1"), "recipe.lr=0.01")
    one_line_error(run_cli("train", "tiny", "--epochs", "0"), "--epochs")
    one_line_error(run_cli("train", "tiny", "--hold-out", "1"), "--hold-out")
    one_line_error(run_cli("train", "tiny", "--resume", "--out", "none"), "no run folder")
    one_line_error(run_cli("evaluate", "absent"), "no run folder")
    (tmp_path / "empty").mkdir()
    one_line_error(run_cli("evaluate", "empty"), "config.json is missing")
    for eps in ("0", "-1/255", "2", "x"):
        one_line_error(run_cli("evaluate", "empty", "--eps", eps), "radius")
    for seed in ("-1", str(2**63), "x"):
        one_line_error(run_cli("train", "tiny", "--seed", seed), "--seed")
        one_line_error(run_cli("quickstart", "--seed", seed), "--seed")
    for command in (("train", "tiny"), ("evaluate", "empty"), ("reproduce", "tiny")):
        one_line_error(run_cli(*command, "--pgd-samples", "-1"), "--pgd-samples")
    one_line_error(run_cli("train", "tiny", "--set", "recipe.eps_test=[]"), "at least one radius")
    one_line_error(run_cli("train", "tiny", "--set", "model.classes=2"), "0..1", "classes")
    one_line_error(run_cli("train", "tiny", "--set", "recipe.betas=[0.9, 2]"), "betas", "[0, 1)")
    one_line_error(run_cli("train", "tiny", "--set", "recipe.weight_decay=-1"), "weight_decay")
    one_line_error(run_cli("train"), "PRESET", "sortnet train --help")
    one_line_error(run_cli("train", "tiny", "--no-such"), "--no-such")
    one_line_error(run_cli("train", "tiny", "--set", "model.input_shape=[1,5,5]"), "[1, 6, 6]")
    one_line_error(run_cli("reproduce", "tiny", "--budget", "fast"), "20m")
    one_line_error(run_cli("nonsense"), "nonsense")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", [["train", "tiny"], ["reproduce", "tiny"], ["quickstart"]])
def test_outputs_are_checked_before_the_work(run_cli, tmp_path, monkeypatch, command):
    """In one line, naming the option, with nothing loaded, trained or left behind."""

    def no_work(*_: object) -> None:
        pytest.fail("work was begun")

    monkeypatch.setattr(data, "load", no_work)
    (tmp_path / "file").write_text("")
    for arguments, words in (
        (["--json", "none/a.json"], ["--json", "none does not exist"]),
        (["--json", "file/a.json"], ["--json", "file does not exist"]),
        (["--json", "/proc/a.json"], ["--json", "cannot write /proc/a.json"]),
        (["--out", "file/run"], ["file is not a folder"]),
        (["--out", "/proc/run"], ["cannot write to /proc/run"]),
        (["--out", "run", "--json", "run"], ["--json", "is a folder"]),
    ):
        one_line_error(run_cli(*command, *arguments), *words)
    own = {"train": "metrics.jsonl", "reproduce": "table.md", "quickstart": "model.onnx"}
    own_file = f"a run/{own[command[0]]}"
    one_line_error(
        run_cli(*command, "--out", "a run", "--json", own_file), "--json", "name another"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_presets_checks_its_output(run_cli):
    result = run_cli("presets", "--json", "none/a.json")
    one_line_error(result, "none does not exist")
    assert not result[1]  # and prints nothing before


def test_result_may_lie_in_the_folder_that_training_makes(run_cli, tmp_path):
    arguments = ("--epochs", "1", "--pgd-samples", "0")
    code, _, err = run_cli("train", "tiny", "--out", "a b", "--json", "a b/r.json", *arguments)
    assert code == 0, err
    assert json.loads((tmp_path / "a b" / "r.json").read_text())["run"] == "a b"


def test_quickstart_replaces_no_other_run(run_cli, tmp_path):
    run_cli("train", "tiny", "--out", "run", "--epochs", "1", "--pgd-samples", "0")
    before = (tmp_path / "run" / runs.WEIGHTS).read_bytes()
    one_line_error(run_cli("quickstart", "--out", "run"), "run holds a run of tiny", "--out")
    assert (tmp_path / "run" / runs.WEIGHTS).read_bytes() == before


def test_reproduce_writes_the_table_and_goes_on_where_it_stopped(run_cli, tmp_path):
    arguments = ["reproduce", "tiny", "--budget", "1s", "--seeds", "2", "--pgd-samples", "40"]
    arguments += ["--row", "sortnet", "--row", "groupsort", "--out", "all", "--json", "r.json"]
    code, _, err = run_cli(*arguments)
    assert code == 0, err
    table = json.loads((tmp_path / "r.json").read_text())
    assert [row["name"] for row in table["rows"]] == ["sortnet", "groupsort"]
    for row in table["rows"]:
        assert [run["seed"] for run in row["runs"]] == [0, 1]
        assert 0 <= row["certified"]["mean"] <= row["pgd"]["mean"] <= 1
    assert (tmp_path / "all" / "table.md").read_text().count("±") >= 6
    assert (tmp_path / "all" / "table.png").stat().st_size > 0
    weights = (tmp_path / "all" / "sortnet-seed0" / runs.WEIGHTS).stat().st_mtime_ns
    code, _, err = run_cli(*arguments)
    assert code == 0, err
    assert (tmp_path / "all" / "sortnet-seed0" / runs.WEIGHTS).stat().st_mtime_ns == weights
    metrics = tmp_path / "all" / "sortnet-seed0" / runs.METRICS
    rows = runs.read_metrics(metrics.parent)
    runs.write_metrics(metrics.parent, [*rows[:-1], {"evaluation": {}}])
    one_line_error(run_cli(*arguments), "metrics.jsonl: damaged")
    metrics.write_text(metrics.read_text()[:-5])  # cut by a crash: evaluated again
    code, _, err = run_cli(*arguments)
    assert code == 0, err
    assert (
        runs.read_metrics(metrics.parent)[-1]["evaluation"]["clean"]
        == rows[-1]["evaluation"]["clean"]
    )


def test_a_busy_moment_does_not_shorten_a_run(monkeypatch):
    """One step in six takes a hundred times as long; the speed is that of the others."""
    clock, steps = [0.0], [0]

    def step(*_: object) -> None:
        steps[0] += 1
        clock[0] += 10.0 if steps[0] % 6 == 0 else 0.1

    monkeypatch.setattr(reproduce, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(Trainer, "train_step", step)
    epochs = reproduce.epochs_within(tiny.config(), tiny.dataset(), budget=40.0)
    assert epochs == pytest.approx(0.9 * 40.0 / (4 * 0.1))  # 4 steps an epoch


def test_reproduce_mixes_neither_budgets_nor_recipes(run_cli, monkeypatch):
    arguments = ["reproduce", "tiny", "--seeds", "1", "--pgd-samples", "1", "--row", "maxmin"]
    arguments += ["--out", "a folder", "--budget"]
    code, _, err = run_cli(*arguments, "1s")
    assert code == 0, err
    one_line_error(run_cli(*arguments, "2s"), "a folder", "1 s", "--out")
    changed = dataclasses.replace(tiny.preset(betas=(0.9, 0.98)), name="tiny")
    monkeypatch.setitem(presets.PRESETS, "tiny", changed)
    one_line_error(run_cli(*arguments, "1s"), "maxmin-seed0", "another recipe", "--out")
