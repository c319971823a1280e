"""Print the lowest versions that pyproject.toml declares, as constraints for pip.

python tools/lowest.py > lowest.txt && pip install -c lowest.txt '.[test]'
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TESTED = ("train", "onnxruntime", "theory", "tables", "test")
"""The extras that the fast suite uses."""

_LOWER = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?\s*(>=|~=|==)\s*(?P<version>[\w.]+)")


def floors(pyproject: Path) -> dict[str, str]:
    """Package -> its lowest declared version, of the package itself and the tested extras.

    Raises:
        ValueError: a requirement without a lowest version, or two for one package.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *(r for extra in TESTED for r in extras[extra])]
    found: dict[str, str] = {}
    for requirement in declared:
        if requirement.startswith(f"{project['name']}["):
            continue
        match = _LOWER.match(requirement)
        if match is None:
            raise ValueError(f"{requirement!r} declares no lowest version")
        name, version = match["name"], match["version"]
        if found.setdefault(name, version) != version:
            raise ValueError(f"{name} has two lowest versions: {found[name]} and {version}")
    return found


if __name__ == "__main__":
    for name, version in floors(Path(__file__).parents[1] / "pyproject.toml").items():
        print(f"{name}=={version}")
