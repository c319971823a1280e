"""What is inside the wheels of all platforms: files, symbols, dependencies, the oldest system."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import machines
import pytest
from machines import ROOT
from targets import TARGETS

lief = pytest.importorskip("lief", reason="lief reads the libraries; nox -s wheels installs it")

pytestmark = pytest.mark.slow
Unpacked = Callable[[str], Path]

LINUX = [name for name in TARGETS if "linux" in name]
LIBRARIES = ("sortnet_kernels", "sortnet_ort", "sortnet_cuda")


def declared(header: str) -> set[str]:
    """The functions that a header of the C ABI declares."""
    text = (ROOT / "kernels/include" / header).read_text()
    return set(re.findall(r"^SN_API [^(]*?\b(sn_\w+)\(", text, re.M))


EXPORTS = {
    "sortnet_kernels": declared("sortnet.h"),
    "sortnet_cuda": declared("sortnet_cuda.h"),
    "sortnet_ort": {"RegisterCustomOps"},
}
# Only ELF needs more than that hidden: libraries of macOS and Windows use their own symbols all the
# same. There the op library shows the functions that it is linked from, and on macOS, where Zig's
# linker takes no list, also what the C++ standard lets a program replace.
REPLACEABLE = re.compile(r"_Z(na|nw|da|dl)|_mh_dylib_header|__dso_handle")
NEEDED = {
    "manylinux": re.compile(r"lib(c|m|dl|pthread|rt)\.so\.\d|ld-linux-[\w-]+\.so\.\d"),
    "musllinux": re.compile(r"libc\.so|libc\.musl-x86_64\.so\.1"),
    "macos": re.compile(r"/usr/lib/libSystem\.B\.dylib"),
    # The universal C runtime and the kernel: part of Windows 10 and later.
    "windows": re.compile(r"(?i)(api-ms-win-crt-[\w-]+|kernel32|ntdll|ucrtbase)\.dll"),
}


def libraries(name: str) -> tuple[str, ...]:
    return LIBRARIES if name in LINUX else LIBRARIES[:2]


def parse(folder: Path, name: str, stem: str) -> object:
    """The library where the Python of that platform looks for it."""
    return lief.parse(str(folder / "sortnet" / "lib" / machines.library_file(name, stem)))


def exports(binary: object) -> set[str]:
    if isinstance(binary, lief.PE.Binary):
        return {str(entry.name) for entry in binary.get_export().entries}
    names = (str(symbol.name) for symbol in binary.exported_symbols)  # type: ignore[attr-defined]
    if isinstance(binary, lief.MachO.Binary):
        return {name.removeprefix("_") for name in names}
    return set(names)


PACKAGES = {name: f"sortnet/{name}" for name in ("theory", "export", "checker")}


def sources() -> dict[str, bytes]:
    """The files of the packages by their names in a wheel: code, templates, proofs."""
    listed = ["git", "ls-files", "-z", "sortnet", *PACKAGES]
    ran = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True)
    if ran.returncode != 0:
        pytest.skip("needs a clone of the repository")
    names = [name for name in ran.stdout.split("\0") if name]
    return {
        name if name.startswith("sortnet/") else f"sortnet/{name}": (ROOT / name).read_bytes()
        for name in names
    }


@pytest.mark.parametrize("name", TARGETS)
def test_contents(name: str, unpacked: Unpacked, wheel: Unpacked) -> None:
    folder = unpacked(name)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    expected = sources()
    binaries = {f"sortnet/lib/{machines.library_file(name, stem)}" for stem in libraries(name)}
    assert {file for file in files if ".dist-info/" not in file} == {*expected, *binaries}
    stale = {file for file, text in expected.items() if (folder / file).read_bytes() != text}
    assert not stale, f"the wheel is older than {sorted(stale)}: run nox -s wheels"
    (metadata,) = folder.glob("*.dist-info/WHEEL")
    text = metadata.read_text()
    assert "Root-Is-Purelib: false" in text
    tags = set(re.findall(r"^Tag: (.*)$", text, re.M))
    assert tags == {f"py3-none-{tag}" for tag in TARGETS[name].tags}
    assert wheel(name).stat().st_size < 3_000_000


@pytest.mark.parametrize("name", TARGETS)
def test_symbols_and_dependencies(name: str, unpacked: Unpacked) -> None:
    folder = unpacked(name)
    allowed = NEEDED[name.split("-")[0]]
    for stem in libraries(name):
        binary = parse(folder, name, stem)
        shown = exports(binary)
        expected = set(EXPORTS[stem])
        if name not in LINUX and stem == "sortnet_ort":
            expected |= EXPORTS["sortnet_kernels"]
        if name.startswith("macos"):
            shown = {symbol for symbol in shown if not REPLACEABLE.match(symbol)}
        assert shown == expected, (stem, shown ^ expected)
        for needed in needed_by(binary):
            assert allowed.fullmatch(needed), (stem, needed)


def needed_by(binary: object) -> list[str]:
    """The libraries that the system loads with this one."""
    if isinstance(binary, lief.PE.Binary):
        return [str(entry.name) for entry in binary.imports]
    if isinstance(binary, lief.MachO.Binary):
        own = lief.MachO.LoadCommand.TYPE.ID_DYLIB
        return [str(entry.name) for entry in binary.libraries if entry.command != own]
    return [str(needed) for needed in binary.libraries]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", TARGETS)
def test_machine_and_oldest_system(name: str, unpacked: Unpacked) -> None:
    folder = unpacked(name)
    arm = name.endswith(("aarch64", "arm64"))
    for stem in libraries(name):
        binary = parse(folder, name, stem)
        if isinstance(binary, lief.PE.Binary):
            assert binary.header.machine == lief.PE.Header.MACHINE_TYPES.AMD64
            optional = binary.optional_header
            assert (optional.major_subsystem_version, optional.minor_subsystem_version) <= (10, 0)
        elif isinstance(binary, lief.MachO.Binary):
            cpu = lief.MachO.Header.CPU_TYPE
            assert binary.header.cpu_type == (cpu.ARM64 if arm else cpu.X86_64)
            assert tuple(binary.build_version.minos)[:2] <= (11, 0)
            # An arm64 Mac runs signed code only; an ad-hoc signature is enough.
            assert binary.has_code_signature or not arm
        else:
            arch = lief.ELF.ARCH
            assert binary.header.machine_type == (arch.AARCH64 if arm else arch.X86_64)
            versions = {
                tuple(map(int, str(version.name).removeprefix("GLIBC_").split(".")))
                for needed in binary.symbols_version_requirement
                for version in needed.get_auxiliary_symbols()
            }
            assert max(versions, default=(0,)) <= (2, 17), versions
            assert bool(versions) == name.startswith("manylinux")
            for tag in (lief.ELF.DynamicEntry.TAG.RPATH, lief.ELF.DynamicEntry.TAG.RUNPATH):
                assert not binary.has(tag)


# That of musl it can only judge on a system of musl.
@pytest.mark.parametrize("name", [name for name in LINUX if name.startswith("manylinux")])
def test_auditwheel_agrees(name: str, wheel: Unpacked) -> None:
    pytest.importorskip("auditwheel", reason="nox -s wheels installs auditwheel")
    shown = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "auditwheel", "show", str(wheel(name))],
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    report = " ".join(shown.stdout.split())
    assert f'consistent with the following platform tag: "{TARGETS[name].tags[0]}"' in report, (
        report
    )
