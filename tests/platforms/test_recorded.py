"""The kernels of every platform that can be run here give the results recorded on x86-64.

After a change that is meant to alter bits, record again:
    c++ -std=c++17 -Ikernels/include kernels/tests/record.cpp LIBRARY -o record && ./record > FILE
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import machines
import pytest
from machines import ROOT
from recorded import RECORD, disagreements

from sortnet.backend import native


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program over the library that is installed here."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    program = tmp_path_factory.mktemp("record") / "record"
    library = native.library_path("sortnet_kernels")
    source = ROOT / "kernels/tests/record.cpp"
    options = ["-std=c++17", f"-I{ROOT}/kernels/include", f"-Wl,-rpath,{library.parent}"]
    command = [compiler, *options, str(source), str(library), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def instruction_sets() -> list[str]:
    """Those of this machine's processor, best first, as Linux tells."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^flags\s*: (.*)$", cpuinfo, re.M)
    flags = set(found[1].split()) if found else set()
    sets = {
        "avx512": {"avx512f", "avx512dq", "avx512bw", "avx512vl", "fma"},
        "avx2": {"avx2", "fma"},
        "generic": set(),
    }
    return [name for name, needed in sets.items() if needed <= flags]


@pytest.mark.parametrize("isa", ["avx512", "avx2", "generic"])
def test_this_machine(installed: Path, isa: str) -> None:
    if isa not in instruction_sets():
        pytest.skip(f"this processor has no {isa}")
    ran = subprocess.run(
        [str(installed)], capture_output=True, text=True, env={**os.environ, "SORTNET_ISA": isa}
    )
    assert ran.returncode == 0 and f"instruction set: {isa}" in ran.stderr, ran.stderr
    assert disagreements(ran.stdout, RECORD.read_text()) == []


def test_the_best_instruction_set_is_chosen() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "SORTNET_ISA"}
    script = "from sortnet.backend import native; print(native.isa())"
    command = [sys.executable, "-c", script]
    chosen = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert chosen.stdout.strip() == instruction_sets()[0]


def scaled(line: str, factor: float) -> str:
    return " ".join([*line.split()[:2], *(repr(float(v) * factor) for v in line.split()[2:])])


@pytest.mark.parametrize(
    ("prefix", "change"),
    [
        ("bits linf-5x17x33-plain ", lambda line: line[:-1] + ("0" if line[-1] == "f" else "f")),
        ("bits sort4-9x347x19-odd-backward ", lambda line: line.rsplit(" ", 1)[0] + " 0"),
        ("real l8-5x17x33-plain ", lambda line: scaled(line, 1 + 1e-5)),
        ("real l1.5-9x347x19-plain-slopes ", lambda line: scaled(line, 1 + 5e-3)),
        ("real l192-9x347x19-plain-low ", lambda line: scaled(line, 1 - 3e-5)),
        ("real linf-40x784x70-odd-high ", lambda line: scaled(line, -1)),
        ("real l3-5x17x33-plain-high ", lambda line: line.rsplit(" ", 1)[0]),
        ("bits sort20-40x784x70-ties ", lambda line: "bits another 1"),
        ("abi 1", lambda line: "abi 2"),
    ],
)
def test_a_difference_is_seen(prefix: str, change: Callable[[str], str]) -> None:
    record = RECORD.read_text()
    (line,) = (line for line in record.splitlines() if line.startswith(prefix))
    assert disagreements(record.replace(line + "\n", change(line) + "\n"), record)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", machines.RUNNABLE)
def test_recorded_results(name: str, unpacked: Callable[[str], Path]) -> None:
    libraries = unpacked(name) / "sortnet" / "lib"
    program = str(machines.program(name, "sortnet_record"))
    for isa in ["generic"] if "aarch64" in name else instruction_sets():
        ran = machines.run(name, [program], libraries, SORTNET_ISA=isa)
        assert ran.returncode == 0 and f"instruction set: {isa}" in ran.stderr, ran.stderr
        assert disagreements(ran.stdout, RECORD.read_text()) == [], isa


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", machines.RUNNABLE)
def test_suite(name: str, unpacked: Callable[[str], Path]) -> None:
    libraries = unpacked(name) / "sortnet" / "lib"
    ran = machines.run(name, [str(machines.program(name, "sortnet_suite"))], libraries)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1] == "all right"
