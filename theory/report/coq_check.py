"""Check the Coq proofs that ship with the package, and the axioms they rest on.

The proofs hold for every dimension, depth, width, weights and 1-Lipschitz activation. Each
``X_statement`` of ``coq/Statements.v`` is proved as the theorem ``X``; ``coq/Main.v`` checks the
match and prints the axioms. Nothing is trusted here but ``coqc`` itself: the files are compiled
from source every time, in a directory of their own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "coq"

#: The theorems over the reals, and those about floating point and the bytes of a file.
REALS = "_CoqProject"
FLOAT = "_CoqProject_float"

#: The axioms of Coq's real numbers (Coq.Reals); a proof may use these and no others.
REAL_AXIOMS = frozenset(
    {
        "ClassicalDedekindReals.sig_forall_dec",
        "ClassicalDedekindReals.sig_not_dec",
        "FunctionalExtensionality.functional_extensionality_dep",
    }
)

#: Flocq and the standard library's analysis (exp, ln, mean values) also use the excluded middle.
FLOAT_AXIOMS = REAL_AXIOMS | {"Classical_Prop.classic"}

# Commands that leave a proof open or switch a check of the kernel off.
_FORBIDDEN = re.compile(
    r"\b(Admitted|admit|give_up|Axioms?|Conjecture|Parameters?|Unset|bypass_check|Declare|Primitive)\b"
)
_STATEMENT = re.compile(r"^Definition\s+(\w+)_statement\b", re.MULTILINE)
_COMMENT = re.compile(r"\(\*\*((?:(?!\*\)).)*)\*\)\s*Definition\s+(\w+)_statement\b", re.DOTALL)
_THEOREM = re.compile(r"^Theorem\s+(\w+)\s*:\s*(\w+)_statement\s*\.", re.MULTILINE)
_CHECKED = re.compile(r"^(\w+) : (\w+)_statement$", re.MULTILINE)


class CoqMissing(RuntimeError):  # noqa: N818 - says what is missing, not what went wrong
    """``coqc`` is not on the PATH."""


@dataclass(frozen=True)
class ProofRow:
    """One theorem and what the checker found.

    Attributes:
        theorem: name in Coq, e.g. ``"mass_lemma"``.
        statement: the statement in words, as written above it in ``Statements.v``.
        file: the source that holds the proof, e.g. ``"Mass.v"``; empty if there is none.
        assumptions: axioms used, sorted. They are read once, for all theorems together, so each
            row shows the union: no theorem uses more.
        seconds: wall-clock time ``coqc`` took on ``file``, shared by the theorems of that file.
        passed: the whole chain compiled, the theorem proves its statement, no source leaves a
            proof open and no axiom is used beyond ``REAL_AXIOMS`` (``FLOAT_AXIOMS`` for ``FLOAT``).
        problem: why not; empty when passed.
    """

    theorem: str
    statement: str
    file: str
    assumptions: tuple[str, ...]
    seconds: float
    passed: bool
    problem: str = ""


def check_proofs(
    workdir: str | Path | None = None, *, sources: Path = SOURCES, project: str = REALS
) -> list[ProofRow]:
    """Compile every proof and return one row for each statement, in the order of ``Statements.v``.

    Args:
        workdir: directory to compile in (created if missing, files are overwritten); a temporary
            directory by default.
        sources: directory of the ``.v`` files.
        project: the list of those that are compiled, in order. The statements are those of the last
            ``Statements.v`` in it, and the last file audits them.

    Raises:
        CoqMissing: ``coqc`` is not installed.
    """
    coqc = shutil.which("coqc")
    if coqc is None:
        raise CoqMissing("the proofs need coqc (Coq 8.16 or later; Debian/Ubuntu: apt install coq)")
    if workdir is None:
        with tempfile.TemporaryDirectory(prefix="sortnet-coq-") as temporary:
            return _check(coqc, sources, project, Path(temporary))
    target = Path(workdir)
    target.mkdir(parents=True, exist_ok=True)
    return _check(coqc, sources, project, target)


def _check(coqc: str, sources: Path, project: str, workdir: Path) -> list[ProofRow]:
    order = [
        line
        for line in (sources / project).read_text(encoding="utf-8").split("\n")
        if line.endswith(".v")
    ]
    statements = [name for name in order if Path(name).name == "Statements.v"][-1]
    seconds: dict[str, float] = {}
    text: dict[str, str] = {}
    problem = ""
    output = ""
    for name in order:
        source = (sources / name).read_text(encoding="utf-8")
        (workdir / name).parent.mkdir(exist_ok=True)
        (workdir / name).write_text(source, encoding="utf-8")
        text[name] = _without_comments(source)
        if found := _FORBIDDEN.search(text[name]):
            problem = problem or f"{name} contains {found.group()!r}"
    for name in order:
        start = time.perf_counter()
        done = subprocess.run(
            [coqc, "-q", "-Q", ".", "SortNet", name],
            cwd=workdir,
            capture_output=True,
            encoding="utf-8",
        )
        seconds[name] = time.perf_counter() - start
        if done.returncode != 0:
            problem = problem or f"{name} does not compile: {' '.join(done.stderr.split())[:400]}"
            break
        output = done.stdout  # of the last file, Main.v

    allowed = FLOAT_AXIOMS if project == FLOAT else REAL_AXIOMS
    assumptions = _assumptions(output)
    if not problem and assumptions is None:
        problem = f"{order[-1]} does not print its assumptions"
    if not problem and (extra := sorted(set(assumptions or ()) - allowed)):
        problem = "axioms beyond those of the real numbers: " + ", ".join(extra)

    proved_in = {
        theorem: name
        for name in order
        for theorem, statement in _THEOREM.findall(text[name])
        if theorem == statement
    }
    checked = {theorem for theorem, statement in _CHECKED.findall(output) if theorem == statement}
    audited = set(re.findall(r"\w+", _audit_list(text[order[-1]])))
    words = {
        theorem: " ".join(comment.split())
        for comment, theorem in _COMMENT.findall((workdir / statements).read_text(encoding="utf-8"))
    }
    rows = []
    for theorem in _STATEMENT.findall(text[statements]):
        why = problem
        if not why and not (theorem in proved_in and theorem in checked and theorem in audited):
            why = f"{theorem}_statement has no proof checked in {order[-1]}"
        rows.append(
            ProofRow(
                theorem=theorem,
                statement=words.get(theorem, ""),
                file=proved_in.get(theorem, ""),
                assumptions=tuple(assumptions or ()),
                seconds=seconds.get(proved_in.get(theorem, ""), 0.0),
                passed=not why,
                problem=why,
            )
        )
    return rows


def _assumptions(output: str) -> list[str] | None:
    """Names listed by ``Print Assumptions`` at the end of the output; None if there is no list.

    Types are indented or follow a colon. Any other heading Coq prints (an unsafe flag, a section
    variable) is returned as a name too, so that it is refused as an unknown axiom.
    """
    if "Closed under the global context" in output:
        return []
    _, found, listing = output.partition("\nAxioms:\n")
    if not found:
        return None
    return sorted(
        line.split(" :")[0].strip() for line in listing.split("\n") if line and line[0] != " "
    )


def _audit_list(main: str) -> str:
    """The theorems whose assumptions are printed: the tuple ``all_theorems``."""
    found = re.search(
        r"Definition all_theorems :=\s*\(([\w\s,]*)\)\.\s*Print Assumptions all_theorems\.", main
    )
    return found.group(1) if found else ""


def _without_comments(source: str) -> str:
    """Coq source with its (nested) comments removed."""
    kept = []
    depth = 0
    for part in re.split(r"(\(\*|\*\))", source):
        if part == "(*":
            depth += 1
        elif part == "*)":
            depth -= 1
        elif depth == 0:
            kept.append(part)
    return "".join(kept)
