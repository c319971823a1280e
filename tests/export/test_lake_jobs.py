"""Jobs over lakes on this machine: every row once, whatever is interrupted, damaged or full."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from lakes import (
    EPS,
    check_all,
    damage,
    pixels,
    results,
    table,
    write_lake,
    write_model,
    write_named_model,
)
from pyarrow import parquet

from sortnet.base.intervals import wilson
from sortnet.cli.main import cli
from sortnet.export import BatchCertifier
from sortnet.export.lake import local
from sortnet.export.lake.job import certify_lake
from sortnet.export.lake.plan import DifferentJobError, make_plan, record
from sortnet.export.lake.worker import JobError, Worker

X = pixels(300)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "m.onnx")


@pytest.fixture(scope="module")
def certifier(model: Path) -> BatchCertifier:
    return BatchCertifier(model, EPS)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["certify", *map(str, arguments)])


def visible(out: Path) -> list[str]:
    return sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())


def test_a_command_from_lake_to_summary(model: Path, tmp_path: Path) -> None:
    lake, out = write_lake(tmp_path / "lake", X, 3, 40), tmp_path / "out"
    arguments = [model, "--data", f"parquet:{lake}", "--out", out]
    arguments += ["--eps", EPS[0], "--eps", EPS[1], "--json", tmp_path / "s.json"]
    done = call(*arguments, "--workers", 1)
    assert done.exit_code == 0, done.output
    check_all(out, model, X)
    summary = json.loads((out / "_summary.json").read_text())
    assert summary == json.loads((tmp_path / "s.json").read_text())
    found = results(out)
    right = found["label"].to_numpy() == found["y"].to_numpy()
    assert summary["rows"] == summary["labelled"] == 300 and summary["row_groups"] == 9
    assert summary["accuracy"]["count"] == right.sum()
    for eps in EPS:
        flags = found[f"certified@{eps}"].to_numpy()
        assert summary["eps"][eps]["certified"]["count"] == flags.sum()
        both = summary["eps"][eps]["certified_accuracy"]
        assert both["count"] == (flags & right).sum()
        assert both["interval"] == list(wilson(both["count"] / 300, 300))
    assert summary["failed"] == {} and summary["errors"] == []
    places = list(zip(found["file"].to_pylist(), found["row"].to_pylist(), strict=True))
    assert ("day=1/001.parquet", 99) in places and len(set(places)) == 300
    # Again: nothing is done twice.
    before = {name: (out / name).stat().st_mtime_ns for name in visible(out) if "day" in name}
    assert call(*arguments).exit_code == 0
    assert before == {
        name: (out / name).stat().st_mtime_ns for name in visible(out) if "day" in name
    }


def test_what_is_refused(model: Path, tmp_path: Path) -> None:
    lake, out = write_lake(tmp_path / "lake", X[:30], 1, 10), tmp_path / "out"
    base = [model, "--data", f"parquet:{lake}", "--eps", "0.1"]
    for more, words in (
        (["--engine", "spark"], "--engine is for lakes: add --out DIR"),
        (["--strict"], "--strict is for lakes"),
        (["--out", out, "--limit", 3], "--limit has no meaning with --out"),
        (["--out", out, "--pgd-steps", 3], "--pgd-steps has no meaning with --out"),
        (["--out", lake / "in"], "lies in the lake"),
        (["--out", out, "--engine", "dask"], "'dask' is not one of"),
    ):
        done = call(*base, *more)
        assert done.exit_code != 0 and words in done.output, done.output
        assert not out.exists()
    done = call(model, "--data", "digits", "--eps", "0.1", "--out", out)
    assert "--out is for --data parquet:DIR" in done.output and done.exit_code == 2
    out.mkdir()
    (out / "thesis.tex").write_text("")
    done = call(*base, "--out", out)
    assert "is not empty, and holds no _sortnet.json" in done.output and done.exit_code == 1
    assert visible(out) == ["thesis.tex"]


def test_another_job_is_refused_with_both_values(certifier: BatchCertifier, tmp_path: Path) -> None:
    lake, out = write_lake(tmp_path / "lake", X[:30], 2, 10), tmp_path / "out"
    certify_lake(certifier, lake, out)
    names = visible(out)
    other = write_model(tmp_path / "other.onnx", seed=9)
    for changed, words in (
        (BatchCertifier(certifier.path, EPS[:1]), r'eps was \["1/100", "0.2"\], is \["1/100"\]'),
        (BatchCertifier(certifier.path, EPS, levels=16), "levels was 255, is 16"),
        (BatchCertifier(other, EPS), f'model_sha256 was "{certifier.sha256}", is "'),
    ):
        with pytest.raises(DifferentJobError, match=words):
            certify_lake(changed, lake, out)
    with pytest.raises(DifferentJobError, match='target was "y", is "z"'):
        certify_lake(certifier, lake, out, target="z")
    parquet.write_table(table(X[:7]), lake / "day=0" / "more.parquet")
    with pytest.raises(DifferentJobError, match=r"day=0/more\.parquet was not there, is now"):
        certify_lake(certifier, lake, out)
    (lake / "day=0" / "more.parquet").unlink()
    first = lake / "day=0" / "000.parquet"
    parquet.write_table(table(X[40:53]), first)
    with pytest.raises(DifferentJobError, match=r"fingerprint of day=0/000\.parquet was \w+, is "):
        certify_lake(certifier, lake, out)
    first.unlink()
    with pytest.raises(DifferentJobError, match=r"day=0/000\.parquet was there, is gone"):
        certify_lake(certifier, lake, out)
    assert visible(out) == names


def test_a_file_written_again_is_certified_again(certifier: BatchCertifier, tmp_path: Path) -> None:
    """Same size, same footer, other pixels: its time tells."""
    lake, out = tmp_path / "lake", tmp_path / "out"
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    write_lake(lake, X[:30], 1, 10, **options)
    certify_lake(certifier, lake, out)
    write_lake(lake, pixels(30, seed=8), 1, 10, **options)
    certify_lake(certifier, lake, out)
    check_all(out, Path(certifier.path), pixels(30, seed=8))


def test_rows_with_errors_stay_in_their_rows(
    certifier: BatchCertifier, model: Path, tmp_path: Path
) -> None:
    x = X[:100].astype(np.float32) / np.float32(255)
    x[13, 5], x[77, 0] = np.nan, 3
    rows = table(x)
    labels = rows["y"].to_pylist()
    labels[50], labels[51] = None, 7
    rows = rows.set_column(2, "y", pa.array(labels))
    (tmp_path / "lake").mkdir()
    parquet.write_table(rows, tmp_path / "lake" / "a.parquet", row_group_size=30)
    out = tmp_path / "out"
    arguments = [model, "--data", f"parquet:{tmp_path / 'lake'}", "--out", out, "--eps", "0.2"]
    done = call(*arguments)
    assert done.exit_code == 0, done.output
    assert "a.parquet: row 13: sample 13, feature 5: NaN" in done.output
    summary = json.loads((out / "_summary.json").read_text())
    assert summary["rows"] == 100 and summary["rows_with_errors"] == 4
    assert [error["row"] for error in summary["errors"]] == [13, 50, 51, 77]
    assert summary["labelled"] == 98
    found = results(out).to_pylist()
    assert [row["key"] for row in found] == [f"k{i}" for i in range(100)]
    for i, row in enumerate(found):
        assert (row["error"] is not None) == (i in (13, 50, 51, 77))
        assert (row["label"] == -1) == (i in (13, 77))
    assert found[13]["radius"] == 0 and not found[13]["certified@0.2"]
    assert "no truth: row 50" in found[50]["error"] and "unseen classes '7'" in found[51]["error"]
    strict = call(*arguments, "--strict")
    assert strict.exit_code == 1 and "4 rows have errors (--strict)" in strict.output


def test_a_lake_that_does_not_fit_is_refused_at_once(
    certifier: BatchCertifier, tmp_path: Path
) -> None:
    (tmp_path / "lake").mkdir()
    path = tmp_path / "lake" / "a.parquet"
    parquet.write_table(table(X.astype(np.float32)), path)
    with pytest.raises(ValueError, match=r"none of the first 256 rows can be certified: .*divide"):
        certify_lake(certifier, tmp_path / "lake", tmp_path / "out")
    parquet.write_table(pa.table({"z": [1, 2]}), path)
    with pytest.raises(ValueError, match="no column 'x'"):
        certify_lake(certifier, tmp_path / "lake", tmp_path / "other")


def test_damage_is_named_and_the_rest_goes_on(model: Path, tmp_path: Path) -> None:
    lake, out = write_lake(tmp_path / "lake", X, 3, 25, compression="gzip"), tmp_path / "out"
    whole = (lake / "day=1" / "001.parquet").read_bytes()
    damage(lake / "day=1" / "001.parquet", 2)
    last = lake / "day=0" / "002.parquet"
    last_bytes = last.read_bytes()
    last.write_bytes(last_bytes[:-9])
    arguments = [model, "--data", f"parquet:{lake}", "--out", out]
    arguments += ["--eps", EPS[0], "--eps", EPS[1]]
    done = call(*arguments)
    assert done.exit_code == 1
    assert "left out day=1/001.parquet, row group 2" in done.output
    assert "left out day=0/002.parquet: " in done.output
    check_all(out, model, X, frozenset([*range(150, 175), *range(200, 300)]))
    # Mended, the same command does the rest.
    (lake / "day=1" / "001.parquet").write_bytes(whole)
    last.write_bytes(last_bytes)
    done = call(*arguments)
    assert done.exit_code == 0, done.output
    check_all(out, model, X)


def test_no_space_leaves_nothing_half_written(
    certifier: BatchCertifier, model: Path, tmp_path: Path
) -> None:
    x = pixels(3000)
    lake, out = write_lake(tmp_path / "lake", x, 2, 500), tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(JobError, match=r"cannot write .*day=0/000\.parquet\.00000\.parquet: "):
            certify_lake(certifier, lake, out, workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert visible(out) == ["_sortnet.json"]
    certify_lake(certifier, lake, out, workers=1)
    check_all(out, model, x)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_process_is_named_and_the_job_goes_on(model: Path, tmp_path: Path) -> None:
    x = pixels(4000)
    lake, out = write_lake(tmp_path / "lake", x, 2, 20), tmp_path / "out"
    command = [sys.executable, "-m", "sortnet", "certify", str(model), "--data", f"parquet:{lake}"]
    command += ["--out", str(out), "--eps", EPS[0], "--eps", EPS[1], "--workers", "2"]
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while len(list(out.rglob("*.parquet"))) < 5 and job.poll() is None:
        time.sleep(0.01)
    spawned = [
        int(pid)
        for pid in Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(spawned[0], signal.SIGKILL)
    _, errors = job.communicate(timeout=120)
    assert job.returncode == 1 and "a worker process died" in errors
    assert 5 <= len(list(out.rglob("day*/*.parquet"))) < 200
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    check_all(out, model, x)


@given(
    groups=st.lists(st.lists(st.integers(0, 4), max_size=4), min_size=1, max_size=4),
    stops=st.lists(st.integers(0, 6), max_size=4),
    again=st.booleans(),
)
def test_rows_and_resumption_against_a_plain_list(
    groups: list[list[int]], stops: list[int], again: bool, certifier: BatchCertifier
) -> None:
    """Files of any row groups, jobs that stop anywhere: each row once, in its group's file."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        lake, out = Path(folder, "lake"), Path(folder, "out")
        lake.mkdir()
        expected, first = [], 0
        for number, sizes in enumerate(groups):
            rows = table(pixels(sum(sizes)), first)
            with parquet.ParquetWriter(lake / f"{number}.parquet", rows.schema) as writer:
                start = 0
                for size in sizes:
                    writer.write_table(rows.slice(start, size), row_group_size=max(size, 1))
                    start += size
            expected += [(f"{number}.parquet", row, f"k{first + row}") for row in range(start)]
            first += start
        job = {"eps": list(certifier.eps)}
        worker = Worker(certifier)
        left = None
        for stop in stops:  # interrupted after so many row groups
            plan = make_plan(lake, out, job)
            record(plan)
            todo = [pair for pair in enumerate(plan.tasks) if pair[1].done() is None]
            assert left is None or len(todo) == left
            for pair in todo[:stop]:
                outcome = worker(*pair)
                assert not outcome.failed and not outcome.fatal
            left = len(todo) - min(stop, len(todo))
        plan = make_plan(lake, out, job)
        record(plan)
        for pair in enumerate(plan.tasks):
            for _ in range(1 + again):  # what is tried again is not done again
                assert not worker(*pair).failed
        counted = [task.done() for task in plan.tasks]
        assert all(count is not None for count in counted)
        assert sum(count["rows"] for count in counted if count) == len(expected)
        found = []
        for path in sorted(out.glob("*.parquet")):
            for row in parquet.read_table(path).to_pylist():
                found.append((row["file"], row["row"], row["key"]))
        assert sorted(found) == sorted(expected)


