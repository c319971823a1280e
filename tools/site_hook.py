"""What mkdocs cannot know by itself: where the packages lie, and which links leave the site."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "build" / "site-sources"
DOCS = ROOT / "docs"
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#\s]*)(?:#[^)\s]*)?\)")


@event_priority(100)  # before mkdocstrings, which drops search paths that do not exist yet
def on_config(config: Any) -> Any:
    """Lay out the import tree: the folders export/ and theory/ are sortnet.export and .theory."""
    shutil.rmtree(SOURCES, ignore_errors=True)
    package = SOURCES / "sortnet"
    ignored = shutil.ignore_patterns("__pycache__", "coq")
    shutil.copytree(ROOT / "sortnet", package, ignore=ignored)
    for name in ("export", "theory"):
        shutil.copytree(ROOT / name, package / name, ignore=ignored)
    _list_studies(config.nav)
    return config


def _list_studies(nav: list[Any]) -> None:
    """Studies that the navigation does not name yet follow those that it names."""
    (studies,) = (section["Measurements"] for section in nav if "Measurements" in section)
    named = {path for entry in studies for path in entry.values()}
    found = sorted(f"measurements/{path.name}" for path in (DOCS / "measurements").glob("*.md"))
    studies += [path for path in found if path not in named]


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links to what the repository has and the site has not become their names."""
    folder = Path(page.file.abs_src_path).parent

    def name(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        outside = target.exists() and not target.is_relative_to(DOCS)
        return link[1] if outside else link[0]

    return _LINK.sub(name, markdown)
