import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import sortnet
from sortnet import _moved

ROOT = Path(__file__).parents[2]


def test_every_public_name_resolves() -> None:
    assert set(sortnet.__all__) == {"__version__", *sortnet._HOMES, *sortnet._MODULES}
    for name in sortnet.__all__:
        assert getattr(sortnet, name) is not None
        assert name in dir(sortnet)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sortnet.nothing
    with pytest.raises(AttributeError, match="no attribute 'Trainner'; did you mean 'Trainer'"):
        _ = sortnet.Trainner


def test_the_page_of_public_names_lists_them_all() -> None:
    rows = [
        line.split("|")[1]
        for line in (ROOT / "docs" / "api.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == set(sortnet.__all__)


def test_the_page_of_public_names_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    page = (ROOT / "docs" / "api.md").read_text()
    declared, loop = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(declared, "docs/api.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed == [line.split("# ")[1] for line in declared.splitlines() if "print" in line]
    short = loop.replace("epochs, batch = 30, 128", "epochs, batch = 2, 128")
    assert short != loop
    exec(compile(short, "docs/api.md", "exec"), {})
    clean, certified = map(float, re.findall(r"(?:clean|:) (0\.\d+)", capsys.readouterr().out))
    assert clean >= certified and clean > 0.2
    assert (tmp_path / "certified.png").stat().st_size > 1000


def seen_by_type_checkers(path: str) -> dict[str, str]:
    """name -> "module" or "module:name there" of the imports under `if TYPE_CHECKING`."""
    tree = ast.parse((ROOT / path / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    return {
        alias.asname or alias.name: (node.module or "") + (f":{alias.name}" if alias.asname else "")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_see_the_same_names() -> None:
    modules = dict.fromkeys(sortnet._MODULES, "sortnet")
    assert seen_by_type_checkers("sortnet") == sortnet._HOMES | modules


@pytest.mark.parametrize("room", ["evaluation", "export", "training"])
def test_type_checkers_see_the_names_of_a_lazy_room(room: str) -> None:
    module = import_module(f"sortnet.{room}")
    path = room if room == "export" else f"sortnet/{room}"
    assert set(seen_by_type_checkers(path)) == set(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_examples_import_public_names_only(path: Path) -> None:
    found = [
        (node.module or "", alias.name)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if (node.module or "").split(".")[0] == "sortnet"
    ]
    assert found
    for module, name in found:
        if module.startswith("sortnet.theory."):  # its modules are its interface: docs/theory.md
            assert hasattr(import_module(module), name)
            continue
        assert module == "sortnet" or module.removeprefix("sortnet.") in sortnet._MODULES
        assert name in import_module(module).__all__


@pytest.mark.parametrize(
    "module", ["sortnet", "sortnet.theory", "sortnet.export", "sortnet.cli.main"]
)
def test_import_is_light(module: str) -> None:
    code = (
        f"import sys, {module}; sys.exit(' '.join({{'torch', 'sympy'}} & set(sys.modules)) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("old, new", _moved.MOVED.items())
def test_old_module_paths_work_with_a_warning(old: str, new: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        module = import_module(old)
    assert module is import_module(new)
    assert module.__name__ == new and module.__spec__ is not None and module.__spec__.name == new
    assert import_module(old) is module  # once is enough


def test_version_is_that_of_the_installed_package() -> None:
    from importlib.metadata import version

    assert version("sortnet") == sortnet.__version__
