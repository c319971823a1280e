"""benchmarks/gpu.py goes through all of its stages without a GPU, so that no typo wastes one."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
STAGES = ["build", "check", "speed", "tests", "reference", "step", "sanitizer", "curve"]

# In the place of the public extension: the calls that are timed, with their shapes checked.
EXTENSION = """
def inf_dist_forward(x, w, y, position, groups):
    assert x.shape[2] == y.shape[2] == groups == 1 and position.shape == y.shape
def inf_dist_backward_input_weight(dy, position, dx, dw, groups):
    assert position.shape == dy.shape
def norm_dist_forward(x, w, y, groups, p):
    assert y.shape[:2] == (x.shape[0], w.shape[0])
def norm_dist_backward_input_weight(dy, x, w, y, dx, dw, groups, p):
    assert dx.shape == x.shape and dw.shape == w.shape
def sort_neuron_forward_nograd(x, w, y, groups, q, k):
    assert 0 < q < 1 and k == 10
"""
NETWORKS = """
import torch
class SortMLPModel(torch.nn.Module):
    def __init__(self, depth, width, input_dim, dropout, scalar):
        super().__init__()
        self.layer, self.p = torch.nn.Linear(3072, 10), None
    def forward(self, x, targets, eps):
        y = self.layer(x.flatten(1))
        return y, y / (2 * eps)
"""


def run(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "run", "--dry-run", "--output", str(output), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_without_a_gpu_it_says_what_can_be_had(tmp_path: Path) -> None:
    from torch import cuda

    if cuda.is_available():
        pytest.skip("there is a GPU")
    command = [sys.executable, str(SCRIPT), "run", "--output", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1 and "no GPU: --dry-run" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_stage_runs_dry(tmp_path: Path) -> None:
    folder, output = tmp_path / "reference", tmp_path / "results"
    folder.mkdir()
    (folder / "norm_dist_cuda.py").write_text(EXTENSION)
    (folder / "ell_inf_models.py").write_text(NETWORKS)
    result = run(output, "--reference", str(folder))
    assert result.returncode == 0, result.stderr
    for stage in STAGES:
        document = json.loads((output / f"{stage}.json").read_text())
        log = (output / f"{stage}.log").read_text()
        assert document["done"], log
        assert "dry run" in document["device"] and document["rows"]
    with (output / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = {row["name"] for row in rows}
    assert {"l_8 forward", "l_8 forward + backward", "training step, mean of the schedule"} <= names
    curve = [row for row in rows if row["stage"] == "curve"]
    assert all(0 <= float(row["certified at 0.1"]) <= float(row["clean"]) <= 1 for row in curve)
    # A second run must say that it goes on, and then has nothing to do.
    assert "add --resume" in run(output).stderr
    before = (output / "speed.json").read_text()
    assert run(output, "--resume").returncode == 0
    assert (output / "speed.json").read_text() == before


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_failing_stage_stops_no_other(tmp_path: Path) -> None:
    """No reference where one is promised: a row that says so; what follows still runs."""
    only = ["--only", "reference", "--only", "check"]
    result = run(tmp_path, "--reference", str(tmp_path / "nothing"), *only)
    assert result.returncode == 0, result.stderr
    failed = json.loads((tmp_path / "reference.json").read_text())
    assert not failed["done"] and "norm_dist_cuda" in failed["rows"][0]["failure"]
    assert json.loads((tmp_path / "check.json").read_text())["done"]
    # What is mended is done again.
    assert run(tmp_path, "--resume", *only).returncode == 0
    assert json.loads((tmp_path / "reference.json").read_text())["done"]
