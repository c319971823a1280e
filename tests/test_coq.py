"""The Coq proofs compile, prove what Statements.v says, and a broken chain is refused."""

from __future__ import annotations

import pkgutil
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sortnet.theory.report.coq_check import REAL_AXIOMS, SOURCES, CoqMissing, ProofRow, check_proofs
from sortnet.theory.report.registry import results

needs_coq = pytest.mark.skipif(
    shutil.which("coqc") is None, reason="coqc is not installed (Debian/Ubuntu: apt install coq)"
)

# What the project claims to have proved; a statement that is dropped must be noticed.
CLAIMED = {
    "mass_lemma",
    "mass_lemma_groupsort",
    "theorem_3_5",
    "theorem_3_5_tight",
    "theorem_3_5_tight_symmetric",
    "theorem_3_6",
    "theorem_3_6_tight",
    "theorem_3_8_boolean",
    "theorem_3_8_radius",
    "theorem_3_8_order_statistic",
    "theorem_3_9_tight",
    "groupsort_radius",
    "groupsort_error",
    "groupsort_error_norm",
    "groupsort_depth",
    "mass_lemma_norm",
    "groupsort_radius_norm",
    "network_norm",
    "weights_to_radius_norm",
    "margin_certificate_closed",
    "order_stat_lipschitz",
    "sortnet_neuron_lipschitz",
    "network_lipschitz",
    "sortnet_contains_groupsort",
    "theorem_3_10_selection",
    "theorem_3_10_circuits",
    "theorem_3_10_counting",
    "theorem_3_10_depth",
    "theorem_3_11_circuit",
    "theorem_3_11_finite",
    "theorem_3_11",
    "distance_slopes",
    "distance_not_mean",
    "mcshane",
    "mcshane_tight",
    "grid_net",
    "distance_universal",
    "dropout_identity",
    "margin_certificate",
    "weights_to_radius",
    "computed_margin",
    "rounded_certificate",
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ProofRow]]:
    workdir = tmp_path_factory.mktemp("coq")
    return workdir, check_proofs(workdir)


@needs_coq
def test_every_statement_is_proved(compiled: tuple[Path, list[ProofRow]]) -> None:
    _, rows = compiled
    assert [(row.theorem, row.problem) for row in rows if not row.passed] == []
    assert {row.theorem for row in rows} >= CLAIMED
    for row in rows:
        assert row.assumptions == (
            "ClassicalDedekindReals.sig_forall_dec",
            "FunctionalExtensionality.functional_extensionality_dep",
        )
        assert row.statement
        assert f"Theorem {row.theorem} :" in (SOURCES / row.file).read_text()
        assert row.seconds > 0


