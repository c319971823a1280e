"""The checks of this repository, each in its own environment: `pip install nox && nox -s tests`."""

from __future__ import annotations

import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent / "tools"))
from targets import TARGETS, ZIG, find

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True
nox.needs_version = ">=2024.10.9"
ROOT = Path(__file__).parent


@nox.session
def lint(session: nox.Session) -> None:
    """Style of all Python code."""
    session.install("ruff~=0.17.0")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types of the package as it is installed: checkers do not follow an editable install."""
    session.install(".[test]")
    session.chdir(session.create_tmp())
    session.run("mypy", "--config-file", str(ROOT / "pyproject.toml"), "-p", "sortnet")


@nox.session
def tests(session: nox.Session) -> None:
    """The fast suite, or the pytest arguments given after --."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Lines and branches of the Python code that the fast suite runs, without native code."""
    session.install("-e", ".[test]", "coverage[toml]>=7.10", "pytest-cov>=6")
    session.run("pytest", "--cov", "--cov-report=term", "--cov-report=html", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """The fast suite with the lowest versions that pyproject.toml declares."""
    floors = session.run("python", str(ROOT / "tools" / "lowest.py"), silent=True)
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text(str(floors), encoding="utf-8")
    session.install("-c", str(constraints), ".[test]")
    session.run("pytest", *session.posargs, env={"SORTNET_LOWEST": "1"})


@nox.session
def slow(session: nox.Session) -> None:
    """Long searches, fuzzing, other platforms."""
    session.install("-e", ".[test]")
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site, strictly: a dead link is an error; then its page in Chromium.

    The page needs npm, for ONNX Runtime's WebAssembly build; its tests Chromium and ChromeDriver.
    """
    session.install("-e", ".[train,onnxruntime,docs]", "pytest>=8", "pytest-timeout", "hypothesis")
    session.run("python", "tools/site_assets.py")
    session.run("mkdocs", "build", "--strict")
    session.run("pytest", "tests/site", "-m", "slow", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """Wheels of all platforms, or of those named after --, in dist/; inspected, run where possible.

    Every platform is compiled here, by Zig's clang. Running needs Debian's qemu-user,
    libc6-arm64-cross, libstdc++6-arm64-cross, musl and wine; what is missing is skipped by name.
    """
    session.install(
        *("auditwheel", "build", "capstone", "cmake", "lief", "ninja", "scikit-build-core>=0.12"),
        ZIG,
        *("hypothesis", "numpy", "onnx", "onnxruntime", "protobuf", "click", "rich"),
        *("pytest>=8", "pytest-timeout"),
    )
    names = session.posargs or list(TARGETS)
    for name in names:
        find(name)
    for name in names:
        for old in (ROOT / "dist").glob(f"*{TARGETS[name].tags[0]}*.whl"):
            old.unlink()
        session.run(
            *("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"),
            f"-Cbuild-dir=build/{name}",
            env={"SORTNET_TARGET": name},
        )
        session.run(
            *("cmake", "--build", f"build/{name}", "--target"),
            *("sortnet_suite", "sortnet_record", "sortnet_host"),
        )
    session.install(
        "--no-deps", "--force-reinstall", "--no-index", "--find-links", "dist", "sortnet"
    )
    session.run("pytest", "-m", "slow or not slow", "tests/platforms")
