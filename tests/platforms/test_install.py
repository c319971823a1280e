"""A wheel in a bare environment, with no compiler on the PATH: deployment, then the quickstart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
import targets

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_quickstart(wheel: Callable[[str], Path], tmp_path: Path) -> None:
    path = wheel(targets.this_machine())
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "CXX", "CC")}
    variables["PATH"] = str(programs)

    def run(program: str, *arguments: str) -> str:
        ran = subprocess.run(
            [str(programs / program), *arguments],
            env=variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
        return ran.stdout

    run("python", "-m", "pip", "install", "-q", f"{path}[onnxruntime]")
    assert "torch" not in run("python", "-m", "pip", "list")
    run("python", "-c", "from sortnet.export import CertifiedSession")
    run("python", "-m", "pip", "install", "-q", f"{path}[train,onnxruntime]")
    run("sortnet", "quickstart", "--json", "result.json")
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["clean"] >= 0.96 and result["certified"]["0.1"] >= 0.9
    assert run("sortnet", "verify", "runs/quickstart/model.onnx")
    print(f"{path.name}: {path.stat().st_size / 2**20:.2f} MiB, {sys.version}")
