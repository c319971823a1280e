"""Fixtures of the platform tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from machines import ROOT
from targets import TARGETS


@pytest.fixture(scope="session")
def wheel() -> Callable[[str], Path]:
    """Gives the wheel of a target, built by `nox -s wheels`; skips where it was not built."""

    def find(name: str) -> Path:
        found = sorted((ROOT / "dist").glob(f"*{TARGETS[name].tags[0]}*.whl"))
        if not found:
            pytest.skip(f"no wheel of {name} in dist/: run nox -s wheels")
        assert len(found) == 1, f"several wheels of {name}: {found}; empty dist/ and build again"
        return found[0]

    return find


@pytest.fixture(scope="session")
def unpacked(
    wheel: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Gives a folder with the contents of the wheel of a target."""
    folders: dict[str, Path] = {}

    def unpack(name: str) -> Path:
        path = wheel(name)
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name)
            with ZipFile(path) as archive:
                archive.extractall(folders[name])
        return folders[name]

    return unpack
