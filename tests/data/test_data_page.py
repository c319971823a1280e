"""The documentation of data runs, and names every set."""

import re
from pathlib import Path

from sortnet.data import NAMES

TEXT = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def test_examples_run():
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "docs/data.md", "exec"), {})


def test_every_set_is_in_a_table():
    for name in NAMES:
        assert re.search(rf"^\|[^|]*`{name}`", TEXT, re.MULTILINE), name
