"""The lowest versions that are declared: every requirement has one, and those are tested."""

import os
import runpy
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOWEST = runpy.run_path(str(ROOT / "tools" / "lowest.py"))
FLOORS = LOWEST["floors"](ROOT / "pyproject.toml")


def numbers(text: str) -> tuple[int, ...]:
    """2.7.0+cu126 -> (2, 7)."""
    parts = [int(part) for part in text.partition("+")[0].split(".") if part.isdigit()]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def test_what_is_installed_is_not_below_the_floors():
    """With SORTNET_LOWEST=1 (the second environment of .ci/run) it is the floors themselves."""
    for name, floor in FLOORS.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            assert "SORTNET_LOWEST" not in os.environ, f"{name} is not installed"
            continue
        if "SORTNET_LOWEST" in os.environ:
            assert numbers(found) == numbers(floor), f"{name} {found} is not the floor {floor}"
        else:
            assert numbers(found) >= numbers(floor), f"{name} {found} is below the floor {floor}"


def test_ci_takes_the_constraints_from_pyproject():
    text = (ROOT / ".ci" / "run").read_text()
    assert "python tools/lowest.py" in text and "-c \"$work/lowest.txt\" '.[test]'" in text


@pytest.mark.parametrize(
    ("dependency", "message"),
    [("click", "no lowest version"), ("click<9", "no lowest"), ("numpy>=1.25", "two lowest")],
)
def test_a_requirement_without_one_floor_is_refused(tmp_path, dependency, message):
    text = (ROOT / "pyproject.toml").read_text()
    start = text.index("dependencies = [") + len("dependencies = [")
    path = tmp_path / "pyproject.toml"
    path.write_text(f'{text[:start]}"{dependency}", {text[start:]}')
    with pytest.raises(ValueError, match=message):
        LOWEST["floors"](path)
