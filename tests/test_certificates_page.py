"""docs/certificates.md names the lemmas of the float proofs: each name and file exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOAT = ROOT / "theory" / "coq" / "float"


def section(title: str) -> str:
    page = (ROOT / "docs" / "certificates.md").read_text()
    return page.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_the_named_lemmas_exist() -> None:
    text = section("9. The proof, line by line")
    quoted = set(re.findall(r"`([^`]+)`", text))
    files = {name for name in quoted if name.endswith(".v")}
    names = {name for name in quoted - files if re.fullmatch(r"\w+", name)}
    shared = {path.name for path in FLOAT.parent.glob("*.v")}
    assert len(files) > 10
    assert len(names) > 30
    assert files - {path.name for path in FLOAT.glob("*.v")} - shared == set()
    sources = "\n".join(path.read_text() for path in sorted(FLOAT.glob("*.v")))
    defined = set(re.findall(r"^(?:Lemma|Theorem|Definition|Fixpoint|Record) (\w+)", sources, re.M))
    defined |= set(re.findall(r"^  \| (\w+)", sources, re.M))
    defined |= set(re.findall(r"^  (?:\w+ : .*; )?(sound_\w+) :", sources, re.M))
    assert names - defined == set()
