"""The Python blocks of docs/theory.md run, in order; its figures are those of the checks."""

import re
from pathlib import Path

from sortnet.theory.report.registry import results

DOCS = Path(__file__).parents[2] / "docs" / "theory.md"


def test_the_blocks_of_the_page_run():
    blocks = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 10
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(DOCS), "exec"), names)


def test_the_numbers_of_networks_are_those_of_the_table():
    """Every "exact on N networks" and "exhaustive ... all N" of the page is what a check says."""
    checks = [c for r in results() for c in r.checks if not c.run.__name__.startswith("_trained")]
    evidence = [c.run(False) for c in checks if c.kind != "sampled"]
    page = " ".join(DOCS.read_text().split())
    exact = re.findall(r"\*exact on (\d+) networks?\*", page)
    assert len(exact) >= 8
    assert set(map(int, exact)) <= {e.networks for e in evidence if e.kind == "exact"}
    reach = " ".join(e.range for e in evidence if e.kind == "exhaustive")
    counts = re.findall(r"\*exhaustive\* for all ([\d,]+) ", page)
    assert len(counts) >= 2
    assert all(f"all {count} " in reach for count in counts)
