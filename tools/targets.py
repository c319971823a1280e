"""The machines that wheels are made for, and what Zig calls them."""

from __future__ import annotations

import platform
import sys
import sysconfig
from dataclasses import dataclass

ZIG = "ziglang~=0.17.0"
"""The compiler, from PyPI, in the version that the libraries were tested with."""


@dataclass(frozen=True)
class Target:
    """One platform.

    Attributes:
        zig: architecture-system-abi, with the oldest version of the system that is served.
        tags: of the wheel's platform, most specific first.
    """

    zig: str
    tags: tuple[str, ...]


TARGETS = {
    "manylinux-x86_64": Target(
        "x86_64-linux-gnu.2.17", ("manylinux_2_17_x86_64", "manylinux2014_x86_64")
    ),
    "manylinux-aarch64": Target(
        "aarch64-linux-gnu.2.17", ("manylinux_2_17_aarch64", "manylinux2014_aarch64")
    ),
    "musllinux-x86_64": Target("x86_64-linux-musl", ("musllinux_1_2_x86_64",)),
    "macos-x86_64": Target("x86_64-macos.11.0", ("macosx_11_0_x86_64",)),
    "macos-arm64": Target("aarch64-macos.11.0", ("macosx_11_0_arm64",)),
    "windows-x86_64": Target("x86_64-windows-gnu", ("win_amd64",)),
}


def this_machine() -> str:
    """The name in TARGETS of the machine that runs this.

    Raises:
        KeyError: none of them; the message lists them.
    """
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    if sys.platform == "darwin":
        name = f"macos-{'arm64' if machine == 'aarch64' else machine}"
    elif sys.platform == "win32":
        name = f"windows-{machine}"
    else:
        musl = "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or "")
        name = f"{'musl' if musl else 'many'}linux-{machine}"
    find(name)
    return name


def find(name: str) -> Target:
    """The target of this name.

    Raises:
        KeyError: there is none; the message lists them.
    """
    if name not in TARGETS:
        raise KeyError(f"no build for {name!r}: expected one of {', '.join(TARGETS)}")
    return TARGETS[name]
