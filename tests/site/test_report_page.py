"""The report of `sortnet certify` in headless Chromium: no request, no error, any screen, print."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("selenium", reason="needs the extra 'docs'")

from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import Flatten, Negate, SortNeuron
from sortnet.data.box import Box
from sortnet.data.sets import Split
from sortnet.export.page import Source, write_page
from sortnet.export.report import certify_split
from sortnet.export.session import CertifiedSession
from sortnet.export.values import certify_values
from sortnet.export.writer import build_model

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

LONG = "a_name_without_any_space_" * 20


@pytest.fixture(scope="module", params=[(1, 8, 8), (3, 6, 6), (2, 40), (30,), "regression"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of images, signals, rows or a regression, with names as long as they come."""
    folder = tmp_path_factory.mktemp("page")
    regression = request.param == "regression"
    shape = (30,) if regression else request.param
    rng = np.random.default_rng(0)
    spec = InputSpec(shape) if len(shape) == 3 else InputSpec(shape, -1.0, 1.0, 1.0)
    x = rng.uniform(spec.low, spec.high, (60, *shape)).astype(np.float32)
    outputs = 1 if regression else 12
    weights = rng.uniform(-1, 1, (outputs, x[0].size)).astype(np.float32)
    flat = () if len(shape) == 1 else (Flatten(),)
    model = build_model(
        Network(spec, (*flat, SortNeuron(weights, 0.0, 1), Negate())), "0.1" if regression else None
    )
    names = {"feature_names": [f"{LONG}{i}" for i in range(x[0].size)]}
    if not regression:
        names["class_names"] = [f"{LONG}{i}" for i in range(12)]
    for key, values in names.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = f"sortnet.{key}", json.dumps(values)
    onnx.save(model, folder / "m.onnx")
    session = CertifiedSession(folder / "m.onnx")
    labels = np.linspace(-1, 0, 60) if regression else np.arange(60) % 12
    layout: Any = {1: "ND", 2: "NCT", 3: "NCHW"}[len(shape)]
    split = Split(x, labels, box=Box(spec.low, spec.high), layout=layout, names=[LONG] * 60)
    epsilons = ["1/100", "0.05", "0.1", "0.2"]
    path = folder / "report.html"
    if regression:
        values = certify_values(session, split, epsilons)
        write_page(path, values, session, split, Source(LONG, LONG))
    else:
        report = certify_split(session, split, epsilons, lambda x, y, radius: x)
        write_page(path, report, session, split, Source(LONG, LONG, "an attack that stands still"))
    return path


@pytest.mark.parametrize("browser", [(360, 740), (768, 1024), (1280, 900)], indirect=True)
def test_it_fits_every_screen_and_asks_for_nothing(browser: Any, page: Path) -> None:
    browser.get(page.as_uri())
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}
    sizes = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    content, screen = browser.execute_script(sizes)
    assert content <= screen
    assert browser.execute_script("return [...document.images].every((i) => i.naturalWidth > 0)")
    outside = """
        const wide = document.documentElement.clientWidth;
        return [...document.querySelectorAll('main *')].filter((e) =>
            !e.closest('.wide') && e.getBoundingClientRect().right > wide + 1
            && !e.closest('svg')).map((e) => e.outerHTML.slice(0, 80));
    """
    assert browser.execute_script(outside) == []


def test_it_prints(browser: Any, page: Path) -> None:
    browser.get(page.as_uri())
    for background in (False, True):
        options = {"printBackground": background, "paperWidth": 8.27, "paperHeight": 11.69}
        printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", options)["data"])
        assert printed.startswith(b"%PDF") and len(printed) > 20_000


@pytest.mark.parametrize("browser", [(360, 740)], indirect=True)
def test_it_is_readable_in_the_dark(browser: Any, page: Path) -> None:
    """Ink and paper differ enough (WCAG: 4.5) in both schemes, in charts too."""
    contrast = """
        const light = (rgb) => rgb.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
            .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const paper = light(getComputedStyle(document.body).backgroundColor);
        return [...document.querySelectorAll('p, th, td, dt, dd, caption, svg text')].map((e) => {
            const style = getComputedStyle(e);
            const ink = light(e.closest('svg') ? style.fill : style.color);
            return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        });
    """
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        browser.get(page.as_uri())
        found = browser.execute_script(contrast)
        assert len(found) > 50 and min(found) >= 4.5
