"""Samples outside of the box: radius 0 and a line that names them, never a false certificate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from sortnet.certificate.network import InputSpec
from sortnet.cli.main import cli
from sortnet.data import Box, Split
from sortnet.evaluation import evaluate
from sortnet.export import CertifiedSession, InputError, export_model
from sortnet.export.report import certify_split
from sortnet.models import BoxConfig, ModelConfig, build_model, estimate_means
from sortnet.nn import LInfDistLinear

SPEC = InputSpec((3,), np.float32([0, -5, 10]), np.float32([1, 5, 30]), np.float32([1, 2, 4]))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    box = BoxConfig((0.0, -5.0, 10.0), (1.0, 5.0, 30.0), (1.0, 2.0, 4.0))
    made = build_model(ModelConfig("sortnet", (3,), 2, 2, 8, box=box, std=(1.0, 2.0, 4.0)))
    estimate_means(made, [torch.from_numpy(samples(64))])
    return made.eval()


@pytest.fixture(scope="module")
def model(net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "table.onnx"
    export_model(net, path, class_names=["bad", "good"], feature_names=["a", "b", "c"])
    return path


def samples(count: int) -> np.ndarray:
    part = np.random.default_rng(count).random((count, 3))
    return (SPEC.low + part * (SPEC.high - SPEC.low)).astype(np.float32).clip(SPEC.low, SPEC.high)


def test_a_session_tells_which_inputs_it_answers_for(model: Path) -> None:
    session = CertifiedSession(model)
    x = samples(2500)
    plain = session.predict(x)
    x[1700, 1] = 5.5
    x[3, 0] = -1e-9
    assert np.flatnonzero(~session.in_box(x)).tolist() == [3, 1700]
    for call in (session.predict, lambda x: session.certify(x, 0.01)):
        with pytest.raises(InputError, match="sample 3 has") as refused:
            call(x)
        assert "-1e-09 in 'a', which has [0, 1]" in str(refused.value)
        assert "numbers count from 0" in str(refused.value)
    found = session.predict(x, outside="zero")
    assert found.radius[[3, 1700]].tolist() == [0, 0]
    rest = np.delete(np.arange(len(x)), [3, 1700])
    assert (found.radius[rest] == plain.radius[rest]).all() and plain.radius.max() > 0
    certified = session.certify(x, "1e-6", outside="zero")
    assert not certified[[3, 1700]].any()
    assert (certified[rest] == session.certify(x[rest], "1e-6")).all() and certified.any()
    # A prediction that claims more does not help: outside is outside.
    boast = found._replace(radius=np.ones_like(found.radius))
    assert not session.certify(x, "1e-6", boast, "zero")[[3, 1700]].any()
    x[5, 2] = np.nan
    assert not session.in_box(x)[5]
    with pytest.raises(InputError, match="sample 5 has NaN"):
        session.predict(x, outside="zero")
    with pytest.raises(ValueError, match="outside is 'error' or 'zero'"):
        session.predict(x, outside="clip")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"float32 \[N, 3\]"):
        session.in_box(x.astype(np.float64))


def test_a_split_that_is_wider_than_the_network(net, model: Path) -> None:
    session = CertifiedSession(model)
    x = samples(50)
    x[[4, 40], 2] = 31
    y = np.zeros(50, np.int64)
    with pytest.raises(ValueError, match="sample 4, feature 2: 31 lies outside"):
        Split(x, y, box=Box(SPEC.low, SPEC.high))
    split = Split(x, y, box=Box(SPEC.low, SPEC.high), widen=True)
    report = certify_split(session, split, ["1e-5"], attack=lambda x, y, eps: x)
    assert report.outside.tolist() == [4, 40]
    assert not report.certified["1e-5"][[4, 40]].any() and not report.radius[[4, 40]].any()
    result = evaluate(net, split, ["1e-5"], attack_steps=2, outside="zero", batch_size=7)
    assert result.outside.tolist() == [4, 40] and result.summary()["outside"] == [4, 40]
    assert not result.radii[[4, 40]].any() and not result.robust["1e-5"][[4, 40]].any()
    assert result.clean == report.clean
    assert result.certified["1e-5"] == report.certified_accuracy("1e-5") > 0
    with pytest.raises(ValueError, match=r"takes values in \[10, 30\], sample 4 has 31"):
        evaluate(net, split, ["1e-5"])
    away = Split(x + 100, y, box=Box(SPEC.low, SPEC.high), widen=True)
    for call in (
        lambda: certify_split(session, away, ["1e-5"]),
        lambda: evaluate(net, away, ["1e-5"], outside="zero"),
    ):
        with pytest.raises(ValueError, match="sample 0 has"):
            call()
    with pytest.raises(ValueError, match="NaN"):
        Split(np.full((1, 3), np.nan), [0], box=Box(SPEC.low, SPEC.high), widen=True)


def certify(model: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["certify", str(model), *arguments])
    return result.exit_code, result.output


def write_csv(path: Path, x: np.ndarray, names: str, y: list[str]) -> Path:
    rows = [",".join(map(str, row)) + f",{label}" for row, label in zip(x, y, strict=True)]
    path.write_text("\n".join([f"{names},y", *rows]) + "\n")
    return path


def test_the_command_names_what_it_cannot_certify(model: Path, tmp_path: Path) -> None:
    """Columns by name, classes by name; the same rows in another order get the same answers."""
    x = samples(12)
    x[7, 1] = 6
    y = ["good", "bad"] * 6
    table = write_csv(tmp_path / "t.csv", x, "a,b,c", y)
    turned = write_csv(tmp_path / "turned.csv", x[:, [2, 0, 1]], "c,a,b", y)
    found = []
    for file in (table, turned):
        arguments = ["--data", f"table:{file}", "--target", "y", "--eps", "1e-5"]
        code, out = certify(model, *arguments, "--json", str(tmp_path / "r.json"))
        assert code == 0, out
        assert (
            "1 of 12 samples lie outside of the box" in out
            and "radius is 0: 7 (numbers count from 0)" in out
        )
        found.append(json.loads((tmp_path / "r.json").read_text()))
        assert found[-1]["outside"] == ["7"] and found[-1]["class_names"] == ["bad", "good"]
    assert found[0]["certified"] == found[1]["certified"] and found[0]["clean"] == found[1]["clean"]
    code, out = certify(model, "--data", str(table), "--target", "y", "--eps", "3")
    assert code == 0 and "eps 3 is at least half of the box (2.5)" in " ".join(out.split())


@pytest.mark.parametrize(
    ("header", "y", "target", "words"),
    [
        ("a,b,c", ["good", "fair"], "y", "unseen classes 'fair'; known: 'bad', 'good'"),
        ("a,b,d", ["good", "bad"], "y", "features 'c' are missing"),
        ("a,b,c", ["good", "bad"], "z", "no target 'z'"),
        ("a,b,c", ["good", "bad"], None, "--target COLUMN"),
    ],
)
def test_other_columns_and_classes_are_refused(
    model: Path, tmp_path: Path, header: str, y: list[str], target: str | None, words: str
) -> None:
    table = write_csv(tmp_path / "t.csv", samples(2), header, y)
    options = [] if target is None else ["--target", target]
    code, out = certify(model, "--data", str(table), "--eps", "0.1", *options)
    assert code != 0 and words in out and len(out.strip().splitlines()) == 1


def test_the_radius_from_which_balls_meet() -> None:
    assert SPEC.meeting_radius == 2.5  # 20 / (2 * 4), 10 / (2 * 2), 1 / 2
    assert InputSpec((1, 2, 2)).meeting_radius == 0.5
    apart = InputSpec((2,), 0.0, 1.0, np.float32([1, 0]))
    assert apart.meeting_radius == np.inf
    given = InputSpec((2,), np.float32([0, 3]), np.float32([1, 3]), np.float32([1, 0]))
    assert given.meeting_radius == 0.5


def test_refused_layers_say_the_way_out() -> None:
    class Own(nn.ReLU):
        pass

    with pytest.raises(ValueError, match="declare `lipschitz` and"):
        export_model(nn.Sequential(LInfDistLinear(3, 2), Own()), "never.onnx", input_shape=(3,))
