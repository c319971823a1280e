"""Tiny networks gain nothing from threads, and two test processes would fight for them."""

import dataclasses
import signal

import pytest
import tiny
import torch

from sortnet.cli import main as cli
from sortnet.data import sets as data
from sortnet.training import presets


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run_cli(tmp_path, monkeypatch, capsys):
    """Runs `sortnet ARGUMENTS` in a fresh folder; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(presets.PRESETS, "tiny", dataclasses.replace(tiny.preset(), name="tiny"))
    monkeypatch.setitem(data._BUNDLED, "bars", tiny.dataset)
    monkeypatch.setattr(data, "NAMES", (*data.NAMES, "bars"))

    def call(*arguments: str) -> tuple[int, str, str]:
        before = [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)]
        with pytest.raises(SystemExit) as stop:
            cli.main(list(arguments))
        after = [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)]
        assert after == before  # what is ignored here is ignored by every child process
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return call
