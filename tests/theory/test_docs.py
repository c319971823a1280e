"""Every Python block of docs/theory.md runs alone; its figures are those of the checks."""

import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import find

from sortnet.theory.objects import strategies
from sortnet.theory.report.registry import results
from sortnet.theory.search.checks import CHECKS

DOCS = Path(__file__).parents[2] / "docs" / "theory.md"


BLOCKS = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_block_of_the_page_runs_alone(block: str) -> None:
    exec(compile(block, str(DOCS), "exec"), {})


def test_there_are_blocks() -> None:
    assert len(BLOCKS) > 12


def test_the_page_lists_every_strategy_with_an_example() -> None:
    """Each public strategy has a row; each row's call draws what the row shows the type of."""
    text = DOCS.read_text()
    table = text.split("<!-- strategies: begin -->")[1].split("<!-- strategies: end -->")[0]
    rows = re.findall(r"^\| `(\w+)\((.*?)\)` \| (.*?) \| (\w+) \|$", table, re.MULTILINE)
    public = {
        name
        for name, value in vars(strategies).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == strategies.__name__
    }
    assert {row[0] for row in rows} == public
    for name, arguments, _, kind in rows:
        strategy = eval(f"{name}({arguments})", {**vars(strategies), "F": Fraction})
        assert type(find(strategy, lambda drawn: True)).__name__ == kind, name


def test_the_numbers_of_networks_are_those_of_the_table():
    """Every "exact on N networks" and "exhaustive ... all N" of the page is what a check says."""
    searches = {check.name for checks in CHECKS.values() for check in checks}
    checks = [c for r in results() for c in r.checks if c.name not in searches]
    evidence = [c.run(False) for c in checks if c.kind != "sampled"]
    page = " ".join(DOCS.read_text().split())
    exact = re.findall(r"\*exact on (\d+) networks?\*", page)
    assert len(exact) >= 8
    assert set(map(int, exact)) <= {e.networks for e in evidence if e.kind == "exact"}
    reach = " ".join(e.range for e in evidence if e.kind == "exhaustive")
    counts = re.findall(r"\*exhaustive\* for all ([\d,]+) ", page)
    assert len(counts) >= 2
    assert all(f"all {count} " in reach for count in counts)
