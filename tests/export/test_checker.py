"""The checker that is extracted from the Coq proofs, on real files, changed files and noise."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import F32, any_networks, neuron
from onnx import ModelProto, numpy_helper
from relation import proved, proved_margin
from test_tampering import CASES, HARMLESS, MODELS, NETWORKS, change, copy, put, scale
from test_tampering import constant as constant_of

from sortnet.certificate.analysis import Analysis, analyse
from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import Normalize, RankFilter
from sortnet.cli.checker import build_command
from sortnet.cli.verify import verify_command
from sortnet.export import checker as module
from sortnet.export.checker import (
    HOME,
    NAME,
    NEEDED,
    CheckerMissing,
    Verdict,
    build_checker,
    find_checker,
    run_checker,
)
from sortnet.export.functions import functions
from sortnet.export.reader import MarginRadius
from sortnet.export.verifier import verify_model
from sortnet.export.wire import parse_model
from sortnet.export.writer import build_model

needs_coq = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in NEEDED), reason=f"needs {', '.join(NEEDED)}"
)
SLOW = int(os.environ.get("SORTNET_FUZZ", "10000"))
"""Random edits of the slow test."""


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checker of these sources; `test_coq.py` checks the proofs."""
    path = tmp_path_factory.mktemp("checker") / NAME
    subprocess.run(["sh", HOME / "build.sh", path, "--without-proofs"], check=True)
    return path


@pytest.fixture(scope="session")
def check(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], Verdict]:
    """The verdict on some bytes, always one."""
    path = tmp_path_factory.mktemp("files") / "model.onnx"

    def verdict(data: bytes) -> Verdict:
        path.write_bytes(data)
        return run_checker(path, program, timeout=60)

    return verdict


def number(verdict: Verdict, what: str) -> float:
    (line,) = [line for line in verdict.lines if line.startswith(what)]
    return float(line.split()[-1])


def compare(verdict: Verdict, analysis: Analysis, network: Network) -> None:
    """The constants of the theorem with those of Python."""
    lipschitz, error = number(verdict, "Lipschitz"), number(verdict, "error")
    assert lipschitz <= analysis.lipschitz * (1 + 1e-5) + 1e-11
    if not network.input.images:  # of images Python multiplies the constants of operations
        assert lipschitz == pytest.approx(analysis.lipschitz, rel=1e-5, abs=1e-6)
    assert error < analysis.error * 1.5


def constant(analysis: Analysis) -> bool:
    """Whether windows read nothing but padding: Python notices that no error passes them."""
    return analysis.lipschitz < 2**-20


KINDS = ("interval", "margin", "features interval", "features margin", "ranked")
"""Of the files of the tampering suite, those that the checker reads."""


# Real files.


@needs_coq
@pytest.mark.parametrize("kind", ["margin", "features margin"])
def test_exported_margin_files_are_accepted(check: Callable[[bytes], Verdict], kind: str) -> None:
    verdict = check(MODELS[kind].SerializeToString())
    analysis = verify_model(MODELS[kind]).analysis
    assert verdict.accepted and analysis is not None
    assert number(verdict, "Lipschitz") == pytest.approx(analysis.lipschitz, rel=1e-5)
    assert analysis.error / 1.5 < number(verdict, "error") < analysis.error * 1.5


@needs_coq
@pytest.mark.parametrize("kind", ["interval", "features interval"])
def test_exported_interval_files_are_accepted(check: Callable[[bytes], Verdict], kind: str) -> None:
    verdict = check(MODELS[kind].SerializeToString())
    analysis = verify_model(MODELS[kind]).analysis
    assert verdict.accepted and analysis is not None
    assert verdict.lines[1].startswith("radius = 0.01000")
    (needed,) = re.findall(r"at least ([\d.]+) is needed", verdict.lines[1])
    assert 0 < float(needed) < analysis.interval_slack


