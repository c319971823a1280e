"""Exported bytes, verdicts and files of earlier versions are what they were."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import golden_cases as golden
import numpy as np
import onnx
import pytest
from networks import images, start

from sortnet.certificate.operations import OPERATIONS
from sortnet.export import CertifiedSession
from sortnet.export.verifier import verify


def test_exported_bytes_are_as_before() -> None:
    before = golden.load("bytes.json")
    now = {name: golden.digest(model) for name, model in golden.files().items()}
    assert now == {name: canonical for name, (canonical, _) in before.items()}
    assert len({name.split(",")[0] for name in now}) >= 20


def test_functions_are_as_before() -> None:
    """A verifier compares them byte by byte: whatever ONNX parses them, they must not change."""
    assert golden.function_digests() == golden.load("functions.json")


@pytest.mark.slow
@pytest.mark.parametrize("version", ["floor", "newest"])
def test_functions_are_the_same_in_every_onnx(version: str, tmp_path: Path) -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    floor = re.search(r'"onnx>=([\d.]+)"', project)
    assert floor is not None
    wanted = f"onnx=={floor[1]}" if version == "floor" else "onnx"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path)]
    subprocess.run([*pip, wanted], check=True)
    script = str(Path(golden.__file__))
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
sys.argv = [{script!r}, "functions"]
import onnx, runpy
assert onnx.__file__.startswith({str(tmp_path)!r})
runpy.run_path({script!r}, run_name="__main__")
"""
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert json.loads(found.stdout) == golden.load("functions.json")


def test_every_operation_is_in_a_golden_network() -> None:
    used = {
        type(op)
        for network in (golden.networks() | golden.feature_networks()).values()
        for op in network.ops
    }
    assert used == set(OPERATIONS)


@pytest.mark.parametrize("path", golden.kept_files(), ids=lambda path: path.stem)
def test_files_of_earlier_versions_are_read_and_verified(path: Path) -> None:
    proof = verify(path)
    assert proof.proved and not proof.notes, proof.reasons
    name, kind = golden.KEPT[path.stem]
    network = (golden.networks() | golden.feature_networks())[name]
    claim = "bounds of the value" if network.regression else kind
    assert proof.to_json()["radius"] == claim
    expected = golden.KINDS[kind](network)
    assert golden.digest(onnx.load(path)) == golden.digest(expected)
    session = CertifiedSession(path)
    x = images(np.random.default_rng(0), session.network, 20)
    here = start(expected.SerializeToString(), True)
    if network.regression:
        for name, found in session.predict_interval(x)._asdict().items():
            assert (found == here.run([name], {"input": x})[0]).all()
        return
    prediction = session.predict(x)
    logits, label = here.run(["logits", "label"], {"input": x})
    assert (prediction.logits == logits).all() and (prediction.label == label).all()
    assert session.certify(x, "1/1000").any()
