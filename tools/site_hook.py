"""What mkdocs cannot know by itself: where the packages lie, and which links leave the site."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "build" / "site-sources"
# In the repository these links lead to sources; the site has only their names.
_TO_SOURCES = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?:theory|kernels|examples|tests|tools)[^)]*\)")


@event_priority(100)  # before mkdocstrings, which drops search paths that do not exist yet
def on_config(config: Any) -> Any:
    """Lay out the import tree: the folders export/ and theory/ are sortnet.export and .theory."""
    shutil.rmtree(SOURCES, ignore_errors=True)
    package = SOURCES / "sortnet"
    ignored = shutil.ignore_patterns("__pycache__", "coq")
    shutil.copytree(ROOT / "sortnet", package, ignore=ignored)
    for name in ("export", "theory"):
        shutil.copytree(ROOT / name, package / name, ignore=ignored)
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to sources become their names."""
    return _TO_SOURCES.sub(r"\1", markdown)