@needs_coq
@given(any_networks().filter(proved_margin))
def test_margin_files_of_every_kind(check: Callable[[bytes], Verdict], network: Network) -> None:
    verdict, analysis = check(build_model(network).SerializeToString()), analyse(network)
    assume(not constant(analysis))
    assert verdict.accepted
    compare(verdict, analysis, network)


@needs_coq
@given(any_networks().filter(proved), st.fractions(Fraction(1, 1000), 1))
def test_interval_files_of_every_kind(
    check: Callable[[bytes], Verdict], network: Network, eps: Fraction
) -> None:
    assume(not constant(analyse(network)))
    assert check(build_model(network, eps).SerializeToString()).accepted


@needs_coq
@given(any_networks().filter(proved))
@settings(max_examples=20)
def test_a_ball_of_the_whole_box(check: Callable[[bytes], Verdict], network: Network) -> None:
    assume(not constant(analyse(network)))
    assert check(build_model(network, Fraction(1)).SerializeToString()).accepted


@needs_coq
def test_windows_of_a_wide_layer_take_no_longer_than_their_file(
    check: Callable[[bytes], Verdict],
) -> None:
    """Each window once cost a walk through the layer: minutes for this file of 4 MB."""
    n = 2**16
    ends = [np.full(n, value, np.float32) for value in (-1, 1, 1)]
    last = RankFilter(np.full((n, 1), n - 1, np.int64), 1)
    network = Network(InputSpec((n,), *ends), (last,) * 4)
    assert check(build_model(network).SerializeToString()).accepted


@needs_coq
@pytest.mark.parametrize("kind", sorted(MODELS.keys() - set(KINDS)))
def test_what_is_not_proved_is_refused(check: Callable[[bytes], Verdict], kind: str) -> None:
    """Until it is in the proofs."""
    assert not check(MODELS[kind].SerializeToString()).accepted


@needs_coq
@given(any_networks().filter(lambda n: not proved(n)))
def test_bounds_that_are_not_proved_are_refused(
    check: Callable[[bytes], Verdict], network: Network
) -> None:
    assert not check(build_model(network, Fraction(1, 100)).SerializeToString()).accepted


OF_LEARNED: dict[str, Callable[[ModelProto], None]] = {
    "coefficients doubled": scale("coefficients1", 2),
    "fewer order statistics": lambda model: change(constant_of(model, "count1"), lambda v: v - 1),
    "another axis": lambda model: change(constant_of(model, "axis_two"), lambda v: v - 1),
    "slopes doubled": scale("slopes2", 2),
    "beginning of a piece": put("begin2", 0),
    "end of a piece": put("end2", 0),
    "knots that fall": lambda model: change(constant_of(model, "end2"), lambda v: v[::-1]),
    "origin of a piece": put("origin2", 1),
    "no slack": put("margin_slack", 0),
}


@needs_coq
def test_learned_functions_in_margin_files(check: Callable[[bytes], Verdict]) -> None:
    network = NETWORKS["learned"]
    verdict = check(build_model(network).SerializeToString())
    assert verdict.accepted
    compare(verdict, analyse(network), network)
    for name, edit in OF_LEARNED.items():
        model = build_model(network)
        edit(model)
        assert not check(model.SerializeToString()).accepted, name


def table(size: float) -> Network:
    """Columns of very different size, the first four as large or as small as is said."""
    rng = np.random.default_rng(0)
    scales = np.append(np.full(4, size), [1e-3, 0.1, 1, 70]).astype(F32)
    spec = InputSpec((8,), -scales, scales, scales * F32([1, 0, 0.5, 1] * 2))
    first = neuron(rng, 8, 6, 3, 0.5)
    ops = (Normalize(np.zeros(8, F32), scales), first, neuron(rng, 6, 3, 2, 0.5))
    return Network(spec, ops)


@needs_coq
@pytest.mark.parametrize("scale", [2.0**-28, 2.0**-20, 1.0, 1e9, 2.0**40])
def test_columns_of_any_common_size(check: Callable[[bytes], Verdict], scale: float) -> None:
    network = table(scale)
    verdict = check(build_model(network).SerializeToString())
    assert verdict.accepted
    compare(verdict, analyse(network), network)
    if scale >= 2.0**-20:  # a step of the grid is too much for the bounds of smaller columns
        assert check(build_model(network, Fraction(1, 10)).SerializeToString()).accepted


