"""The wheel of aarch64 in an emulated Python: the kernel test suite, and a certified answer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import machines
import pytest
from machines import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
NAME = "manylinux-aarch64"


@pytest.fixture(scope="module")
def python(
    tmp_path_factory: pytest.TempPathFactory, unpacked: Callable[[str], Path]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Debian's Python of aarch64 with the wheel; SORTNET_AARCH64 names a kept one."""
    wheel = unpacked(NAME)
    machines.start(NAME)
    kept = os.environ.get("SORTNET_AARCH64")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("aarch64")
    if not (folder / "root/usr/bin/python3.11").exists():
        if shutil.which("dpkg") is None or os.getuid() != 0:
            pytest.skip("needs Debian and root, or SORTNET_AARCH64; see aarch64_python.sh")
        script = Path(__file__).with_name("aarch64_python.sh")
        subprocess.run(["bash", str(script), str(folder)], check=True, capture_output=True)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        root = str(folder / "root")
        return subprocess.run(
            ["qemu-aarch64", "-L", root, f"{root}/usr/bin/python3.11", *arguments],
            env={**os.environ, "PYTHONPATH": f"{wheel}:{folder / 'site'}"},
            cwd=tmp_path_factory.mktemp("home"),
            capture_output=True,
            text=True,
        )

    return run


def test_kernels(python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    options = ["-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--timeout=0"]
    ran = python("-m", "pytest", *options, str(ROOT / "tests/kernels"))
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed and int(passed[1]) > 350, ran.stdout[-500:]


def test_certified_session(
    python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """onnxruntime of aarch64 finds and runs the op library; its answers are this machine's."""
    script = """
import platform, sys
import numpy as np, onnx
from sortnet.certificate.network import Network
from sortnet.certificate.operations import Flatten, Negate, SortNeuron
from sortnet.export import CertifiedSession
from sortnet.export.writer import build_model
rng = np.random.default_rng(5)
weights = [rng.normal(size=s).astype(np.float32) for s in ((70, 42), (10, 70))]
network = Network((1, 6, 7), (Flatten(), *(SortNeuron(W, 0.5, 4) for W in weights), Negate()))
onnx.save(build_model(network, None), sys.argv[1])
answer = CertifiedSession(sys.argv[1]).predict(rng.random((9, 1, 6, 7), dtype=np.float32))
print(platform.machine(), answer.label.tolist(), answer.radius.tolist())
"""
    ran = python("-c", script, "model.onnx")
    assert ran.returncode == 0, ran.stderr
    command = [sys.executable, "-c", script, str(tmp_path / "model.onnx")]
    here = subprocess.run(command, capture_output=True, text=True, check=True)
    machine, answer = ran.stdout.split(" ", 1)
    assert machine == "aarch64" and answer == here.stdout.split(" ", 1)[1]