@needs_coq
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_each_theorem_uses_only_the_axioms_of_the_reals(
    compiled: tuple[Path, list[ProofRow]],
) -> None:
    """One by one, where the fast check reads the union for all theorems."""
    workdir, rows = compiled
    audit = "From SortNet Require Import Main.\n" + "".join(
        f"Print Assumptions SortNet.{Path(row.file).stem}.{row.theorem}.\n" for row in rows
    )
    (workdir / "Audit.v").write_text(audit)
    output = subprocess.run(
        ["coqc", "-q", "-Q", ".", "SortNet", "Audit.v"],
        cwd=workdir,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    reports = re.findall(r"^(?:Axioms:$|Closed under the global context$)", output, re.MULTILINE)
    assert len(reports) == len(rows)
    names = re.findall(r"^(\w+(?:\.\w+)*)\s*(?::|$)", output, re.MULTILINE)
    assert set(names) - {"Axioms"} <= REAL_AXIOMS


@needs_coq
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_independent_checker_agrees(compiled: tuple[Path, list[ProofRow]]) -> None:
    """coqchk reads the compiled files again with a kernel of its own."""
    workdir, _ = compiled
    done = subprocess.run(
        ["coqchk", "-silent", "-o", "-Q", ".", "SortNet", "SortNet.Main"],
        cwd=workdir,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # type-in-type, unsafe fixpoints, assumed positivity; the report is on stderr
    assert len(re.findall(r"<none>", done.stderr)) == 3


def test_every_source_is_in_the_project_file() -> None:
    listed = set((SOURCES / "_CoqProject").read_text().split())
    assert {path.name for path in SOURCES.glob("*.v")} <= listed


def test_the_page_shows_the_sources_as_they_are() -> None:
    page = (Path(__file__).parents[1] / "docs" / "coq.md").read_text()
    sources = (SOURCES / "Definitions.v").read_text() + (SOURCES / "Statements.v").read_text()
    shown = "\n\n".join(re.findall(r"```coq\n(.*?)\n```", page, re.DOTALL)).split("\n\n")
    assert [part for part in shown if part not in sources] == []
    kept = set(re.findall(r"^(?:Definition|Fixpoint|Inductive) (\w+)", "\n".join(shown), re.M))
    assert kept == set(re.findall(r"^(?:Definition|Fixpoint|Inductive) (\w+)", sources, re.M))


def test_the_python_names_on_the_page_exist() -> None:
    page = (Path(__file__).parents[1] / "docs" / "coq.md").read_text()
    names = set(re.findall(r"`(sortnet\.theory\.[\w.]+)`", page))
    assert len(names) > 30
    for name in names:
        pkgutil.resolve_name(name)  # AttributeError or ImportError names what is missing


def test_every_statement_is_a_row_of_the_theory_report() -> None:
    reported = [theorem for result in results() for theorem in result.coq]
    source = (SOURCES / "Statements.v").read_text()
    assert sorted(reported) == sorted(re.findall(r"Definition (\w+)_statement", source))


def test_missing_coqc_is_said_clearly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CoqMissing, match="apt install coq"):
        check_proofs()


# A chain of three files that needs no real numbers: compiles at once, and is broken below.
STATEMENTS = """
(** Zero is neutral. *)
Definition neutral_statement : Prop := forall n, n + 0 = n.
(** Addition commutes. *)
Definition commutes_statement : Prop := forall a b, a + b = b + a.
"""
PROOFS = """
From SortNet Require Import Statements.
Theorem neutral : neutral_statement.
Proof. intros n. induction n; simpl; auto. Qed.
Theorem commutes : commutes_statement.
Proof. intros a b. induction a; simpl; [rewrite neutral; auto|rewrite IHa; auto]. Qed.
"""
MAIN = """
From SortNet Require Import Statements Proofs.
Check (neutral : neutral_statement).
Check (commutes : commutes_statement).
Definition all_theorems := (neutral, commutes).
Print Assumptions all_theorems.
"""


def check_chain(tmp_path: Path, statements: str, proofs: str, main: str) -> list[ProofRow]:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "_CoqProject").write_text("-Q . SortNet\nStatements.v\nProofs.v\nMain.v\n")
    for name, text in (("Statements", statements), ("Proofs", proofs), ("Main", main)):
        (sources / f"{name}.v").write_text(text)
    return check_proofs(tmp_path / "work", sources=sources)


@needs_coq
def test_a_sound_chain_passes(tmp_path: Path) -> None:
    # words that are forbidden in proofs are harmless in comments, nested ones too
    proofs = PROOFS + "(* not Admitted (* no Axiom *) admit *)"
    rows = check_chain(tmp_path, STATEMENTS, proofs, MAIN)
    assert [(row.theorem, row.statement, row.file) for row in rows] == [
        ("neutral", "Zero is neutral.", "Proofs.v"),
        ("commutes", "Addition commutes.", "Proofs.v"),
    ]
    assert all(row.passed and row.assumptions == () and not row.problem for row in rows)


BROKEN = {
    "open proof": (PROOFS.replace("auto]. Qed.", "auto]. Admitted."), MAIN, "'Admitted'"),
    "axiom": (PROOFS + "Axiom absurd : False.", MAIN, "'Axiom'"),
    # a Variable outside a section is an axiom by another name: only the assumptions show it
    "variable": (
        PROOFS.replace(
            "Theorem commutes", "Variable c : commutes_statement.\nTheorem commutes"
        ).replace(
            "intros a b. induction a; simpl; [rewrite neutral; auto|rewrite IHa; auto]", "exact c"
        ),
        MAIN,
        "axioms beyond those of the real numbers: Proofs.c",
    ),
    "kernel check off": ("Unset Guard Checking.\n" + PROOFS, MAIN, "'Unset'"),
    "failing proof": (PROOFS.replace("induction a;", ""), MAIN, "does not compile"),
    "unchecked": (PROOFS, MAIN.replace("Check (commutes", "Check (neutral", 1), "does not compile"),
    "not printed": (PROOFS, MAIN.replace("Print Assumptions", "Check"), "does not print"),
}


