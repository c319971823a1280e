"""Pictures have words, and measurements a date and a machine."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)[^)]*\)|<img\b([^>]*)>")
STUDIES = sorted(p for p in (DOCS / "measurements").glob("*.md") if p.name != "index.md")


def pictures() -> list[tuple[str, Path, str]]:
    found = []
    for page in PAGES:
        for words, target, html in PICTURE.findall(page.read_text()):
            if html:
                words = next(iter(re.findall(r'alt="([^"]*)"', html)), "")
                target = next(iter(re.findall(r'src="([^"]*)"', html)), "")
            found.append((str(page.relative_to(ROOT)), page.parent / target, words))
    return found


def test_every_picture_says_in_words_what_it_shows() -> None:
    found = pictures()
    assert len(found) >= 5
    for page, target, words in found:
        assert target.is_file(), (page, target)
        assert len(words.split()) >= 12, (page, "too short for what a picture shows", words)
        assert not re.match(r"(?i)(image|picture|figure|plot) of", words), (page, words)


def test_every_picture_of_the_docs_is_shown_somewhere() -> None:
    shown = {target.resolve() for _, target, _ in pictures()}
    held = {path.resolve() for path in DOCS.rglob("*.png")}
    assert held - shown == set()


@pytest.mark.parametrize("study", STUDIES, ids=lambda p: p.stem)
def test_a_study_has_a_date_and_a_machine(study: Path) -> None:
    title, head = [line for line in study.read_text().splitlines() if line.strip()][:2]
    assert title.startswith("# ")
    assert re.search(r"\b20\d\d-\d\d-\d\d\b|\b[A-Z][a-z]+ 20\d\d\b", head), "a date"
    assert re.search(r"Zen|AMD|Intel|GPU|ARM|x86", head), "a machine"


def test_guides_hold_no_diary() -> None:
    """A guide quotes figures; series of runs are studies."""
    for page in ("training.md", "kernels.md"):
        text = (DOCS / page).read_text()
        assert "measurements/" in text
        assert len(re.findall(r"Zen \d", text)) <= 1, page