def test_no_more_processes_than_cores_or_tasks(
    certifier: BatchCertifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Pool:
        def __init__(self, count: int, **_: object) -> None:
            asked.append(count)
            raise KeyboardInterrupt

    monkeypatch.setattr(local, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(local, "cores", lambda: 8)
    for threads, workers, tasks in ((1, None, 99), (2, None, 99), (1, 3, 99), (1, None, 5)):
        one = BatchCertifier(certifier.path, EPS, threads)
        with pytest.raises(KeyboardInterrupt):
            list(local.run_local(Worker(one), [(i, None) for i in range(tasks)], workers))  # type: ignore[misc]
    assert asked == [8, 4, 3, 5]


def test_dark_integers_are_refused_until_levels_are_said(model: Path, tmp_path: Path) -> None:
    lake, out = write_lake(tmp_path / "lake", X % 17, 1, 100), tmp_path / "out"
    base = [model, "--data", f"parquet:{lake}", "--eps", EPS[0], "--eps", EPS[1]]
    for more in ([], ["--out", out, "--workers", 1]):
        done = call(*base, *more)
        assert done.exit_code == 1 and not out.exists()
        told = " ".join(done.output.split())
        assert "the largest pixel is 16: if that is white, pass levels=16 (--levels 16)" in told
        assert call(*base, *more, "--levels", 16).exit_code == 0
    expected = BatchCertifier(model, EPS, levels=16)(table(X % 17))
    assert results(out)["radius"].to_pylist() == expected["radius"].to_pylist()


def test_dark_row_groups_anywhere_are_left_out_until_levels_are_said(
    model: Path, tmp_path: Path
) -> None:
    """One of another scale than the rest is no black image; the first rows may be dark."""
    lake, out = tmp_path / "lake", tmp_path / "out"
    lake.mkdir()
    x = X.copy()
    x[:60], x[160:200], x[200:] = x[:60] % 17, x[160:200] % 2, x[200:] // 2
    x[80], x[0], x[260:280] = 200, 16, 0
    for number, part in enumerate((x[:200], x[200:])):
        rows = table(part, 200 * number)
        parquet.write_table(rows, lake / f"{number}.parquet", row_group_size=(100, 20)[number])
    base = [model, "--data", f"parquet:{lake}", "--eps", EPS[0], "--eps", EPS[1]]
    done = call(*base, "--out", out, "--workers", 1)
    told = " ".join(done.output.split())
    assert done.exit_code == 1 and "left out 1.parquet, row group 0: " in told
    assert "row group 0: the largest pixel is 127: if that is white, pass levels=127" in told
    kept = [i for i in range(300) if i < 200 or 260 <= i < 280]  # nothing but 0 is black anyhow
    assert sorted(int(key[1:]) for key in results(out)["key"].to_pylist()) == kept
    assert [*json.loads((out / "_summary.json").read_text())["failed"]] == [
        f"1.parquet, row group {i}" for i in (0, 1, 2, 4)
    ]
    for more in ([], ["--samples", tmp_path / "s.parquet"]):  # the same without --out
        done = call(*base, *more)
        assert done.exit_code == 1 and "1.parquet: row group 0: the largest" in " ".join(
            done.output.split()
        )
    # Said, it is the same job, which does the rest.
    before = {path: path.stat().st_mtime_ns for path in out.glob("0.*")}
    done = call(*base, "--out", out, "--levels", 255, "--workers", 1)
    assert done.exit_code == 0, done.output
    check_all(out, model, x)
    assert before == {path: path.stat().st_mtime_ns for path in out.glob("0.*")}
    done = call(*base, "--out", out, "--levels", 16)
    assert done.exit_code == 1 and "levels was 255, is 16" in " ".join(done.output.split())


@pytest.mark.parametrize("binary", [False, True])
def test_the_same_lake_without_a_folder_of_results(
    binary: bool, model: Path, tmp_path: Path
) -> None:
    from io import BytesIO

    from PIL import Image

    lake, rows = tmp_path / "lake", table(X[:50])
    if binary:
        files = []
        for x in X[:50]:
            Image.fromarray(x.reshape(3, 4)).save(file := BytesIO(), "PNG")
            files.append(file.getvalue())
        rows = rows.set_column(1, "x", pa.array(files, pa.binary()))
    lake.mkdir()
    parquet.write_table(rows, lake / "a.parquet")
    base = [model, "--data", f"parquet:{lake}", "--eps", EPS[1]]
    done = call(*base, "--samples", tmp_path / "s.parquet")
    assert done.exit_code == 0, done.output
    assert call(*base, "--out", tmp_path / "out").exit_code == 0
    whole, found = parquet.read_table(tmp_path / "s.parquet"), results(tmp_path / "out")
    assert whole["radius"].to_pylist() == found["radius"].to_pylist()


def test_features_are_neither_labels_nor_keys(tmp_path: Path) -> None:
    model, lake = write_named_model(tmp_path / "n.onnx"), tmp_path / "lake"
    lake.mkdir()
    rows = {"x1": [0.5, 0.25], "y": [0.0, 1.0], "key": [1.0, 0.0], "kind": [1, 0]}
    parquet.write_table(pa.table(rows), lake / "a.parquet")
    certifier = BatchCertifier(model, EPS)
    summary = certify_lake(certifier, lake, tmp_path / "out", workers=1)
    assert summary["rows"] == 2 and summary["labelled"] == summary["rows_with_errors"] == 0
    assert not {"y", "key"} & {*results(tmp_path / "out").column_names}
    for what, name in (("target", "y"), ("target", "x1"), ("key", "key"), ("key", "x1")):
        with pytest.raises(ValueError, match=f"the {what} '{name}' is an input of the network"):
            certify_lake(certifier, lake, tmp_path / "no", **{what: name})
    done = call(model, "--data", f"parquet:{lake}", "--eps", "0.1", "--out", tmp_path / "no",
                "--target", "y")  # fmt: skip
    assert done.exit_code == 1 and "is an input of the network" in done.output
    assert not (tmp_path / "no").exists()
    summary = certify_lake(certifier, lake, tmp_path / "kind", target="kind", key="kind")
    assert summary["labelled"] == 2


@pytest.mark.parametrize("name", ["x", "y", "key"])
def test_a_file_with_a_column_twice_is_left_out(
    name: str, certifier: BatchCertifier, tmp_path: Path
) -> None:
    lake, out = write_lake(tmp_path / "lake", X[:30], 3, 10), tmp_path / "out"

    def double(path: Path) -> None:
        one = parquet.read_table(path)
        both = [*one.columns, one[name]]
        parquet.write_table(pa.Table.from_arrays(both, [*one.column_names, name]), path)

    double(lake / "day=1" / "001.parquet")
    summary = certify_lake(certifier, lake, out, workers=1)
    assert summary["rows"] == 20 and [*summary["failed"]] == ["day=1/001.parquet, row group 0"]
    reason = summary["failed"]["day=1/001.parquet, row group 0"]
    assert f"001.parquet: two columns have the name '{name}'" in reason
    double(lake / "day=0" / "000.parquet")
    with pytest.raises(ValueError, match=f"000.parquet: two columns have the name '{name}'"):
        certify_lake(certifier, lake, tmp_path / "new", workers=1)
    assert not (tmp_path / "new").exists()


def test_two_jobs_that_begin_at_once(certifier: BatchCertifier, tmp_path: Path) -> None:
    lake, out = write_lake(tmp_path / "lake", X[:30], 2, 10), tmp_path / "out"
    out.mkdir()
    (out / "._sortnet.1234.json").write_text("")  # as of the first one, that is just writing
    same, again = (make_plan(lake, out, {"eps": ["1"]}) for _ in range(2))
    other = make_plan(lake, out, {"eps": ["2"]})
    record(same)
    written = (out / "_sortnet.json").read_bytes()
    record(again)
    with pytest.raises(DifferentJobError, match=r'eps was \["1"\], is \["2"\]'):
        record(other)
    assert (out / "_sortnet.json").read_bytes() == written
    assert visible(out) == ["._sortnet.1234.json", "_sortnet.json"]


def test_results_of_what_was_damaged_since_are_removed(
    certifier: BatchCertifier, tmp_path: Path
) -> None:
    lake, out = write_lake(tmp_path / "lake", X, 3, 25, compression="gzip"), tmp_path / "out"
    certify_lake(certifier, lake, out, workers=1)
    whole = {path: path.read_bytes() for path in lake.rglob("*.parquet")}
    damage(lake / "day=1" / "001.parquet", 2)
    (lake / "day=0" / "002.parquet").write_bytes(b"PAR1")
    summary = certify_lake(certifier, lake, out, workers=1)
    assert {*summary["failed"]} == {"day=0/002.parquet", "day=1/001.parquet, row group 2"}
    assert summary["rows"] == len(results(out)) == 175
    check_all(out, Path(certifier.path), X, frozenset([*range(150, 175), *range(200, 300)]))
    for path, raw in whole.items():
        path.write_bytes(raw)
    assert certify_lake(certifier, lake, out, workers=1)["failed"] == {}
    check_all(out, Path(certifier.path), X)


def test_results_do_not_lie_in_a_linked_folder(certifier: BatchCertifier, tmp_path: Path) -> None:
    lake = write_lake(tmp_path / "lake", X[:30], 1, 10)
    (tmp_path / "away").mkdir()
    (lake / "more").symlink_to(tmp_path / "away", target_is_directory=True)
    with pytest.raises(ValueError, match="lies in the lake"):
        certify_lake(certifier, lake, tmp_path / "away" / "out")
