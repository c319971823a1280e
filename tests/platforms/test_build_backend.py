"""The build backend: which compiler it takes, and what it asks of the registry."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import targets

pytest.importorskip("scikit_build_core", reason="the backend extends scikit-build-core")
import build_backend


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without a choice of the user."""
    for name in ("CXX", "CMAKE_ARGS", "CMAKE_TOOLCHAIN_FILE", "SORTNET_TARGET"):
        monkeypatch.delenv(name, raising=False)
    saved = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(saved)


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Makes these shell scripts all that is on the PATH."""
    folder.mkdir()
    for name, script in scripts.items():
        path = folder / name.replace("cxx", "c++").replace("gxx", "g++").replace(
            "clangxx", "clang++"
        )
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


FAILS = "exit 1"
NO_LIBRARY = 'case "$*" in *probe.cpp*) echo "fatal error: vector: No such file" >&2; exit 1;; esac'


@pytest.mark.parametrize(
    "scripts",
    [{}, {"cxx": FAILS}, {"gxx": NO_LIBRARY, "clangxx": FAILS}, {"gcc": "exit 0"}],
    ids=["none", "c++ fails", "no standard library", "a C compiler only"],
)
def test_without_a_compiler_zig_is_asked_for(
    scripts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path / "bin", monkeypatch, **scripts)
    assert build_backend.working_compiler() is None
    assert build_backend.zig_target() == targets.this_machine()
    for hook in ("wheel", "editable"):
        asked = getattr(build_backend, f"get_requires_for_build_{hook}")()
        assert targets.ZIG in asked
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_backend.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(RuntimeError, match=r"install a C\+\+17 compiler"):
            build_backend._settings(None)


def test_a_machine_that_zig_is_not_used_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path / "bin", monkeypatch)
    monkeypatch.setattr(targets.platform, "machine", lambda: "riscv64")
    with pytest.raises(RuntimeError, match=r"install a C\+\+17 compiler.*riscv64"):
        build_backend.get_requires_for_build_editable()


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_a_compiler_that_works_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.environ["PATH"]
    programs(tmp_path / "bin", monkeypatch, cxx=FAILS)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{path}")
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("needs a second compiler, g++ or clang++")
    assert targets.ZIG not in build_backend.get_requires_for_build_wheel()
    assert build_backend._settings({"cmake.verbose": "true"}) == {"cmake.verbose": "true"}
    # CMake would take the broken one that comes first.
    assert os.environ["CXX"] in (shutil.which("g++"), shutil.which("clang++"))


@pytest.mark.parametrize(
    "variable",
    [
        ("CXX", "my-compiler"),
        ("CMAKE_ARGS", "-DCMAKE_CXX_COMPILER=my-compiler"),
        ("CMAKE_ARGS", "-G Ninja -DCMAKE_TOOLCHAIN_FILE=mine.cmake"),
        ("CMAKE_TOOLCHAIN_FILE", "mine.cmake"),
    ],
)
def test_the_users_choice_stands(
    variable: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path / "bin", monkeypatch)
    monkeypatch.setenv(*variable)
    before = dict(os.environ)
    assert build_backend.zig_target() is None
    assert build_backend._settings(None) == {} and dict(os.environ) == before


@pytest.mark.parametrize("name", targets.TARGETS)
def test_settings_of_a_target(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ziglang", reason="needs Zig's clang; see nox -s wheels")
    monkeypatch.setenv("SORTNET_TARGET", name)
    settings = build_backend._settings({"build-dir": "here"})
    assert settings["build-dir"] == "here"
    assert settings["cmake.define.SORTNET_ZIG_TARGET"] == targets.TARGETS[name].zig
    assert settings["wheel.tags"].split(";")[0] == f"py3-none-{targets.TARGETS[name].tags[0]}"
    assert Path(settings["cmake.define.SORTNET_ZIG"]).is_file()


@pytest.mark.parametrize("name", ["linux", "manylinux-riscv64", "windows"])
def test_unknown_targets_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORTNET_TARGET", name)
    with pytest.raises(KeyError, match="expected one of manylinux-x86_64"):
        build_backend.get_requires_for_build_wheel()


@pytest.mark.parametrize(
    ("system", "machine", "gnu", "name"),
    [
        ("linux", "x86_64", "x86_64-linux-gnu", "manylinux-x86_64"),
        ("linux", "aarch64", None, "manylinux-aarch64"),
        ("linux", "x86_64", "x86_64-alpine-linux-musl", "musllinux-x86_64"),
        ("darwin", "arm64", None, "macos-arm64"),
        ("darwin", "x86_64", None, "macos-x86_64"),
        ("win32", "AMD64", None, "windows-x86_64"),
        ("linux", "riscv64", None, None),
        ("win32", "ARM64", None, None),
        ("linux", "aarch64", "aarch64-alpine-linux-musl", None),
    ],
)
def test_this_machine(
    system: str, machine: str, gnu: str | None, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets.sys, "platform", system)
    monkeypatch.setattr(targets.platform, "machine", lambda: machine)
    monkeypatch.setattr(targets.sysconfig, "get_config_var", lambda key: gnu)
    if name is None:
        with pytest.raises(KeyError, match="no build for"):
            targets.this_machine()
    else:
        assert targets.this_machine() == name
