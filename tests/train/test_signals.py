"""Ctrl-C and SIGTERM: the step is finished, a checkpoint written, the exit code says which."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
import torch
from tiny import one_line_error

from sortnet.cli import evaluate as evaluate_module
from sortnet.training import InterruptedTrainingError, Trainer, runs

HERE = Path(__file__).parent
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("sent", SIGNALS)
def test_a_signal_says_where_it_stopped_and_leaves_whole_files(
    run_cli, tmp_path, monkeypatch, sent
):
    step = Trainer.train_step

    def interrupted_step(self, *arguments):
        if self.step == 4:
            signal.raise_signal(sent)
        return step(self, *arguments)

    monkeypatch.setattr(Trainer, "train_step", interrupted_step)
    code, _, err = run_cli("train", "tiny", "--out", "run")
    assert code == 128 + sent
    assert err == f"sortnet: error: {verb(sent)} after step 5 of 16; --resume continues there\n"
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {runs.CONFIG, runs.CHECKPOINT, runs.METRICS, "tensorboard"}


def verb(sent):
    return "interrupted" if sent == signal.SIGINT else "terminated"


@pytest.mark.parametrize("sent", SIGNALS)
def test_a_signal_while_means_are_estimated_is_not_swallowed(tmp_path, monkeypatch, sent):
    run = Trainer(tiny.config(), tiny.dataset(), tmp_path)
    monkeypatch.setattr("sortnet.training.trainer.MEAN_BATCH", 64)  # four batches
    batches = run.data.train.batches
    before = [signal.getsignal(name) for name in SIGNALS]

    def interrupted(self, size):
        for number, batch in enumerate(batches(size)):
            if number == 2:
                signal.raise_signal(sent)
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(type(run.data.train), "batches", interrupted)
        with pytest.raises(InterruptedTrainingError, match="while the means") as stop:
            run.run()
    assert stop.value.signal is sent
    assert [signal.getsignal(name) for name in SIGNALS] == before
    assert not (tmp_path / runs.WEIGHTS).exists()
    again = Trainer(tiny.config(), tiny.dataset(), tmp_path)
    again.resume()
    assert again.step == 16
    again.run()
    Trainer(tiny.config(), tiny.dataset(), tmp_path / "whole").run()
    whole, parts = (runs.read_tensors(p / runs.WEIGHTS)[0] for p in (tmp_path / "whole", tmp_path))
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_a_signal_after_the_last_step_keeps_the_network(tmp_path, monkeypatch):
    run = Trainer(tiny.config(), tiny.dataset(), tmp_path)
    finish = run.finish

    def finished():
        finish()
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(run, "finish", finished)
    with pytest.raises(InterruptedTrainingError, match="terminated after the last step"):
        run.run()
    assert runs.load_run(tmp_path)[0] is not None


def test_a_second_ctrl_c_stops_at_once(tmp_path, monkeypatch):
    run = Trainer(tiny.config(), tiny.dataset(), tmp_path)

    def step(*_):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("went on")

    monkeypatch.setattr(run, "train_step", step)
    with pytest.raises(KeyboardInterrupt) as stop:
        run.run()
    assert not isinstance(stop.value, InterruptedTrainingError)


@pytest.mark.parametrize("sent", SIGNALS)
def test_signals_outside_of_training_are_one_line(run_cli, monkeypatch, sent):
    # A shell's background process ignores interrupts.
    ctrl_c = signal.signal(signal.SIGINT, signal.default_int_handler)
    run_cli("train", "tiny", "--out", "run", "--epochs", "1", "--pgd-samples", "0")
    monkeypatch.setattr(evaluate_module, "first", lambda *_: signal.raise_signal(sent))
    result = run_cli("evaluate", "run")
    one_line_error(result, verb(sent))
    assert result[0] == 128 + sent
    signal.signal(signal.SIGINT, ctrl_c)


@pytest.mark.parametrize("entry", ["command", "main"])
def test_only_a_process_that_ends_ignores_further_signals(entry):
    """A program that goes on has children; they inherit what is ignored, and nothing ends them."""
    script = (
        "import signal, sys\n"
        "from sortnet.cli import main as module\n"
        "sys.argv = ['sortnet', 'presets']\n"
        "module.import_module = lambda _: signal.raise_signal(signal.SIGTERM)\n"
        f"try:\n    module.{entry}()\n"
        "except SystemExit as stop:\n"
        "    print(stop.code, signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["143", str(entry == "command")], done.stderr


@pytest.mark.parametrize(("sent", "when"), [("SIGTERM", 5), ("SIGINT", -1)])
def test_of_two_processes_one_is_told_and_both_stop_after_the_same_step(tmp_path, sent, when):
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0"]
    launch += ["--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
    done = subprocess.run(
        [sys.executable, *launch, str(HERE / "two_processes.py"), str(tmp_path), sent, str(when)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    last = 16 if when == -1 else when + 1
    said = re.findall("<[^>]*>", done.stdout)  # both may write on one line
    assert sorted(said) == [f"<{rank} {last} {sent}>" for rank in (0, 1)]
    run = Trainer(tiny.config(), tiny.dataset(), tmp_path)
    run.resume()
    assert run.step == last


def test_sigterm_at_the_command_itself(tmp_path):
    """As a scheduler sends it: to a process of its own, at any moment of a training."""
    command = [sys.executable, "-m", "sortnet", "train", "digits", "--out", str(tmp_path / "run")]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / runs.METRICS).is_file():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    child.terminate()
    _, err = child.communicate(timeout=60)
    assert child.returncode == 143, err
    assert err.startswith("sortnet: error: terminated after step ") and len(err.splitlines()) == 1
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {runs.CONFIG, runs.CHECKPOINT, runs.METRICS, "tensorboard"}