@needs_coq
@pytest.mark.parametrize("scale", [2.0**-29, 2.0**41])
def test_columns_beyond_the_proof_are_refused(
    check: Callable[[bytes], Verdict], scale: float
) -> None:
    assert not check(build_model(table(scale)).SerializeToString()).accepted


# Changed files.

ONLY_PYTHON = {"slack a little small", "format of a later version"}
"""The theorem's bound of the error is smaller than Python's; and the checker reads no metadata."""


def body_of_the_same_length(model: ModelProto) -> None:
    next(n for n in model.functions[0].node if n.op_type == "Abs").op_type = "Neg"


def initializer_named_as_a_value(model: ModelProto) -> None:
    """Which of the two would a runtime read?"""
    model.graph.initializer.append(numpy_helper.from_array(F32(0.5), "v3"))


CHANGES = [
    *(case for case in CASES if case[0] in KINDS and case[1] not in ONLY_PYTHON),
    ("margin", "body of the same length", body_of_the_same_length),
    ("margin", "initializer named as a value", initializer_named_as_a_value),
]


@needs_coq
@pytest.mark.parametrize(("kind", "name", "edit"), CHANGES, ids=[f"{k}-{n}" for k, n, _ in CHANGES])
def test_tampering_is_refused(
    check: Callable[[bytes], Verdict], kind: str, name: str, edit: Callable[[ModelProto], None]
) -> None:
    model = copy(kind)
    edit(model)
    assert not check(model.SerializeToString()).accepted


