import json
import subprocess
import sys

import numpy as np
import pytest
import tiny
from tiny import one_line_error

from sortnet.cli import main as cli
from sortnet.data import sets as data
from sortnet.training import runs


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


def test_npz_data(run_cli, tmp_path):
    run_cli("train", "tiny", "--out", "run", "--epochs", "1", "--pgd-samples", "0")
    test = tiny.dataset().test
    np.savez(tmp_path / "d.npz", x=test.images, y=test.labels)
    code, _, err = run_cli("evaluate", "run", "--data", "d.npz", "--pgd-steps", "2")
    assert code == 0, err
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 1, 9, 9), np.uint8), y=np.zeros(2, int))
    one_line_error(run_cli("evaluate", "run", "--data", "d.npz"), "[1, 9, 9]", "[1, 6, 6]")
    np.savez(tmp_path / "d.npz", x=test.images, y=np.where(test.labels == 2, 3, test.labels))
    one_line_error(
        run_cli("evaluate", "run", "--data", "d.npz"), "labels must be in 0..2", "e.g. 3"
    )
    before = (tmp_path / "d.npz").read_bytes()
    for output in ("d.npz", "run/config.json", "run/model.safetensors"):
        result = run_cli("evaluate", "run", "--data", "d.npz", "--json", output)
        one_line_error(result, "--json", output, "name another")
    one_line_error(run_cli("evaluate", "run", "--json", "no/e.json"), "--json", "no does not exist")
    assert (tmp_path / "d.npz").read_bytes() == before


def test_bad_input_is_one_line(run_cli, tmp_path):
    one_line_error(run_cli("train", "mnist-0.2"), "unknown preset", "did you mean", "mnist-0.3")
    one_line_error(run_cli("train", "nonsense"), "unknown preset", "known: digits", "mnist-0.1")
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
    for eps in ("0", "-1/255", "2e9", "x"):
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
