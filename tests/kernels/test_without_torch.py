"""These tests run where there is no torch: on other platforms, and on the machines of a forge."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = """
import sys
import pytest
sys.modules["torch"] = None  # importing it fails
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


@pytest.mark.skipif(find_spec("torch") is None, reason="the whole run shows it")
def test_they_are_found_without_torch() -> None:
    here = Path(__file__).parent
    configuration = here.parents[1] / "pyproject.toml"
    command = [sys.executable, "-c", SCRIPT, "-c", str(configuration), str(here)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr
    assert "test_a_mode_of_some_threads_does_not_matter" in ran.stdout