@needs_coq
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_chain_is_refused(tmp_path: Path, case: str) -> None:
    proofs, main, problem = BROKEN[case]
    rows = check_chain(tmp_path, STATEMENTS, proofs, main)
    assert len(rows) == 2
    for row in rows:
        assert not row.passed
        assert problem in row.problem


@needs_coq
@pytest.mark.parametrize(
    "main",
    [
        MAIN.replace("Check (commutes : commutes_statement).\n", ""),
        MAIN.replace("(neutral, commutes)", "(neutral)"),
    ],
    ids=["not checked", "not audited"],
)
def test_a_statement_left_out_of_the_audit_is_refused(tmp_path: Path, main: str) -> None:
    neutral, commutes = check_chain(tmp_path, STATEMENTS, PROOFS, main)
    assert neutral.passed
    assert not commutes.passed
    assert commutes.problem == "commutes_statement has no proof checked in Main.v"


# Weakened hypotheses and tightened bounds: none of the proofs may survive them.
MUTATIONS = {
    "row sum 1.01": ("Definitions.v", "/\\ layer_norm l 1", "/\\ layer_norm l (101 / 100)"),
    "2-Lipschitz activation": ("Definitions.v", "<= K * Rabs (s - t)", "<= 2 * K * Rabs (s - t)"),
    "pairing not injective": ("Definitions.v", "p i = p i' -> i = i'", "p i = p i' -> True"),
    "step of 2": ("Definitions.v", "Rabs (y i (p i) - x i (p i)) <= 1", "{} + 1"),
    "tighter 3.5": ("Statements.v", "r -> r <= 1 / (2 * INR d).", "r -> r <= 1 / (3 * INR d)."),
    "tighter 3.6": ("Statements.v", "1 / 2 - 1 / (2 * INR d) <=", "1 / 2 - 1 / (3 * INR d) <="),
    "larger radius": ("Statements.v", "dist d x x' < margin / (2 * L)", "dist d x x' < margin / L"),
    "no negation": ("Definitions.v", "(s = 1 \\/ s = -1)", "s = 1"),
    "fewer circuits": ("Statements.v", "(length L = (2 * d + 2)", "(length L = (2 * d + 1)"),
    "linear depth": ("Statements.v", "INR (M d) <= a * INR d", "INR (M d) <= (2 + a) * INR d"),
    "far from g": ("Statements.v", "eps < 1 / (2 * 4 ^ (d * (M + 1)))", "eps <= 1 / 2"),
    "larger miss": ("Statements.v", "1 / (2 * 4 ^ (d * (M + 1))) <=", "1 <="),
    "no flat pieces": ("Statements.v", "(c = -1 \\/ c = 0 \\/ c = 1)", "(c = -1 \\/ c = 1)"),
    "tighter McShane": ("Statements.v", "f x - 2 * eta <=", "f x - eta <="),
    "finer grid": ("Statements.v", "(k ^ d) c (1 / (2 *", "(k ^ d) c (1 / (3 *"),
    "no box": ("Statements.v", "Rabs (x j) <= r) ->", "True) ->"),
    "less rounding": ("Statements.v", "margin - 4 * E", "margin - 3 * E"),
}


@needs_coq
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", MUTATIONS)
def test_a_changed_theorem_loses_its_proof(tmp_path: Path, case: str) -> None:
    name, old, new = MUTATIONS[case]
    sources = tmp_path / "sources"
    shutil.copytree(SOURCES, sources)
    text = (sources / name).read_text()
    assert old in text
    (sources / name).write_text(text.replace(old, new.format(old), 1))
    rows = check_proofs(tmp_path / "work", sources=sources)
    assert not any(row.passed for row in rows)
    assert all("does not compile" in row.problem for row in rows)
