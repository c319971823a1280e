"""`sortnet export`, `sortnet certify` and `sortnet verify` as commands."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click import Command
from click.testing import CliRunner, Result
from PIL import Image
from pyarrow import parquet

from sortnet.cli.certify import certify_command
from sortnet.cli.export import export_command
from sortnet.cli.main import cli
from sortnet.cli.verify import verify_command
from sortnet.data.sets import load
from sortnet.export.report import Report, write_samples
from sortnet.models import ModelConfig, build_model, estimate_means
from sortnet.training.presets import get_preset
from sortnet.training.runs import RunConfig, read_tensors, write_config, write_model, write_tensors


def write_run(folder: Path, **model: object) -> Path:
    """A run folder as training leaves it, untrained but with a hand-made last layer."""
    torch.manual_seed(0)
    config = ModelConfig("sortnet", (1, 8, 8), 10, 2, 32, **model)  # type: ignore[arg-type]
    network = build_model(config)
    estimate_means(network, [torch.rand(64, 1, 8, 8)])
    folder.mkdir()
    write_config(folder, RunConfig(get_preset("digits"), config))
    write_model(folder, network)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture(scope="module")
def model(run: Path) -> Path:
    path = run / "model.onnx"
    result = call(export_command, str(run), "-o", str(path), "--json", str(run / "export.json"))
    assert result.exit_code == 0, result.output
    assert json.loads((run / "export.json").read_text())["radius"] == "margin"
    return path


def call(command: Command, *arguments: str) -> Result:
    """`sortnet COMMAND ARGUMENTS`, as from a shell."""
    assert command.name is not None
    return CliRunner().invoke(cli, [command.name, *arguments])


def fails(command: Command, *arguments: str) -> str:
    """The last line of a command that must fail without a traceback."""
    result = call(command, *arguments)
    assert result.exit_code != 0 and isinstance(result.exception, SystemExit), result.output
    return result.output.strip().splitlines()[-1]


def test_verify(model: Path, tmp_path: Path) -> None:
    result = call(verify_command, str(model), "--json", str(tmp_path / "proof.json"))
    assert result.exit_code == 0 and "proved" in result.output
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert proof["proved"] and proof["reasons"] == [] and proof["box"] == [0, 1]
    assert 0 < proof["error_bound"] < 1e-3 and 0.99 < proof["lipschitz"] <= 1


def test_verify_refuses(model: Path, tmp_path: Path) -> None:
    changed = onnx.load(model)
    slack = next(t for t in changed.graph.initializer if t.name == "margin_slack")
    slack.raw_data = np.float32(0).tobytes()
    onnx.save(changed, tmp_path / "naive.onnx")
    out = tmp_path / "proof.json"
    assert "not proved" in fails(verify_command, str(tmp_path / "naive.onnx"), "--json", str(out))
    assert json.loads(out.read_text())["proved"] is False
    (tmp_path / "text").write_text("hello")
    assert "not an ONNX file" in fails(verify_command, str(tmp_path / "text"))
    assert "does not exist" in fails(verify_command, str(tmp_path / "nothing"))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_certify(model: Path, tmp_path: Path, suffix: str) -> None:
    paths = {name: tmp_path / name for name in ("out.json", "plot.png", f"rows.{suffix}")}
    arguments = ["--data", "digits", "--limit", "60", "--eps", "1/100", "--eps", "0.2"]
    arguments += ["--pgd-steps", "5", "--json", str(paths["out.json"])]
    arguments += ["--plot", str(paths["plot.png"]), "--samples", str(paths[f"rows.{suffix}"])]
    result = call(certify_command, str(model), *arguments)
    assert result.exit_code == 0, result.output
    summary = json.loads(paths["out.json"].read_text())
    assert summary["samples"] == 60 and set(summary["certified"]) == {"1/100", "0.2"}
    for eps in ("1/100", "0.2"):
        assert summary["certified"][eps] <= summary["pgd"][eps] <= summary["clean"]
    assert paths["plot.png"].read_bytes().startswith(b"\x89PNG")
    rows = paths[f"rows.{suffix}"]
    if suffix == "jsonl":
        table = [json.loads(line) for line in rows.read_text().splitlines()]
    else:
        table = parquet.read_table(rows).to_pylist()
    assert [row["index"] for row in table] == list(range(60))
    assert [row["name"] for row in table] == list(load("digits").test.sample_names[:60])
    right = [row["truth"] == row["label"] and row["certified@0.2"] for row in table]
    assert np.mean(right) == summary["certified"]["0.2"]
    assert all(row["certified@1/100"] for row in table if row["certified@0.2"])


def test_certify_npz(model: Path, tmp_path: Path) -> None:
    split = load("digits").test
    x = split.floats(slice(0, 20))
    np.savez(tmp_path / "float.npz", x=x, y=split.labels[:20])
    np.savez(tmp_path / "bytes.npz", x=(x * 255).astype(np.uint8)[:, 0], y=split.labels[:20])
    for name in ("float.npz", "bytes.npz"):
        result = call(certify_command, str(model), "--data", str(tmp_path / name), "--eps", "1/50")
        assert result.exit_code == 0, result.output
        assert "20 samples" in result.output


def names_of(model: Path, rows: Path, *arguments: str) -> list[str]:
    result = call(certify_command, str(model), "--eps", "1/50", "--samples", str(rows), *arguments)
    assert result.exit_code == 0, result.output
    if rows.suffix == ".parquet":
        table = parquet.read_table(rows).to_pylist()
    else:
        table = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [row["index"] for row in table] == list(range(len(table)))
    return [row["name"] for row in table]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("held", ["test/", ""])
def test_rows_name_the_image_or_the_row(
    model: Path, tmp_path: Path, suffix: str, held: str
) -> None:
    rows, folder = tmp_path / f"rows.{suffix}", tmp_path / "images"
    pixels = load("digits").test.inputs[:30]
    labels = [f"{held}{name}" for name in "0123456789"]
    for i, image in enumerate(pixels):
        file = folder / labels[i % 10] / f"scan é {i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(image[0])).save(file)
        if held:
            file = folder / "train" / str(i % 10) / file.name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.asarray(image[0])).save(file)
    found = names_of(model, rows, "--data", f"folder:{folder}")
    assert len(found) == 30 and all((folder / name).is_file() for name in found)
    assert {name.rsplit("/", 1)[0] for name in found} == set(labels)
    assert names_of(model, rows, "--data", f"folder:{folder}", "--limit", "4") == found[:4]
    np.savez(tmp_path / "a.npz", x=pixels, y=np.arange(30) % 10, levels=16)
    arguments = ("--data", str(tmp_path / "a.npz"), "--limit", "7")
    assert names_of(model, rows, *arguments) == [str(row) for row in range(7)]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_names_that_are_no_text_are_escaped(tmp_path: Path, suffix: str) -> None:
    one = np.ones(1, np.int64)
    name = os.fsdecode(b"cat/\xff\xc3\xa9.png")
    write_samples(
        Report((name,), one, one, np.ones(1, np.float32), {}, {}, 0.0), tmp_path / f"rows.{suffix}"
    )
    if suffix == "jsonl":
        row = json.loads((tmp_path / "rows.jsonl").read_text())
    else:
        (row,) = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert row["name"] == "cat/\\udcffé.png"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "digits", "--eps", "0"), "above 0"),
        (("--data", "digits", "--eps", "eight"), "fraction"),
        (("--data", "digits"), "Missing option '--eps'"),
        (("--data", "nonsense", "--eps", "0.1"), "unknown data set"),
        (("--data", "missing.npz", "--eps", "0.1"), "no such file"),
        (("--data", "digits", "--eps", "0.1", "--samples", "rows.csv"), ".jsonl or .parquet"),
        (("--data", "digits", "--eps", "0.1", "--json", "no/such/out.json"), "does not exist"),
        (("--data", "digits", "--eps", "0.1", "--plot", "no/such/p.png"), "does not exist"),
        (("--data", "digits", "--eps", "0.1", "--plot", "p.txt"), ".png, .pdf or .svg"),
        (("--data", "digits", "--eps", "8/255/2"), "one fraction of two"),
        (("--data", "digits", "--eps", "1e-9999999"), "one fraction of two"),
        (("--data", "mnist-0.1", "--eps", "0.1"), "--root DIR"),
        (("--data", "mnist-0.1", "--root", "none", "--eps", "0.1"), "does not exist"),
    ],
)
def test_certify_refuses(model: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in fails(certify_command, str(model), *arguments)


def test_certify_refuses_other_shapes_and_files(model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 3, 8, 8), np.uint8), y=np.zeros(3, np.int64))
    np.savez(tmp_path / "nan.npz", x=np.full((3, 1, 8, 8), np.nan), y=np.zeros(3, np.int64))
    np.savez(tmp_path / "none.npz", x=np.zeros((0, 1, 8, 8)), y=np.zeros(0, np.int64))
    for name, message in (("x", "takes images"), ("nan", "NaN"), ("none", "no samples")):
        data = str(tmp_path / f"{name}.npz")
        assert message in fails(certify_command, str(model), "--data", data, "--eps", "0.1")
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(model.read_bytes()[:-1000])
    line = fails(certify_command, str(foreign), "--data", "digits", "--eps", "0.1")
    assert "foreign.onnx" in line


def test_export_a_head_and_refuse_broken_runs(tmp_path: Path) -> None:
    run = write_run(tmp_path / "head", hidden=8)
    out = tmp_path / "head.onnx"
    assert call(export_command, str(run), "-o", str(out)).exit_code == 0
    assert call(verify_command, str(out)).exit_code == 0
    before = out.read_bytes()
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert "model.safetensors" in fails(export_command, str(run), "-o", str(out))
    assert out.read_bytes() == before and not list(tmp_path.glob(".*"))
    assert "no run folder" in fails(export_command, str(tmp_path / "no"), "-o", str(out))


def test_labels_outside_the_classes_are_refused(model: Path, tmp_path: Path) -> None:
    for label in (-1, 10, 2**62):
        y = np.array([0, label, 9])
        np.savez(tmp_path / "y.npz", x=np.zeros((3, 1, 8, 8), np.uint8), y=y)
        line = fails(certify_command, str(model), "--data", str(tmp_path / "y.npz"), "--eps", "0.1")
        assert f"labels must be in 0..9; 1 are not, e.g. {label} of sample 1" in line


def test_no_command_replaces_what_it_reads(run: Path, model: Path, tmp_path: Path) -> None:
    """Refused before the work, in one line, for every output option; the files stay."""
    data = tmp_path / "my data.npz"
    np.savez(data, x=np.zeros((3, 1, 8, 8), np.uint8), y=np.zeros(3, np.int64))
    files = [data, model, *(run / name for name in ("config.json", "model.safetensors"))]
    before = [path.read_bytes() for path in files]
    certify = (certify_command, str(model), "--data", str(data), "--eps", "0.1")
    export = (export_command, str(run), "-o")
    out = tmp_path / "out.png"
    for arguments, option in (
        ((*certify, "--json", str(data)), "--json"),
        ((*certify, "--json", str(model)), "--json"),
        ((*certify, "--plot", str(out), "--json", str(out)), "--json"),
        ((*export, str(run / "config.json")), "-o"),
        ((*export, str(run / "model.safetensors")), "-o"),
        ((*export, str(out), "--json", str(out)), "--json"),
        ((*export, str(tmp_path / "none" / "a.onnx")), "-o"),
        ((*export, str(out), "--json", str(tmp_path / "none" / "a.json")), "--json"),
        ((verify_command, str(model), "--json", str(model)), "--json"),
    ):
        assert f"error: {option}: " in fails(*arguments)
    assert [path.read_bytes() for path in files] == before
    assert [path.name for path in tmp_path.iterdir()] == ["my data.npz"]


def test_weights_of_another_type_are_not_exported(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    weights, _ = read_tensors(run / "model.safetensors")
    write_tensors(run / "model.safetensors", {k: v.int() for k, v in weights.items()}, {})
    line = fails(export_command, str(run), "-o", str(tmp_path / "a.onnx"))
    assert "is int32" in line and "expected float32" in line
    assert not (tmp_path / "a.onnx").exists()
