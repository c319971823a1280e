"""The report as a page: says what was found, escapes what users wrote, needs nothing else."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import F32, normalization

from sortnet.base.intervals import wilson
from sortnet.base.percent import certified_percent
from sortnet.base.units import text_down, text_up
from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import Flatten, Negate, SortNeuron
from sortnet.cli.main import cli
from sortnet.data.box import Box
from sortnet.data.sets import Split
from sortnet.export.page import Source, write_page
from sortnet.export.page.page import plain
from sortnet.export.page.samples import features
from sortnet.export.report import certify_split
from sortnet.export.session import CertifiedSession
from sortnet.export.values import certify_values, value_summary
from sortnet.export.writer import build_model

HOSTILE = "<script>alert(1)</script>\"'&\u202e\ud800\x00{{ 7 * 7 }}$x^2$"


def network(shape: tuple[int, ...], outputs: int) -> Network:
    """Distances to random points of the box: every sample has a label of its own."""
    rng = np.random.default_rng(len(shape) + outputs)
    size = math.prod(shape)
    unit = np.full(shape, 0.5, F32)
    unit.reshape(-1)[-1] = 0 if len(shape) != 3 else 0.5
    spec = InputSpec(shape) if len(shape) == 3 else InputSpec(shape, -1.0, 1.0, unit)
    ops: list[Any] = [] if len(shape) == 3 else [normalization(spec)]
    ops += [Flatten()] if len(shape) > 1 else []
    weights = rng.uniform(0 if len(shape) == 3 else -1, 1, (outputs, size)).astype(F32)
    return Network(spec, (*ops, SortNeuron(weights, 0.0, 1), Negate()))


def session_of(
    path: Path,
    net: Network,
    eps: Fraction | None = None,
    classes: list[str] | None = None,
    names: list[str] | None = None,
) -> CertifiedSession:
    model = build_model(net, eps)
    for key, values in (("class_names", classes), ("feature_names", names)):
        if values is not None:
            entry = model.metadata_props.add()
            entry.key, entry.value = f"sortnet.{key}", json.dumps(values)
    onnx.save(model, path)
    return CertifiedSession(path)


def split_of(net: Network, labels: Any, seed: int = 0) -> Split:
    spec = net.input
    rng = np.random.default_rng(seed)
    x = (spec.low + (spec.high - spec.low) * rng.random((len(labels), *spec.shape))).astype(F32)
    layout: Any = {1: "ND", 2: "NCT", 3: "NCHW"}[len(spec.shape)]
    return Split(x, labels, box=Box(spec.low, spec.high), layout=layout)


class Reader(HTMLParser):
    """The page as a reader gets it: tags, what they refer to, and text."""

    VOID = ("meta", "link", "img", "path", "use")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.alts: list[str | None] = []
        self.parts: list[str] = []
        self.feed(text)
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.append(value or "")
            if key in ("href", "src", "xlink:href"):
                self.links.append(value or "")
        if tag in ("img", "svg"):
            self.alts.append(dict(attrs).get("alt" if tag == "img" else "aria-label"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())


def read(path: Path) -> Reader:
    """The page, checked to be sound and to need nothing else."""
    text = path.read_text(encoding="utf-8")
    page = Reader(text)
    assert not {"script", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert all(link[1:] in page.ids for link in page.links if link.startswith("#"))
    assert not re.search(r"url\((?!#)|@import", text)
    assert all(alt for alt in page.alts)
    return page


@pytest.mark.parametrize("shape", [(1, 4, 5), (3, 4, 4), (2, 3, 3), (2, 9), (7, 12), (6,)])
def test_the_page_has_the_numbers_of_the_command(shape: tuple[int, ...], tmp_path: Path) -> None:
    net = network(shape, 3)
    session = session_of(tmp_path / "model.onnx", net)
    split = split_of(net, np.arange(40) % 3)
    report = certify_split(session, split, ["1/50", "0.1"], lambda x, y, r: x)
    write_page(tmp_path / "r.html", report, session, split, Source("model.onnx", "mine", "none"))
    page = read(tmp_path / "r.html")
    for eps in ("1/50", "0.1"):
        assert f"certified at {eps}" in page.text
        assert certified_percent(report.certified_accuracy(eps)) in page.text
        assert f"{report.attacked_accuracy(eps):.2%}" in page.text
    assert f"{report.clean:.2%}" in page.text and session.sha256 in page.text
    for label in range(3):
        mine = (report.label == report.truth)[report.truth == label]
        sure = report.certified["1/50"][report.truth == label] & mine
        assert f"{len(mine)} {mine.mean():.2%} {certified_percent(sure.mean())}" in page.text
    right = report.label == report.truth
    for part in (right, ~right):
        for radius in (report.radius[part].min(), report.radius[part].max()):
            assert text_down(radius) in page.text
    kinds = {1: "moved ↑", 2: "", 3: ""}
    assert kinds[len(shape)] in page.text
    assert ("img" in page.tags) == (len(shape) == 3 or shape == (7, 12))


def test_samples_outside_of_the_box_are_listed(tmp_path: Path) -> None:
    net = network((3,), 2)
    session = session_of(tmp_path / "m.onnx", net, None, None, ["volt", HOSTILE, "kelvin"])
    x = split_of(net, np.arange(30) % 2).floats()
    x[5, 1], x[7] = 1.5, (0.5, -2, 3)
    box = Box(net.input.low, net.input.high)

    def page(x: np.ndarray) -> str:
        split = Split(x, np.arange(30) % 2, box=box, widen=True)
        report = certify_split(session, split, ["0.1"])
        write_page(tmp_path / "r.html", report, session, split, Source("m.onnx", "mine"))
        return read(tmp_path / "r.html").text

    text = page(x)
    assert "2 of 30 samples lie outside of the box" in text
    assert "counted from 0" in text and "The first" not in text
    name = plain(HOSTILE)
    for row, count, value in ((5, 1, "1.5"), (7, 2, "-2.0")):
        label = session.predict(x[row : row + 1], "zero").label[0]
        assert f"{row} {row % 2} {label} {count} {name} {value} -1.0 to 1.0" in text
    x[:20, 2] = 7
    text = page(x)
    assert "20 of 30 samples lie outside" in text and "The first 10." in text
    assert "9 1 " in text and "kelvin 7.0 -1.0 to 1.0" in text
    assert "Outside of the box" not in page(np.clip(x, -1, 1))


def test_names_are_written_and_not_obeyed(tmp_path: Path) -> None:
    net = network((3,), 2)
    classes, names = [HOSTILE, "   "], [HOSTILE + str(i) for i in range(3)]
    session = session_of(tmp_path / "m.onnx", net, None, classes, names)
    base = split_of(net, [0, 1, 0, 1])
    split = Split(base.inputs, base.labels, box=base.box, names=[HOSTILE] * 4)
    report = certify_split(session, split, ["0.1"])
    write_page(tmp_path / "r.html", report, session, split, Source(HOSTILE, HOSTILE))
    page, raw = read(tmp_path / "r.html"), (tmp_path / "r.html").read_bytes()
    assert b"<script" not in raw and b"\x00" not in raw and "\u202e".encode() not in raw
    shown = "<script>alert(1)</script>\"'&\\u202e\\ud800\\x00{{ 7 * 7 }}$x^2$"
    assert shown in page.text and "(no name)" in page.text and plain("a\u200db") == "a\u200db"


def test_classes_without_samples_and_one_class_only(tmp_path: Path) -> None:
    net = network((4,), 3)
    session = session_of(tmp_path / "m.onnx", net)
    split = split_of(net, [1, 1])
    labels = session.predict(split.floats()).label
    for truth in ([1, 1], labels, (labels + 1) % 3):  # any, all right, all wrong
        part = Split(split.inputs, truth, box=split.box)
        report = certify_split(session, part, ["0.1"])
        write_page(tmp_path / "r.html", report, session, part, Source("m", "d"))
        page = read(tmp_path / "r.html")
        assert page.text.count("no sample of this class") == 3 - len(set(map(int, truth)))


def test_a_file_of_one_radius_has_no_distribution(tmp_path: Path) -> None:
    net = network((1, 3, 3), 3)
    session = session_of(tmp_path / "m.onnx", net, Fraction(12346, 10**6))
    split = split_of(net, np.arange(12) % 3)
    report = certify_split(session, split, ["0.012346"])
    write_page(tmp_path / "r.html", report, session, split, Source("m", "d"))
    page = read(tmp_path / "r.html")
    assert "certifies at one radius only" in page.text and "Quantiles" not in page.text
    assert "a sample's radius is 0.01234 or 0" in " ".join(page.text.split())  # not above it
    assert certified_percent(report.certified_accuracy("0.012346")) in page.text


@pytest.mark.parametrize("shape", [(5,), (1, 6)])
def test_a_regression_shows_its_bounds(shape: tuple[int, ...], tmp_path: Path) -> None:
    net = network(shape, 1)
    session = session_of(tmp_path / "m.onnx", net, Fraction(1, 20))
    split = split_of(net, np.linspace(-1, 1, 9))
    report = certify_values(session, split, ["0.05", "0.2"])
    summary = value_summary(report, session)
    x = split.floats()
    for eps in ("0.05", "0.2"):
        value, lower, upper = session.predict_interval(x, eps)
        worst = np.maximum(
            np.abs(lower - split.labels), np.abs(upper.astype(np.float64) - split.labels)
        )
        assert summary["certified_mean_absolute_error"][eps] == pytest.approx(worst.mean())
        assert summary["contained"][eps] == np.mean(
            (lower <= split.labels) & (split.labels <= upper)
        )
        assert (np.abs(value - split.labels) <= worst + 1e-9).all()
    write_page(tmp_path / "r.html", report, session, split, Source("m", "d"))
    page = read(tmp_path / "r.html")
    for eps in ("0.05", "0.2"):
        assert text_up(summary["certified_mean_absolute_error"][eps]) in page.text
        assert f"{summary['contained'][eps]:.2%}" in page.text
    assert f"{report.error:.4g}" in page.text


def test_features_that_matter_against_one_run_each(tmp_path: Path) -> None:
    net = network((6,), 3)
    session = session_of(tmp_path / "m.onnx", net)
    eps = float(F32(0.25))
    for x in split_of(net, np.zeros(10, np.int64)).floats():
        logits = session.predict(x[None]).logits[0]
        label = int(logits.argmax())

        def margin(point: Any, label: int = label) -> float:
            found = session.predict(point[None]).logits[0].astype(np.float64)
            return float(found[label] - np.delete(found, label).max())

        falls = {}
        for i in range(6):
            changes = []
            for sign in (1, -1):
                point = x.copy()
                point[i] = np.clip(x[i] + sign * eps * net.input.unit[i], -1, 1)
                changes.append(margin(point) - margin(x))
            falls[f"feature {i}"] = -min(changes)
        expected = sorted((n for n in falls if falls[n] > 1e-6), key=lambda n: -falls[n])
        found = [feature.name for feature in features(session, x, eps)]
        assert "feature 5" not in found  # cannot change
        listed = [falls[name] for name in found if falls[name] > 1e-6]
        assert listed == pytest.approx([falls[name] for name in expected[:5]], abs=1e-6)


def test_nothing_is_written_where_something_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = network((1, 3, 3), 2)
    session = session_of(tmp_path / "m.onnx", net)
    split = split_of(net, [0, 1])
    report = certify_split(session, split, ["0.1"])
    out = tmp_path / "out"
    out.mkdir()
    (out / "r.html").write_text("before")
    with pytest.raises(ValueError, match="2 samples for a split of 1"):
        write_page(out / "r.html", report, session, split.take(slice(0, 1)), Source("m", "d"))
    x = split.floats()
    x[1, 0, 1, 1] = np.nan
    np.savez(tmp_path / "nan.npz", x=x, y=split.labels)
    command = ["certify", str(tmp_path / "m.onnx"), "--eps", "0.1", "--report"]
    result = CliRunner().invoke(
        cli, [*command, str(out / "r.html"), "--data", str(tmp_path / "nan.npz")]
    )
    assert result.exit_code == 1 and "NaN" in result.output
    x[1, 0, 1, 1] = 0
    np.savez(tmp_path / "good.npz", x=x, y=split.labels)
    good = ["--data", str(tmp_path / "good.npz")]
    for name, words in (("r.txt", "expected a .html file"), ("no/r.html", "does not exist")):
        result = CliRunner().invoke(cli, [*command, str(out / name), *good])
        assert result.exit_code != 0 and words in " ".join(result.output.split())
    monkeypatch.setattr("sortnet.export.page.page.wilson", lambda *_: 1 / 0)
    result = CliRunner().invoke(cli, [*command, str(out / "r.html"), *good])
    assert result.exit_code != 0
    assert [path.name for path in out.iterdir()] == ["r.html"]
    assert (out / "r.html").read_text() == "before"


def test_the_command_writes_it_without_torch(tmp_path: Path) -> None:
    net = network((1, 4, 4), 3)
    session = session_of(tmp_path / "m.onnx", net)
    split = split_of(net, np.arange(30) % 3)
    np.savez(tmp_path / "d.npz", x=split.floats(), y=split.labels)
    arguments = ["certify", "m.onnx", "--data", "d.npz", "--eps", "0.1", "--report", "r.html"]
    script = f"""
