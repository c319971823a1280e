"""The checker that is extracted from the Coq proofs: where it is, how it is built, what it says.

It is a program of its own that reads the file's bytes and shares no code with `verify`; what it
accepts is a theorem (docs/coq.md). Nothing here decides anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

NAME = "sortnet-checker"
HOME = Path(__file__).parents[1] / "checker"
"""Its sources, beside this package; a built checker is looked for here first."""

NEEDED = {
    "coqc": "coq",
    "make": "make",
    "ocamlfind": "ocaml-findlib",
    "ocamlopt": "ocaml",
}
"""The programs that a build needs, and the Debian packages that bring them."""

LIBRARIES = {
    "Flocq": (
        "libcoq-flocq",
        ["coqtop", "-q", "-batch", "-require-import-from", "Flocq", "Core.Core"],
    ),
    "zarith": ("libzarith-ocaml-dev", ["ocamlfind", "query", "zarith"]),
}
"""The libraries, their Debian packages, and commands that fail where they are missing."""

TIMEOUT = 3600.0
"""Seconds after which a check counts as refused; the largest files take minutes."""


class CheckerMissing(RuntimeError):  # noqa: N818 - says what is missing, not what went wrong
    """There is no checker, or not what building one needs."""


@dataclass(frozen=True)
class Verdict:
    """What the checker says of a file.

    Attributes:
        accepted: whether the theorem holds for the file.
        lines: what it prints: the numbers that it derived, or why the file is refused.
    """

    accepted: bool
    lines: tuple[str, ...]


def find_checker() -> Path:
    """The checker beside the package, else the one on the PATH.

    Raises:
        CheckerMissing: there is none.
    """
    beside = HOME / NAME
    if os.access(beside, os.X_OK):
        return beside
    if (found := shutil.which(NAME)) is not None:
        return Path(found)
    raise CheckerMissing(f"no {NAME} beside the package or on the PATH: sortnet checker build")


def missing_tools() -> dict[str, str]:
    """What a build needs and this machine lacks: programs and libraries -> Debian packages."""
    missing = {tool: NEEDED[tool] for tool in NEEDED if shutil.which(tool) is None}
    for library, (package, probe) in LIBRARIES.items():
        # A missing program cannot be asked; its library is most likely missing too.
        if (
            shutil.which(probe[0]) is None
            or subprocess.run(probe, capture_output=True, stdin=subprocess.DEVNULL).returncode
        ):
            missing[library] = package
    return missing


def build_checker(output: str | os.PathLike[str] | None = None) -> Path:
    """Compile the proofs, extract the checker and compile it; takes some minutes.

    Args:
        output: where to put the program; beside the package by default.

    Raises:
        CheckerMissing: a tool or library that this needs is not installed; the message lists
            all of them, and Debian's packages.
        RuntimeError: the build failed, with the last line that it printed.
    """
    if missing := missing_tools():
        names, packages = ", ".join(missing), " ".join(missing.values())
        raise CheckerMissing(f"building needs {names} (Debian/Ubuntu: apt install {packages})")
    target = Path(HOME / NAME if output is None else output).absolute()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent} is not a folder")
    done = subprocess.run(
        ["sh", HOME / "build.sh", target], capture_output=True, encoding="utf-8", errors="replace"
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise RuntimeError(f"the checker could not be built: {last}")
    return target


def run_checker(
    path: str | os.PathLike[str], checker: Path | None = None, timeout: float = TIMEOUT
) -> Verdict:
    """Ask the checker about a file.

    Raises:
        CheckerMissing: there is none.
        RuntimeError: it ended in a way that is no verdict.
    """
    program = checker or find_checker()
    try:
        done = subprocess.run(
            [program, os.fspath(path)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return Verdict(False, (f"refused: no verdict within {timeout:g} seconds",))
    lines = tuple(done.stdout.splitlines())
    first = lines[0] if lines else ""
    if done.returncode == 0 and first == "accepted":
        return Verdict(True, lines)
    if done.returncode == 1 and first.startswith("refused: "):
        return Verdict(False, lines)
    said = " ".join(done.stderr.split()) or "nothing"
    raise RuntimeError(f"the checker ended with code {done.returncode} and said {said}")
