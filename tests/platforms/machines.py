"""Running programs of other platforms on this one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from sortnet.backend import native

ROOT = Path(__file__).parents[2]

RUNNABLE = ("manylinux-x86_64", "manylinux-aarch64", "musllinux-x86_64", "windows-x86_64")
"""The others are built and inspected only: nothing here runs programs of macOS."""

SYSROOT = "/usr/aarch64-linux-gnu"
_LOADERS = {
    "manylinux-x86_64": [],
    "manylinux-aarch64": ["qemu-aarch64", "-L", SYSROOT],
    "musllinux-x86_64": ["/lib/ld-musl-x86_64.so.1"],
    "windows-x86_64": ["wine"],
}
_PACKAGES = {
    "manylinux-aarch64": "qemu-user libc6-arm64-cross libstdc++6-arm64-cross",
    "musllinux-x86_64": "musl",
    "windows-x86_64": "wine64 wine",
}


def start(name: str) -> list[str]:
    """The words before a program of this target; skips where the machine cannot run it."""
    words = _LOADERS[name]
    if "x86_64" in name and os.uname().machine != "x86_64":
        pytest.skip("needs a processor of x86-64")
    # ONNX Runtime needs the C++ library, which comes after the C library.
    sysroot = "-L" not in words or Path(SYSROOT, "lib/libstdc++.so.6").exists()
    if (words and shutil.which(words[0]) is None) or not sysroot:
        pytest.skip(f"{name} needs Debian's {_PACKAGES[name]}")
    return words


def suffix(name: str) -> str:
    return ".exe" if name.startswith("windows") else ""


def program(name: str, stem: str) -> Path:
    """A test program of this target, built by `nox -s wheels` beside the wheel."""
    path = ROOT / "build" / name / "kernels" / "tests" / (stem + suffix(name))
    if not path.is_file():
        pytest.skip(f"no {path.relative_to(ROOT)}: run nox -s wheels")
    return path


def run(
    name: str, command: list[str], libraries: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program of another platform, which finds its libraries in a folder."""
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(libraries),
        "WINEPATH": str(libraries),
        "WINEDEBUG": "-all",
        "WINEPREFIX": str(ROOT / "build" / "wine"),  # made once, which takes long
        **variables,
    }
    words = start(name)
    if words[:1] == ["qemu-aarch64"]:  # not for the emulator itself
        words = [*words, "-E", f"LD_LIBRARY_PATH={libraries}"]
        del environment["LD_LIBRARY_PATH"]
    return subprocess.run(
        [*words, *command], capture_output=True, text=True, env=environment, timeout=1500
    )


def library_file(name: str, stem: str) -> str:
    """The file name of a library as the Python of that platform looks for it."""
    system = {"macos": "darwin", "windows": "win32"}.get(name.split("-")[0], "linux")
    with patch.object(sys, "platform", system):
        return native.library_file(stem)
