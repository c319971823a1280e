"""Exported bytes, verdicts and files of earlier versions are what they were."""

from __future__ import annotations

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


def test_every_operation_is_in_a_golden_network() -> None:
    used = {type(op) for network in golden.networks().values() for op in network.ops}
    assert used == set(OPERATIONS)


def test_verdicts_are_as_before() -> None:
    before = golden.load("verdicts.json")
    now = golden.verdicts()
    assert {name: reasons for name, reasons in now.items() if before.get(name) != reasons} == {}
    assert before.keys() == now.keys() and len(now) > 200


@pytest.mark.parametrize("path", golden.kept_files(), ids=lambda path: path.stem)
def test_files_of_earlier_versions_are_read_and_verified(path: Path) -> None:
    proof = verify(path)
    assert proof.proved and not proof.notes, proof.reasons
    name, kind = golden.KEPT[path.stem]
    assert proof.to_json()["radius"] == kind
    expected = golden.KINDS[kind](golden.networks()[name])
    assert golden.digest(onnx.load(path)) == golden.digest(expected)
    session = CertifiedSession(path)
    x = images(np.random.default_rng(0), session.network, 20)
    prediction = session.predict(x)
    logits, label, _ = start(expected.SerializeToString(), True).run(None, {"input": x})
    assert (prediction.logits == logits).all() and (prediction.label == label).all()
    assert session.certify(x, "1/1000").any()
