"""What the page "Try it" shows of radii is never above them, of attacks never below."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

SCRIPT = Path(__file__).parents[2] / "docs" / "assets" / "try" / "certified.js"


def shown(values: list[float], decimals: int) -> list[list[str]]:
    """[rounded down, rounded up] of each value, by the page's own functions in Node."""
    program = (
        f"import {{ roundedDown, roundedUp }} from {json.dumps(SCRIPT.as_uri())};"
        f"const values = {json.dumps(values)};"
        f"const both = (value) => [roundedDown(value, {decimals}), roundedUp(value, {decimals})];"
        "console.log(JSON.stringify(values.map(both)));"
    )
    done = subprocess.run(
        ["node", "--input-type=module", "-e", program], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node (apt install nodejs)")
@settings(max_examples=5, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=300), st.integers(3, 4))
@example([i / 1000 for i in range(1001)], 3)  # what has so few digits is shown as it is
@example([float(np.float32(i / 997)) for i in range(998)], 4)
def test_radii_are_shown_rounded_down_and_attacks_up(values: list[float], decimals: int) -> None:
    step = Fraction(1, 10**decimals)
    for value, (down, up) in zip(values, shown(values, decimals), strict=True):
        low, high, exact = Fraction(down), Fraction(up), Fraction(repr(value))
        assert low <= exact <= high and high - low <= step
        assert len(down.partition(".")[2]) == len(up.partition(".")[2]) == decimals
        assert (low == high) is (exact % step == 0)
