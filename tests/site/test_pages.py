"""The Python blocks of the pages under docs/start run, in the order of the navigation."""

import re
from pathlib import Path

import pytest

START = Path(__file__).parents[2] / "docs" / "start"
BLOCK = re.compile(r"<!-- runs.*?-->\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = ("own-data", "table", "sensors", "own-loop", "deploy")


def test_the_pages_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # "Deploy" reads what "Your own data" exports
    for page in PAGES:
        text = (START / f"{page}.md").read_text()
        blocks = BLOCK.findall(text)
        assert blocks, page
        names: dict[str, object] = {}  # a later block goes on from the first
        for block in blocks:
            exec(compile(block, page, "exec"), names)