import sys
for name in ("torch", "torchvision", "pydantic", "sklearn", "safetensors", "scipy", "pyarrow"):
    sys.modules[name] = None  # importing it raises
from sortnet.cli.main import cli
cli({arguments!r})
"""
    done = subprocess.run(
        # Old matplotlibs call what newer packages deprecate.
        [sys.executable, "-W", "error", "-W", "default::DeprecationWarning", "-c", script],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    report = certify_split(session, split, ["0.1"])
    share = certified_percent(report.certified_accuracy("0.1"))
    page = read(tmp_path / "r.html")
    assert share in page.text and share in done.stdout
    assert f"30 samples, clean accuracy {report.clean:.2%}" in done.stdout
    assert "none was run" in page.text


@given(st.floats(-1e30, 1e30, allow_subnormal=False), st.sampled_from([1, 3, 4, 6, 9]))
def test_shown_numbers_err_on_the_safe_side(value: float, digits: int) -> None:
    texts = text_down(value, digits), text_up(value, digits)
    below, above = map(Fraction, texts)
    assert below <= Fraction(value) <= above
    assert above - below <= abs(Fraction(value)) / 10 ** (digits - 1)
    assert "-0" not in texts and text_down(value) == text_down(value, 4)


@settings(max_examples=30)
@given(st.integers(1, 60), st.data())
def test_wilson_interval_solves_its_equation(count: int, data: st.DataObject) -> None:
    """Its ends are the p with |fraction - p| = z sqrt(p (1 - p) / count)."""
    fraction = data.draw(st.integers(0, count)) / count
    for end in wilson(fraction, count):
        distance = 1.959963984540054 * math.sqrt(end * (1 - end) / count)
        assert abs(fraction - end) == pytest.approx(distance, abs=1e-7)
