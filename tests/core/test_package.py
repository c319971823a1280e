import subprocess
import sys

import pytest

import sortnet


def test_every_public_name_resolves() -> None:
    for name in sortnet.__all__:
        assert getattr(sortnet, name) is not None
        assert name in dir(sortnet)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sortnet.nothing


@pytest.mark.parametrize("module", ["sortnet", "sortnet.theory", "sortnet.export", "sortnet.cli"])
def test_import_is_light(module: str) -> None:
    code = (
        f"import sys, {module}; sys.exit(' '.join({{'torch', 'sympy'}} & set(sys.modules)) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_version_is_that_of_the_installed_package() -> None:
    from importlib.metadata import version

    assert version("sortnet") == sortnet.__version__