@needs_coq
@pytest.mark.parametrize("kind", ["margin", "features margin"])
@pytest.mark.parametrize("name", sorted(HARMLESS.keys() - {"less sorting"}))
def test_harmless_changes_are_accepted(
    check: Callable[[bytes], Verdict], kind: str, name: str
) -> None:
    """Attributes in another order ("less sorting") are refused: no exporter writes them."""
    model = copy(kind)
    HARMLESS[name](model)
    assert check(model.SerializeToString()).accepted


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three random edits: bits, words, cuts, repetitions."""
    damaged = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(damaged)))
        match rng.integers(6):
            case 0:
                damaged[at] ^= 1 << int(rng.integers(8))
            case 1:
                damaged[at] = int(rng.integers(256))
            case 2:
                damaged[at : at + 8] = rng.bytes(8)
            case 3:
                del damaged[at : at + int(rng.integers(1, 40))]
            case 4:
                damaged[at:at] = damaged[at : at + int(rng.integers(1, 400))]
            case 5 if rng.random() < 0.2:
                del damaged[at + 1 :]
    return bytes(damaged)


def described_as(model: ModelProto, other: ModelProto) -> ModelProto:
    """With the texts that only describe a file: no claim rests on them, but Python reads them."""
    for name in ("producer_name", "producer_version", "domain", "doc_string"):
        setattr(model, name, getattr(other, name))
    model.graph.name, model.graph.doc_string = other.graph.name, other.graph.doc_string
    del model.metadata_props[:]
    model.metadata_props.extend(other.metadata_props)
    for node in model.graph.node:
        node.name, node.doc_string = "", ""
    return model


def agrees(check: Callable[[bytes], Verdict], data: bytes, kind: str) -> bool:
    """Whether the checker accepts; then Python's verifier must see the same safe network.

    Only constants may differ a little: Python bounds errors from further above, and wants bounds
    moved apart by what it would do itself.
    """
    verdict = check(data)
    if not verdict.accepted:
        return False
    proof = verify_model(described_as(parse_model(data), MODELS[kind]))
    assert proof.analysis is not None, proof.reasons
    assert all("is needed" in reason or " needs " in reason for reason in proof.reasons)
    if isinstance(proof.radius, MarginRadius):
        assert proof.network is not None
        compare(verdict, proof.analysis, proof.network)
    return True


@needs_coq
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_random_edits(check: Callable[[bytes], Verdict], kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = MODELS[kind].SerializeToString()
    accepted = sum(agrees(check, damage(data, rng), kind) for _ in range(100))
    assert 0 < accepted < 50  # an edit of a weight or of a text may be harmless


@needs_coq
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_very_many_random_edits(check: Callable[[bytes], Verdict], kind: str) -> None:
    rng = np.random.default_rng(0)
    data = MODELS[kind].SerializeToString()
    for _ in range(SLOW):
        agrees(check, damage(data, rng), kind)


# Noise: a verdict in bounded time and memory, always.


def field(number: int, kind: int, content: bytes = b"") -> bytes:
    tag = varint(8 * number + kind)
    return tag + (varint(len(content)) + content if kind == 2 else content)


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = field(7, 2, data)
    return data


def many_nodes(count: int) -> bytes:
    """A long chain on a wide image."""
    model = ModelProto()
    model.CopyFrom(MODELS["margin"])
    for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]:
        dim.dim_value = 64
    del model.graph.node[:]
    for i in range(count):
        name = "x" * 100 + str(i)
        model.graph.node.add(
            op_type="Relu", input=["input" if not i else "x" * 100 + str(i - 1)], output=[name]
        )
    return model.SerializeToString()


NOISE = {
    "nothing": b"",
    "zeros": bytes(10_000),
    "ones": b"\xff" * 10_000,
    "a varint that never ends": b"\x08" + b"\x80" * 100_000,
    "a varint of too many bits": b"\x08" + b"\xff" * 9 + b"\x7f",
    "a varint longer than needed": b"\x08\x88\x00",
    "a length beyond the end": b"\x3a\xff\xff\xff\xff\x0f",
    "a length of 64 bits": b"\x3a" + b"\xff" * 9 + b"\x01",
    "nested 20,000 deep": nested(20_000),
    "a million fields": field(8, 2) * 1_000_000,
    "a million nodes": field(7, 2, field(1, 2) * 1_000_000),
    "a million inputs": field(7, 2, field(1, 2, field(1, 2, b"x") * 1_000_000)),
    "many nodes": many_nodes(2000),
    "a name of a million bytes": field(7, 2, field(1, 2, field(4, 2, b"x" * 1_000_000))),
    "dimensions beyond measure": field(
        7, 2, field(5, 2, (b"\x08" + varint(2**31 - 1)) * 60 + b"\x10\x01" + field(9, 2))
    ),
}


@needs_coq
@pytest.mark.parametrize("name", NOISE)
def test_noise(check: Callable[[bytes], Verdict], name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    verdict = check(NOISE[name])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert not verdict.accepted and verdict.lines[0].startswith("refused: ")
    assert after.ru_utime - before.ru_utime < 20
    assert after.ru_maxrss <= max(before.ru_maxrss, 500_000)  # KiB, the largest child so far


@needs_coq
@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_random_bytes(check: Callable[[bytes], Verdict], data: bytes) -> None:
    assert not check(data).accepted


@needs_coq
def test_every_prefix_is_refused(check: Callable[[bytes], Verdict]) -> None:
    data = MODELS["margin"].SerializeToString()
    for end in range(0, len(data), 61):
        assert not check(data[:end]).accepted


@needs_coq
def test_special_files_are_refused(program: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe", tmp_path, tmp_path / "missing"):
        assert not run_checker(path, program, timeout=20).accepted


# The parts around it.


def test_bodies_are_those_of_the_exporter() -> None:
    """The checker accepts no other functions than those in Bodies.v."""
    text = (HOME.parent / "theory" / "coq" / "float" / "Bodies.v").read_text()
    names = {"SortNeuron": "sort_neuron_body", "SortNeuronBounds": "sort_neuron_bounds_body"}
    for operation, function in functions().items():
        listed = text.split(f"{names[operation]} : list byte := [")[1].split("]")[0]
        body = bytes(int(item.strip().removeprefix("x"), 16) for item in listed.split(";"))
        assert body == function.SerializeToString(deterministic=True)


@needs_coq
def test_the_command_needs_both(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(MODELS["margin"].SerializeToString())
    monkeypatch.setattr(module, "HOME", tmp_path / "elsewhere")
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_checker() == program
    report = tmp_path / "proof.json"
    arguments = [str(path), "--checker", "--json", str(report)]
    result = CliRunner().invoke(verify_command, arguments)
    assert result.exit_code == 0 and "checker: accepted" in result.output
    assert json.loads(report.read_text())["checker"]["accepted"]
    # Python accepts attributes in any order, the checker does not.
    model = copy("margin")
    HARMLESS["less sorting"](model)
    path.write_bytes(model.SerializeToString())
    assert CliRunner().invoke(verify_command, [str(path)]).exit_code == 0
    result = CliRunner().invoke(verify_command, arguments)
    assert result.exit_code == 1 and "the checker does not accept it" in result.output
    assert not json.loads(report.read_text())["checker"]["accepted"]


def test_a_missing_checker_is_said_clearly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOME", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CheckerMissing, match="sortnet checker build"):
        find_checker()
    with pytest.raises(CheckerMissing, match="needs coqc, make, ocamlfind, ocamlopt, Flocq, zar"):
        build_checker(tmp_path / NAME)
    path = tmp_path / "model.onnx"
    path.write_bytes(MODELS["margin"].SerializeToString())
    result = CliRunner().invoke(verify_command, [str(path), "--checker"])
    assert result.exit_code == 1 and "sortnet checker build" in str(result.exception)


def test_a_program_that_gives_no_verdict(tmp_path: Path) -> None:
    """Its exit code alone is not believed."""
    program = tmp_path / NAME
    for script, match in (("exit 0", "code 0"), ("echo accepted; exit 3", "code 3")):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        with pytest.raises(RuntimeError, match=match):
            run_checker(tmp_path / "model.onnx", program)
    program.write_text("#!/bin/sh\nexec sleep 10\n")
    verdict = run_checker(tmp_path / "model.onnx", program, timeout=0.2)
    assert not verdict.accepted and "0.2 seconds" in verdict.lines[0]


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        ("ocamlfind", "ocamlfind, zarith (Debian/Ubuntu: apt install ocaml-findlib libzarith"),
        ("zarith", "zarith (Debian/Ubuntu: apt install libzarith-ocaml-dev)"),
        ("Flocq", "Flocq (Debian/Ubuntu: apt install libcoq-flocq)"),
        ("coqtop coqc", "coqc, Flocq (Debian/Ubuntu: apt install coq libcoq-flocq)"),
    ],
)
def test_the_build_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: str, message: str
) -> None:
    """Before it starts, in one line with the packages to install; and it leaves nothing."""
    for tool in {*NEEDED, "coqtop"} - set(absent.split()):
        program = tmp_path / tool
        library = {"ocamlfind": "zarith", "coqtop": "Flocq"}.get(tool)
        program.write_text(f"#!/bin/sh\nexit {int(library == absent)}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(build_command, ["-o", str(tmp_path / NAME)])
    assert result.exit_code == 1 and isinstance(result.exception, CheckerMissing)
    assert f"building needs {message}" in str(result.exception)
    assert not (tmp_path / NAME).exists()


@needs_coq
@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_command_in_a_clean_folder(tmp_path: Path) -> None:
    """As a user types it: build, with all proofs, then verify with the program on the PATH."""
    folder = tmp_path / "a clean folder"
    folder.mkdir()
    (tmp_path / "model.onnx").write_bytes(MODELS["margin"].SerializeToString())

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "sortnet", *arguments],
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("checker", "build", "-o", NAME) == f"{folder / NAME}: built\n"
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert run_checker(tmp_path / "model.onnx", folder / NAME).accepted
    if not (HOME / NAME).exists():  # it would be taken first
        assert "checker: accepted" in run("verify", "../model.onnx", "--checker")
