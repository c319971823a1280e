"""Arrows point down: which room may import which is one table, and the sources obey it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"sortnet": "sortnet", "export": "sortnet.export", "theory": "sortnet.theory"}

# Room -> rooms it may import, beside itself. CONTRIBUTING.md draws it.
BELOW_NN = {"base", "certificate", "backend"}
BELOW_TRAINING = {*BELOW_NN, "nn", "models", "data", "evaluation"}
ALLOWED: dict[str, set[str]] = {
    "base": set(),
    "certificate": {"base"},
    "backend": {"base", "certificate"},
    "nn": BELOW_NN,
    "models": {*BELOW_NN, "nn"},
    "data": {"base", "certificate"},
    "evaluation": BELOW_TRAINING - {"evaluation"},
    "training": BELOW_TRAINING,
    "estimators": {*BELOW_TRAINING, "training", "export"},
    "cli": {*BELOW_TRAINING, "training", "estimators", "export", "theory"},
    "export": BELOW_TRAINING,
    "theory": {*BELOW_TRAINING, "training", "export"},
}
# Inside theory: report -> search -> theorems -> objects.
THEORY = ("objects", "theorems", "search", "report")
# The root: its version, its lazy names, old paths; `python -m sortnet`.
ROOT_MODULES = {"sortnet": {"_moved"}, "_moved": set(), "__main__": {"cli"}}


def modules() -> Iterator[tuple[str, Path]]:
    for folder, package in PACKAGES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join([package, *(part for part in parts if part != "__init__")]), path


def imports(module: str, path: Path) -> Iterator[tuple[str, int]]:
    """Absolute names of all that a module imports from sortnet, and where."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            # `from sortnet import nn` imports a room, `from sortnet.nn import X` a name of it.
            inside = base in ("sortnet", "sortnet.theory")
            found = [f"{base}.{alias.name}" for alias in node.names] if inside else [base]
        else:
            continue
        yield from ((name, node.lineno) for name in found if name.split(".")[0] == "sortnet")


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "sortnet"


def violations() -> Iterator[str]:
    for module, path in modules():
        allowed = {**ALLOWED, **ROOT_MODULES}[room(module)] | {room(module)}
        type_checking = {
            line
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        for name, line in imports(module, path):
            where = f"{path.relative_to(ROOT)}:{line} imports {name}"
            if room(name) in ("sortnet", "__version__"):
                continue
            if room(module) == "sortnet" and line in type_checking:
                continue  # the lazy names of the root, for type checkers
            if room(name) not in allowed:
                yield where
            source, target = module.split("."), name.split(".")
            if source[1:2] == target[1:2] == ["theory"] and len(source) > 2 and len(target) > 2:
                floors = [THEORY.index(part[2]) for part in (source, target) if part[2] in THEORY]
                if len(floors) == 2 and floors[0] < floors[1]:
                    yield where


def test_every_room_is_in_the_table_and_arrows_point_down() -> None:
    assert {room(module) for module, _ in modules()} <= {*ALLOWED, *ROOT_MODULES}
    assert not list(violations())


def test_the_table_has_no_circle() -> None:
    done: set[str] = set()
    while len(done) < len(ALLOWED):
        ready = {name for name, below in ALLOWED.items() if below <= done} - done
        assert ready, f"a circle among {sorted(set(ALLOWED) - done)}"
        done |= ready


@pytest.mark.parametrize(
    ("module", "line", "expected"),
    [
        ("sortnet.nn.conv", "from sortnet.models import net", "sortnet.models"),
        ("sortnet.nn.conv", "from ..models.net import X", "sortnet.models.net"),
        ("sortnet.nn.conv", "from . import functional", "sortnet.nn"),
        ("sortnet.base.units", "import sortnet.cli.main as m", "sortnet.cli.main"),
        (
            "sortnet.theory.objects.exact",
            "from sortnet.theory import report",
            "sortnet.theory.report",
        ),
        ("sortnet.data.sets", "def f():\n    from sortnet import training", "sortnet.training"),
    ],
)
def test_imports_are_read_in_every_form(
    module: str, line: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "module.py"
    path.write_text(line)
    assert [name for name, _ in imports(module, path)] == [expected]


def test_contributing_shows_the_same_table() -> None:
    shown: dict[str, set[str]] = {}
    for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) != 3 or cells[0].strip("`") not in ALLOWED:
            continue
        words = cells[2].replace("all above", ", ".join(shown))
        words, _, without = words.partition(" but ")
        shown[cells[0].strip("`")] = {w.strip() for w in words.split(",") if w.strip()} - {without}
    assert shown == ALLOWED
