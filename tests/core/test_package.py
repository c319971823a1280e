import subprocess
import sys
from importlib import import_module

import pytest

import sortnet
from sortnet import _moved


def test_every_public_name_resolves() -> None:
    for name in sortnet.__all__:
        assert getattr(sortnet, name) is not None
        assert name in dir(sortnet)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sortnet.nothing


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
