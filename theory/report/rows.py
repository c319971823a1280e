"""Run the checks and say, row by row, what was found and how it is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from sortnet.base import files

from ..objects.results import Check, Refuted, Result
from .coq_check import CoqMissing, ProofRow, check_proofs

PROVED = "proved in Coq"


@dataclass(frozen=True)
class Row:
    """One line of the report.

    Args:
        result: number or name of the result.
        statement: what this row is about, as it was proved or checked.
        known_by: "proved in Coq", "exhaustive", "exact on N networks" or "sampled"; or
            "not run: ..." with what is missing.
        range: the cases it covers.
        seconds: wall-clock time; the proofs of one Coq file share that file's.
        passed: None where it was not run.
        problem: the counterexample or error, empty if passed.
    """

    result: str
    statement: str
    known_by: str
    range: str
    seconds: float
    passed: bool | None
    problem: str = ""


def run(
    chosen: Iterable[Result],
    *,
    thorough: bool = False,
    announce: Callable[[str], None] = lambda text: None,
) -> Iterator[Row]:
    """The rows of ``chosen`` in order, as they are found; Coq compiles beside the first checks.

    Args:
        chosen: from :func:`.registry.select`.
        thorough: more and larger cases.
        announce: told what is about to run.
    """
    chosen = list(chosen)
    with ThreadPoolExecutor(1) as pool:
        proofs = pool.submit(_proofs) if any(result.coq for result in chosen) else None
        proved: list[tuple[int, Row]] = []
        checked: list[tuple[int, Row]] = []
        for i, result in enumerate(chosen):
            for check in result.checks:
                announce(f"{result.number}: {check.name}")
                checked.append((i, _checked(result, check, thorough)))
        if proofs is not None:
            announce("Coq proofs")
            for i, result in enumerate(chosen):
                proved.extend((i, row) for row in _proved(result, proofs))
    for _, row in sorted(proved + checked, key=lambda pair: pair[0]):
        yield row


def _proofs() -> dict[str, ProofRow] | CoqMissing:
    try:
        return {row.theorem: row for row in check_proofs()}
    except CoqMissing as missing:
        return missing


def _proved(result: Result, proofs: Future[dict[str, ProofRow] | CoqMissing]) -> Iterator[Row]:
    found = proofs.result()
    for theorem in result.coq:
        if isinstance(found, CoqMissing):
            known_by, reach = "not run: coqc missing", f"theorem {theorem}"
            yield Row(result.number, result.statement, known_by, reach, 0.0, None, str(found))
        elif theorem not in found:
            problem = f"Statements.v has no {theorem}_statement"
            yield Row(result.number, result.statement, PROVED, "", 0.0, False, problem)
        else:
            row = found[theorem]
            reach = f"all cases; theorem {theorem}"
            yield Row(
                result.number, row.statement, PROVED, reach, row.seconds, row.passed, row.problem
            )


def _checked(result: Result, check: Check, thorough: bool) -> Row:
    start = time.perf_counter()
    try:
        evidence = check.run(thorough)
    except Refuted as refuted:
        spent = time.perf_counter() - start
        return Row(result.number, check.name, check.kind, "", spent, False, str(refuted))
    except ModuleNotFoundError as missing:
        known_by = f"not run: {missing.name} missing"
        return Row(result.number, check.name, known_by, "", 0.0, None, str(missing))
    spent = time.perf_counter() - start
    return Row(result.number, check.name, evidence.known_by, evidence.range, spent, True)


def write_json(rows: Iterable[Row], path: str | Path) -> None:
    """The rows as a JSON list of {"result", "statement", "known_by", "range", "seconds", "passed"}.

    "passed" is null where a check was not run. The file is written whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    document = [{k: v for k, v in asdict(row).items() if k != "problem"} for row in rows]
    files.write_json(Path(path), document)
