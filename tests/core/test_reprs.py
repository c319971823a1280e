"""What is printed of large things is a line that says what they are."""

from __future__ import annotations

import numpy as np
import pytest

import sortnet
from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import Abs, Flatten
from sortnet.data import Box, DataSet, Split
from sortnet.export.report import Report
from sortnet.export.values import ValueReport


def report(count: int) -> Report:
    names = tuple(f"a/long/path/{i}.png" for i in range(count))
    label = np.arange(count) % 2
    sure = {"0.1": np.arange(count) % 3 > 0}
    return Report(names, label * 0, label, np.zeros(count, np.float32), sure, {}, 1.0)


def values(count: int) -> ValueReport:
    zero = np.zeros(count)
    single = zero.astype(np.float32)
    ends = {"0.1": single - 1}, {"0.1": single + 1}
    return ValueReport(tuple(map(str, range(count))), zero, single, *ends, 1.0)


def test_data() -> None:
    digits, wine = sortnet.load_data("digits"), sortnet.load_data("wine")
    assert repr(digits.train) == ("<Split: 1437 samples [1, 8, 8], pixels 0..16, labels 0..9>")
    assert repr(digits) == (
        "<DataSet digits: 1437 training and 360 test samples [1, 8, 8], 10 classes>"
    )
    assert repr(wine.train).endswith("samples [13], floats in a box, labels 0..2>")
    assert repr(wine.train.take(np.arange(0))).endswith("labels>")
    x = np.random.default_rng(0).random((4, 2))
    assert repr(Split(x, [0.5, 1, 2, 3.25])) == (
        "<Split: 4 samples [2], floats, targets 0.5..3.25>"
    )
    target = np.linspace(0, 1, 4)
    both = DataSet("d", Split(x, target), Split(x, target), 0)
    assert repr(both) == "<DataSet d: 4 training and 4 test samples [2], a regression>"
    assert repr(Box(np.float32([0, -1]), np.float32([2, 3]))) == "<Box [2]: low -1..0, high 2..3>"


def test_networks_and_reports() -> None:
    assert repr(InputSpec((1, 2, 2))) == "<InputSpec [1, 2, 2]: images in [0, 1]>"
    spec = InputSpec((3,), -1.0)
    assert repr(Network(spec, (Abs(),))) == "<Network [3] -> 3 logits: Abs>"
    assert "Abs, ... (31)" in repr(Network((1, 1, 2), (Flatten(), *(30 * [Abs()]))))
    assert repr(report(6)) == "<Report: 6 samples, clean 50.00%, certified 33.33% at 0.1>"
    assert repr(values(6)) == ("<ValueReport: 6 samples, mean absolute error 0, at most 1 at 0.1>")


@pytest.mark.parametrize(
    "large",
    [
        sortnet.load_data("digits"),
        sortnet.load_data("wine").train,
        sortnet.load_data("wine").schema,
        Box(np.zeros((3, 64, 64), np.float32), np.ones((3, 64, 64), np.float32)),
        InputSpec((3, 64, 64), np.zeros((3, 64, 64), np.float32)),
        Network((3, 64, 64), (Flatten(), *(500 * [Abs()]))),
        report(3000),
        values(3000),
    ],
    ids=lambda large: type(large).__name__,
)
def test_they_are_short(large: object) -> None:
    assert len(repr(large)) < 400 and "\n" not in repr(large)
