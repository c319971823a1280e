"""The theorems about files and floating point compile, and rest on the axioms of the reals only."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sortnet.theory.report.coq_check import FLOAT, REALS, SOURCES, ProofRow, check_proofs

needs_coq = pytest.mark.skipif(
    shutil.which("coqc") is None or shutil.which("make") is None,
    reason="needs coqc and make (Debian/Ubuntu: apt install coq libcoq-flocq make)",
)

# What the project claims to have proved; a statement that is dropped must be noticed.
CLAIMED = {
    "message_unique",
    "fields_sound",
    "read_file_sound",
    "graph_computes_network",
    "margin_file_computes",
    "value_is_binary32",
    "a_host_exists",
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


@needs_coq
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_where_the_excluded_middle_comes_from(tmp_path: Path) -> None:
    """With the numbers that floats are defined by, not with the functions that a network needs."""
    rests = {"exp": False, "Rtrigo_def.tanh": False, "ln": True, "mag": True, "round": True}
    source = "From Coq Require Import Reals.\nFrom Flocq Require Import Core.\n"
    source += "".join(f"Print Assumptions {name}.\n" for name in rests)
    (tmp_path / "axioms.v").write_text(source)
    done = subprocess.run(
        ["coqc", "-q", "axioms.v"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    parts = done.stdout.split("Axioms:")[1:]
    assert ["Classical_Prop.classic" in part for part in parts] == list(rests.values())


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


def test_the_page_shows_the_statements_as_they_are() -> None:
    page = (Path(__file__).parents[1] / "docs" / "checker.md").read_text()
    shown = re.findall(r"```coq\n(.*?)\n```", page, re.DOTALL)
    sources = [
        (SOURCES / "float" / name).read_text() for name in ("Statements.v", "FileCertificate.v")
    ]
    assert shown and all(any(block in text for text in sources) for block in shown)


# Constants a percent too small, hosts a percent too free: the proofs must notice.
# Before every name: file, what it says, what it says then.
MUTATIONS = {
    "rounding of a half unit": (
        "Rounding.v",
        "unit (p : precision) : R := bpow radix2 (- digits p).",
        "unit (p : precision) : R := 99 / 100 * bpow radix2 (- digits p).",
    ),
    "underflow": (
        "Rounding.v",
        "tiny (p : precision) : R := bpow radix2 (normal p).",
        "tiny (p : precision) : R := 99 / 100 * bpow radix2 (normal p).",
    ),
    "results flushed below twice as much": (
        "Rounding.v",
        "| rounds_flushed : Rabs x < bpow radix2 (normal p) ->",
        "| rounds_flushed : Rabs x < bpow radix2 (normal p + 1) ->",
    ),
    "operands flushed below twice as much": (
        "Rounding.v",
        "| operand_flushed : Rabs x < bpow radix2 (normal p) ->",
        "| operand_flushed : Rabs x < bpow radix2 (normal p + 1) ->",
    ),
    "Tanh less exact": (
        "HostSemantics.v",
        "tanh_error : R := bpow radix2 (-19).",
        "tanh_error : R := 101 / 100 * bpow radix2 (-19).",
    ),
    "coefficients less exact": (
        "HostSemantics.v",
        "coefficient_error : R := bpow radix2 (-22) + bpow radix2 (-38).",
        "coefficient_error : R := 101 / 100 * (bpow radix2 (-22) + bpow radix2 (-38)).",
    ),
    "unit of the checker": (
        "Checker.v",
        "single_unit : Z := 16777216.",
        "single_unit : Z := 16609443.",
    ),
    "coefficients of the checker": ("Checker.v", "67108864 + 1024.", "66437775 + 1024."),
    "Tanh of the checker": (
        "Checker.v",
        "tanh_room : Z := 536870912.",
        "tanh_room : Z := 531502202.",
    ),
    "normalization": (
        "Checker.v",
        "normalize_room : Z := 50331657.",
        "normalize_room : Z := 49828340.",
    ),
    "long sums": ("Checker.v", "(Z.of_nat n + 1) / 32 + 2.", "(Z.of_nat n + 1) / 33 + 2."),
    "a rounding less": ("Checker.v", "mul_up room m + 1.", "mul_up room m."),
    "products of a neuron": ("Checker.v", "let n := Z.of_nat k + 1 in", "let n := Z.of_nat k in"),
    "slack": (
        "Checker.v",
        "4 * error s + mul_up",
        "4 * error s - error s / 100 + mul_up",
    ),
    "scale": (
        "Checker.v",
        "scale_limit : Z := unit_grid - 67108864.",
        "scale_limit : Z := unit_grid.",
    ),
    "farthest distance": ("Checker.v", "Z.max (h - w) (v - l).", "h - w."),
    "the box inward": ("Checker.v", "(below l, above h)", "(above l, above h)"),
    "units rounded down": ("Checker.v", "0 (map above (units_of D))", "0 (map below (units_of D))"),
    "how far the ball reaches": ("IntervalChecker.v", "125 <=?", "124 <=?"),
    "products of both signs": (
        "Checker.v",
        "signed_room (k : nat) : Z := let n := Z.of_nat k + 1 in",
        "signed_room (k : nat) : Z := let n := Z.of_nat k in",
    ),
    "knots inside": ("Checker.v", "(clip l h (below k), clip l h (above k))", "(l, l)"),
}


@needs_coq
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_changed_constant_loses_the_proof(
    compiled: tuple[Path, list[ProofRow]], tmp_path: Path, name: str
) -> None:
    workdir, rows = compiled
    assert all(row.passed for row in rows)
    file, old, new = MUTATIONS[name]
    copy = tmp_path / "coq"
    shutil.copytree(workdir, copy)  # with the times of the files, so that only what follows is made
    source = copy / "float" / file
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new, 1))
    sources = [str(path.relative_to(copy)) for path in copy.rglob("*.v")]
    found = subprocess.run(
        ["coqdep", "-Q", ".", "SortNet", *sources],
        cwd=copy,
        check=True,
        capture_output=True,
        text=True,
    )
    rules = "%.vo: %.v\n\tcoqc -q -Q . SortNet $<\n" + found.stdout
    (copy / "rules").write_text(rules)
    done = subprocess.run(
        ["make", "-s", "-f", "rules", "float/Main.vo"], cwd=copy, capture_output=True, text=True
    )
    assert done.returncode != 0 and "Error" in done.stderr
