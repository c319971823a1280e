"""The same exported file under ONNX Runtime's builds for JavaScript: WebAssembly and Node's own."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from javascript import PACKAGES, JavaScriptHost, javascript_host

from sortnet.certificate.network import Network
from sortnet.certificate.operations import Affine, Bias, Flatten, Negate, SortNeuron, Tanh
from sortnet.export import CertifiedSession
from sortnet.export.writer import build_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SHAPE = (1, 6, 7)
RADIUS_BOUND = 2e-6
"""How far radii of two conforming hosts may be apart: docs/export.md, "Other hosts"."""


@pytest.fixture(scope="module", params=PACKAGES)
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JavaScriptHost]:
    with javascript_host(request.param, tmp_path_factory.mktemp("npm")) as started:
        yield started


def network(head: bool) -> Network:
    rng = np.random.default_rng(3)
    vector = lambda *size: rng.normal(size=size).astype(np.float32)  # noqa: E731
    ops = [SortNeuron(vector(n, m), 0.5, 5) for m, n in pairwise([42, 70, 10])]
    if head:
        W = vector(8, 10) * 3  # of differences between units, which are all about as large
        W -= W.mean(axis=1, keepdims=True)
        tail = [Affine(W, vector(8) / 4), Tanh(), Affine(vector(10, 8), vector(10) / 4)]
    else:
        tail = [Bias(vector(10) / 4), Negate()]
    return Network(SHAPE, (Flatten(), *ops, *tail))


@pytest.mark.parametrize("kind", ["margin", "interval"])
@pytest.mark.parametrize("optimize", [True, False])
def test_labels_and_radii(host: JavaScriptHost, kind: str, optimize: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    eps = Fraction(1, 1000) if kind == "interval" else None
    onnx.save(build_model(network(eps is not None), eps), path)
    images = np.random.default_rng(1).random((150, *SHAPE), dtype=np.float32)
    want = CertifiedSession(path).predict(images)
    assert len(set(want.label)) > 3 and (want.radius > 0).mean() > 0.5
    found = host.run(path, images, optimize)
    np.testing.assert_array_equal(found["label"], want.label)
    np.testing.assert_allclose(found["radius"], want.radius, atol=RADIUS_BOUND, rtol=0)


def test_no_radius_outside_the_box(host: JavaScriptHost, tmp_path: Path) -> None:
    """Every image comes back beside its answer: one that leaves the box spoils no other."""
    path = tmp_path / "model.onnx"
    onnx.save(build_model(network(head=False)), path)
    images = np.random.default_rng(2).random((8, *SHAPE), dtype=np.float32)
    inside = host.run(path, images)["radius"]
    images[2, 0, 3, 1], images[5, 0, 0, 0] = 1.5, np.nan
    found = host.run(path, images)["radius"]
    assert found[2] == found[5] == 0 and (inside > 0).sum() > 4
    others = [0, 1, 3, 4, 6, 7]
    np.testing.assert_array_equal(found[others], inside[others])
