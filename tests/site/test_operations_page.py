"""The page of operations is what the code says, and says of numbers what they are."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sortnet.certificate.operations import OPERATIONS, Operation
from sortnet.certificate.rounding import FILE, TANH_ERROR, TINY, UNIT, gamma, up

TOOL = Path(__file__).parents[2] / "tools" / "operations_page.py"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("operations_page", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load()


def test_the_page_is_that_of_the_code() -> None:
    page = tool.PAGE.read_text(encoding="utf-8")
    assert page == tool.page(), "run python tools/operations_page.py"
    heads = [line[3:] for line in page.splitlines() if line.startswith("## ")]
    assert heads == [operation.__name__ for operation in OPERATIONS]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.__name__)
def test_every_operation_says_its_own_rules(operation: type[Operation]) -> None:
    for method in ("moves", "range", "rounding"):
        own, base = (getattr(kind, method).__doc__ for kind in (operation, Operation))
        assert own and own != base, method


@pytest.mark.parametrize("example", tool.EXAMPLES, ids=lambda o: type(o).__name__)
def test_rules_that_are_numbers_are_those_numbers(example: Operation) -> None:
    constant = float(example.moves(np.ones(3)).max())
    said = str(type(example).moves.__doc__)
    assert (constant == 1) or not said.startswith("1:")
    k = getattr(example, "k", 0)
    errors = {
        "0:": 0.0,
        "TINY:": TINY,
        "UNIT M + TINY:": up(UNIT * 7 + TINY),
        "gamma(k + 5) M + TINY.": up(gamma(k + 5, UNIT) * 7 + TINY),
        "TANH_ERROR,": TANH_ERROR,
    }
    for words, error in errors.items():
        if str(type(example).rounding.__doc__).startswith(words):
            assert example.rounding(FILE, 7.0, 3.0) == error
    x = np.random.default_rng(0).uniform(-1, 1, (200, 3))
    y = example.value(x)
    low, high = example.range(x.min(0), x.max(0))
    assert (low <= y).all() and (y <= high).all()
    steps = np.abs(x[:, None] - x).reshape(200, 200, -1).max(-1)
    moved = np.abs(y[:, None] - y).reshape(200, 200, -1).max(-1)
    assert (moved <= constant * steps * (1 + 1e-12)).all()
