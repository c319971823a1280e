"""The Python blocks of docs/theory.md run, in order, and their assertions hold."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "theory.md"


def test_the_blocks_of_the_page_run():
    blocks = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 10
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(DOCS), "exec"), names)
