"""The theorems about files and floating point compile, and rest on the axioms of the reals only."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sortnet.theory.report.coq_check import FLOAT, REALS, SOURCES, ProofRow, check_proofs

needs_coq = pytest.mark.skipif(
    shutil.which("coqc") is None,
    reason="coqc is not installed (Debian/Ubuntu: apt install coq libcoq-flocq)",
)

# What the project claims to have proved; a statement that is dropped must be noticed.
CLAIMED = {
    "message_unique",
    "fields_sound",
    "read_file_sound",
    "graph_computes_network",
    "margin_file_computes",
    "file_certificate",
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ProofRow]]:
    workdir = tmp_path_factory.mktemp("coq")
    return workdir, check_proofs(workdir, project=FLOAT)


@needs_coq
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_statement_is_proved(compiled: tuple[Path, list[ProofRow]]) -> None:
    _, rows = compiled
    assert [(row.theorem, row.problem) for row in rows if not row.passed] == []
    assert {row.theorem for row in rows} == CLAIMED
    assert all(row.statement and row.file == "float/Theorems.v" for row in rows)


@needs_coq
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_independent_checker_agrees(compiled: tuple[Path, list[ProofRow]]) -> None:
    """coqchk reads the compiled files again with a kernel of its own."""
    workdir, _ = compiled
    done = subprocess.run(
        ["coqchk", "-silent", "-o", "-Q", ".", "SortNet", "SortNet.float.Main"],
        cwd=workdir,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # type-in-type, unsafe fixpoints, assumed positivity; the report is on stderr
    assert len(re.findall(r"<none>", done.stderr)) == 3


def test_every_source_is_in_the_project_file() -> None:
    listed = (SOURCES / FLOAT).read_text().split()
    # Extract.v proves nothing: it writes the checker.
    sources = {f"float/{path.name}" for path in (SOURCES / "float").glob("*.v")}
    assert sources - {"float/Extract.v"} <= set(listed)
    assert listed[-1] == "float/Main.v"
    assert {name for name in listed if "/" not in name} <= {
        "-Q",
        ".",
        "SortNet",
        *(SOURCES / REALS).read_text().split(),
    }


def test_every_statement_is_audited() -> None:
    """So that it is seen without waiting for the proofs."""
    stated = re.findall(
        r"^Definition (\w+)_statement\b", (SOURCES / "float/Statements.v").read_text(), re.M
    )
    main = (SOURCES / "float/Main.v").read_text()
    assert set(stated) == CLAIMED
    assert re.findall(r"^Check \((\w+) : \1_statement\)\.$", main, re.M) == stated
    audited = main.split("Definition all_theorems :=")[1].split(".")[0]
    assert re.findall(r"\w+", audited) == stated
