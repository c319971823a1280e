"""The build backend: scikit-build-core, with Zig's clang where there is no C++ compiler.

`pip install .` then needs nothing but Python: the compiler comes from PyPI (`ziglang`). With
SORTNET_TARGET set to a name in targets.py, Zig compiles for that platform, whatever this one is.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import targets
from scikit_build_core import build as skbuild

_TOOLCHAIN = Path(__file__).parent / "zig.cmake"
_COMPILERS = ("c++", "g++", "clang++")
"""Those that the kernels can be compiled with, as CMake would look for them."""
_PROBE = """
#include <thread>
#include <vector>
int probe(std::vector<int> v) { std::thread([&v] { v.push_back(1); }).join(); return v[0]; }
"""

Settings = Mapping[str, Any] | None


def working_compiler() -> str | None:
    """The first C++ compiler on the PATH that makes a shared library of C++17.

    A name alone proves nothing: macOS has a `c++` that asks to install one, and a compiler may lack
    its standard library.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.cpp"
        source.write_text(_PROBE, encoding="utf-8")
        output = str(Path(folder) / "probe.so")
        for name in _COMPILERS:
            compiler = shutil.which(name)
            if compiler is None:
                continue
            options = ["-std=c++17", "-shared", *([] if os.name == "nt" else ["-fPIC", "-pthread"])]
            command = [compiler, *options, str(source), "-o", output]
            tried = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
            if tried.returncode == 0:
                return compiler
    return None


def chosen_by_user() -> bool:
    """Whether the environment already says which compiler to take."""
    arguments = os.environ.get("CMAKE_ARGS", "")
    return (
        "CXX" in os.environ
        or "CMAKE_TOOLCHAIN_FILE" in os.environ
        or "CMAKE_TOOLCHAIN_FILE" in arguments
        or "CMAKE_CXX_COMPILER=" in arguments
    )


def zig_target() -> str | None:
    """The target to build with Zig; None: this machine's own compiler does it."""
    name = os.environ.get("SORTNET_TARGET", "")
    if name:
        targets.find(name)
        return name
    if chosen_by_user() or working_compiler() is not None:
        return None
    try:
        return targets.this_machine()
    except KeyError as error:
        raise RuntimeError(f"install a C++17 compiler: none was found, and {error}") from None


def _settings(given: Settings) -> dict[str, Any]:
    """The settings of scikit-build-core that make it use the compiler of choice."""
    settings = dict(given or {})
    name = zig_target()
    if name is None:
        if not chosen_by_user():
            # The one that was tried, where CMake might take another that does not work.
            os.environ["CXX"] = str(working_compiler())
        return settings
    package = importlib.util.find_spec("ziglang")
    if package is None or package.origin is None:
        raise RuntimeError(
            f"no C++ compiler was found, and Zig's is not installed: install a C++17 compiler, or "
            f"without build isolation pip install '{targets.ZIG}'"
        )
    zig = Path(package.origin).parent / ("zig.exe" if os.name == "nt" else "zig")
    target = targets.TARGETS[name]
    print(f"compiling for {name} with {zig}", file=sys.stderr)
    for key, value in (
        ("CMAKE_TOOLCHAIN_FILE", _TOOLCHAIN.as_posix()),
        ("SORTNET_ZIG", zig.as_posix()),
        ("SORTNET_ZIG_TARGET", target.zig),
    ):
        settings[f"cmake.define.{key}"] = value
    if os.environ.get("SORTNET_TARGET"):
        settings["wheel.tags"] = ";".join(f"py3-none-{tag}" for tag in target.tags)
    return settings


def _zig_requirement() -> list[str]:
    return [] if zig_target() is None else [targets.ZIG]


# The hooks of PEP 517 and 660.
get_requires_for_build_sdist = skbuild.get_requires_for_build_sdist
build_sdist = skbuild.build_sdist
prepare_metadata_for_build_wheel = skbuild.prepare_metadata_for_build_wheel
prepare_metadata_for_build_editable = skbuild.prepare_metadata_for_build_editable


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    return [*skbuild.get_requires_for_build_wheel(config_settings), *_zig_requirement()]


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    return [*skbuild.get_requires_for_build_editable(config_settings), *_zig_requirement()]


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    return skbuild.build_wheel(wheel_directory, _settings(config_settings), metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    return skbuild.build_editable(wheel_directory, _settings(config_settings), metadata_directory)
