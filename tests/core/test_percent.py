"""Percentages: certified ones are never shown above what was reached."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sortnet.base.percent import certified_percent, percent
from sortnet.cli.console import accuracy_table, console
from sortnet.cli.reproduce import _markdown


def shown(text: str) -> Fraction:
    assert text.endswith("%")
    return Fraction(Decimal(text[:-1])) / 100


@given(st.data())
def test_shares_of_counts(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 100_000))
    hits = data.draw(st.integers(0, count))
    digits = data.draw(st.integers(0, 3))
    exact, step = Fraction(hits, count), Fraction(1, 10 ** (digits + 2))
    down = shown(certified_percent(hits / count, digits))
    up = shown(percent(hits / count, digits, "up"))
    assert exact - step < down <= exact <= up < exact + step
    assert down in (exact, up - step)  # what has so few digits is shown as it is
    near = shown(percent(hits / count, digits))
    assert abs(near - exact) <= step / 2 and down <= near <= up


@given(st.floats(-2, 2), st.integers(0, 3), st.sampled_from(["nearest", "down", "up"]))
def test_zero_has_no_sign(value: float, digits: int, rounding: str) -> None:
    text = percent(value, digits, rounding)  # type: ignore[arg-type]
    assert text.startswith("-") is (shown(text) < 0)
    assert percent(-1e-5) == percent(-0.0) == "0.00%" and certified_percent(-1e-5) == "-0.01%"


@pytest.mark.parametrize("hits", range(101))
def test_whole_percentages_stay(hits: int) -> None:
    for rounding in ("nearest", "down", "up"):
        assert percent(hits / 100, 2, rounding) == f"{hits}.00%"
    assert certified_percent(np.float64(hits / 100), 0) == f"{hits}%"


def test_tables_round_certified_figures_down() -> None:
    with console.capture() as capture:
        console.print(accuracy_table("t", 0.99999, {"0.1": 0.99999}, {"0.1": 0.99999}))
    assert capture.get().count("100.00%") == 2 and "99.99%" in capture.get()
    cell = {"mean": 0.99999, "std": 0.00001}
    run = {"seed": 0, "epochs": 1.0, "learned": True, "pgd_samples": 1}
    row = {"name": "r", "clean": cell, "pgd": {"0.1": cell}, "certified": {"0.1": cell}}
    row |= {"runs": [run], "seconds": {"mean": 1.0}}
    document = {"rows": [row], "environment": {}, "eps": ["0.1"], "data": "d", "test_samples": 1}
    document |= {"budget_seconds": 1.0, "total_seconds": 1.0, "best_guess": 0.5}
    assert "| r | 100.00 ± 0.00 | 100.00 ± 0.00 | 99.99 ± 0.00 | 1.0 | 1 |" in _markdown(document)
