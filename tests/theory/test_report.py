"""The table of `sortnet theory`, its files and its errors."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from sortnet.cli import theory as cli
from sortnet.cli.theory import theory_command
from sortnet.theory.objects.results import Check, Evidence, Refuted, Result
from sortnet.theory.report import coq_check, plots, registry
from sortnet.theory.report import rows as report
from sortnet.theory.search import trained as search
from sortnet.theory.theorems import boolean_impossibility


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(tmp_path_factory.mktemp("hypothesis")))


def invoke(*arguments: str):
    return CliRunner().invoke(theory_command, list(arguments))


@pytest.fixture
def no_coq(monkeypatch):
    def missing():
        raise coq_check.CoqMissing("the proofs need coqc")

    monkeypatch.setattr(report, "check_proofs", missing)


def proof(theorem: str, passed: bool = True) -> coq_check.ProofRow:
    return coq_check.ProofRow(theorem, f"statement of {theorem}", "Mass.v", (), 0.5, passed)


def result_with(check, coq: tuple[str, ...] = ()) -> Result:
    return Result("toy", "a toy statement", (Check("a toy check", "exact", check),), coq)


def found(thorough: bool) -> Evidence:
    return Evidence("exact", "two cases", 2)


def refuted(thorough: bool) -> Evidence:
    raise Refuted("here is a counterexample")


def unavailable(thorough: bool) -> Evidence:
    raise ModuleNotFoundError("no module", name="hypothesis")


def test_rows_say_how_each_thing_is_known(monkeypatch):
    proofs = [proof("first"), proof("second", passed=False)]
    monkeypatch.setattr(report, "check_proofs", lambda: proofs)
    rows = list(report.run([result_with(found, ("first", "second", "third"))]))
    assert [row.known_by for row in rows] == [*["proved in Coq"] * 3, "exact on 2 networks"]
    assert [row.passed for row in rows] == [True, False, False, True]
    assert rows[0].statement == "statement of first"


def test_what_cannot_run_is_neither_passed_nor_failed(no_coq):
    rows = list(report.run([result_with(unavailable, ("first",))]))
    assert [row.known_by for row in rows] == [
        "not run: coqc missing",
        "not run: hypothesis missing",
    ]
    assert [row.passed for row in rows] == [None, None]


def test_a_refuted_row_carries_its_counterexample():
    (row,) = report.run([result_with(refuted)])
    assert row.passed is False
    assert row.problem == "here is a counterexample"


def test_every_coq_theorem_belongs_to_a_result():
    statements = (coq_check.SOURCES / "Statements.v").read_text()
    named = [t for result in registry.results() for t in result.coq]
    assert len(set(named)) == len(named)
    for theorem in named:
        assert f"Definition {theorem}_statement" in statements


def test_json_rows(no_coq, tmp_path):
    target = tmp_path / "rows.json"
    result = invoke("--only", "McShane", "--json", str(target))
    assert result.exit_code == 0, result.output
    rows = json.loads(target.read_text())
    keys = {"result", "statement", "known_by", "range", "seconds", "passed"}
    assert rows and all(set(row) == keys and row["passed"] for row in rows)
    assert {row["known_by"] for row in rows} == {"exact on 12 networks", "sampled"}
    assert [p.name for p in tmp_path.iterdir()] == ["rows.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "3.7"], "no result is called '3.7'"),
        (
            ["--only", "McShane", "--json", "no/such/folder/rows.json"],
            "folder no/such/folder does not exist",
        ),
        (["--plots", "file/figures"], "file is not a folder"),
        (["--plots", "link"], "it is a link to nowhere"),
        (["--only", "McShane", "--plots", "figures"], "McShane has no figure; these have: 3.5, "),
        (["--json", "rows.json", "check", "run"], "--json before 'check' has no effect"),
        (["--thorough", "check", "run"], "--thorough before 'check' has no effect"),
        (["check", "run", "--base", "random", "--k", "2"], "--k chooses among the cyclic points"),
        (["--only", "3.5", "check", "run"], "--only before 'check' has no effect"),
        (["--plots", "figures", "check", "run"], "--plots before 'check' has no effect"),
        (
            ["check", "run", "--json", "no/such/folder/mass.json"],
            "folder no/such/folder does not exist",
        ),
    ],
)
def test_bad_input_is_one_line_before_any_work(arguments, message, monkeypatch, tmp_path):
    def never(*args, **options):
        raise AssertionError("the work has begun")

    monkeypatch.setattr(report, "run", never)
    monkeypatch.setattr("sortnet.theory.report.model_check.check_model", never)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    result = invoke(*arguments)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "link"}
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.startswith("Error: ") and len(result.output.splitlines()) == 1


def test_a_failed_check_is_an_exit_code(monkeypatch):
    monkeypatch.setattr(cli, "select", lambda only: (result_with(refuted),))
    result = invoke()
    assert result.exit_code == 1
    assert "here is a counterexample" in result.output
    assert "1 of 1 checks failed" in result.output


def test_counterexamples_are_not_read_as_markup(monkeypatch):
    def bracketed(thorough: bool) -> Evidence:
        return Evidence("exhaustive", "on [0,1]^d and [bold]")

    monkeypatch.setattr(cli, "select", lambda only: (result_with(bracketed),))
    assert "on [0,1]^d and [bold]" in invoke().output


@pytest.mark.parametrize(
    ("number", "names"),
    [
        ("3.5", ["radius.png"]),
        ("3.6", ["error.png"]),
        ("3.9", ["radius.png", "error.png"]),
        ("3.10", ["depth.png"]),
    ],
)
def test_only_the_figures_of_what_is_checked_are_drawn(number, names, monkeypatch, tmp_path):
    drawn = []

    def write(chosen, folder, *, thorough):
        drawn.extend(plot.name for plot in chosen)
        return []

    monkeypatch.setattr(plots, "write", write)
    monkeypatch.setattr(report, "run", lambda *args, **options: [])
    assert invoke("--only", number, "--plots", str(tmp_path)).exit_code == 0
    assert drawn == names
    everything = [plot.name for plot in plots.PLOTS]
    assert [p.name for p in plots.plots_of(r.number for r in registry.results())] == everything


def test_figures(monkeypatch, tmp_path):
    trained = tuple(
        search.Found(shape, d, 1, boolean_impossibility.threshold_example(d, 1), 1 / (2 * d))
        for d in search.DIMENSIONS
        for shape in search.shapes(False)
    )
    for name in ("radii", "errors"):
        monkeypatch.setattr(
            search, name, lambda family, thorough: [f for f in trained if f.shape.family == family]
        )
    files = plots.write(plots.PLOTS, tmp_path / "figures")
    assert [f.name for f in files] == ["radius.png", "error.png", "depth.png"]
    assert all(f.read_bytes().startswith(b"\x89PNG") for f in files)
    assert len(list((tmp_path / "figures").iterdir())) == 3


def test_import_is_light():
    code = (
        "import sys, sortnet.theory, sortnet.cli.theory;"
        "from sortnet.theory.report import registry; registry.results();"
        "heavy = {'torch', 'hypothesis', 'sympy', 'matplotlib', 'numpy'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_is_left_in_the_folder_of_the_user(tmp_path):
    code = "from sortnet.cli.theory import theory_command as t; t(['--only', 'McShane'])"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("HYPOTHESIS_STORAGE_DIRECTORY", None)
    work = tmp_path / "work"
    work.mkdir()
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=work, env=environment, capture_output=True
    )
    assert list(work.iterdir()) == []


@pytest.mark.slow
def test_the_whole_report_passes(tmp_path):
    result = invoke("--json", str(tmp_path / "rows.json"), "--plots", str(tmp_path / "figures"))
    assert result.exit_code == 0, result.output
