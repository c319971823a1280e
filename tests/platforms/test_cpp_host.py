"""The C++ host of examples/cpp: here, and under emulators with the op libraries of the wheels."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from zipfile import ZipFile

import machines
import numpy as np
import onnx
import onnxruntime
import pytest
from machines import ROOT

from sortnet.backend import native
from sortnet.certificate.network import Network
from sortnet.certificate.operations import Bias, Flatten, Negate, SortNeuron
from sortnet.export import CertifiedSession
from sortnet.export.session import Prediction
from sortnet.export.writer import build_model

SHAPE = (1, 6, 7)
SOURCE = ROOT / "examples/cpp/host.cpp"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.onnx and images.f32: 150 images, the last one outside the box."""
    folder = tmp_path_factory.mktemp("host")
    rng = np.random.default_rng(3)
    sizes, ops = [42, 70, 10], []
    for inputs, outputs in pairwise(sizes):
        W = rng.normal(size=(outputs, inputs)).astype(np.float32)
        ops.append(SortNeuron(W, 0.5, 5))
    tail = [Bias(rng.normal(size=10).astype(np.float32) / 4), Negate()]
    onnx.save(build_model(Network(SHAPE, (Flatten(), *ops, *tail)), None), folder / "model.onnx")
    images = rng.random((150, *SHAPE), dtype=np.float32)
    images[-1, 0, 2, 3] = 1.5
    images.tofile(folder / "images.f32")
    return folder


@pytest.fixture(scope="module")
def want(files: Path) -> Prediction:
    """What Python gets of the images inside the box."""
    images = np.fromfile(files / "images.f32", np.float32).reshape(-1, *SHAPE)
    want = CertifiedSession(files / "model.onnx").predict(images[:-1])
    assert len(set(want.label)) > 3 and (want.radius > 0).mean() > 0.9
    return want


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C++ compiler")
    program = tmp_path_factory.mktemp("program") / "host"
    options = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
    command = [compiler, *options, str(SOURCE), "-o", str(program), "-ldl"]
    subprocess.run(command, check=True)
    return program


def runtime() -> str:
    """The shared library that onnxruntime's wheel carries beside its Python module."""
    (path,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")
    return str(path)


def arguments(files: Path, onnxruntime: str, library: str) -> list[str]:
    shape = [str(size) for size in SHAPE]
    return [onnxruntime, str(files / "model.onnx"), library, *shape, str(files / "images.f32")]


def check(output: str, want: Prediction, bits: bool) -> None:
    rows = [line.split() for line in output.splitlines()]
    labels, radii = [int(row[0]) for row in rows], np.array([row[1] for row in rows], np.float32)
    assert len(rows) == len(want.label) + 1
    assert labels[:-1] == list(want.label) and radii[-1] == 0
    if bits:
        np.testing.assert_array_equal(radii[:-1], want.radius)
    else:
        np.testing.assert_allclose(radii[:-1], want.radius, atol=2e-6)


@pytest.mark.parametrize("op_library", [True, False])
def test_answers_like_python(host: Path, files: Path, want: Prediction, op_library: bool) -> None:
    library = str(native.library_path("sortnet_ort")) if op_library else "-"
    command = [str(host), *arguments(files, runtime(), library)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    check(ran.stdout, want, bits=op_library)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, "/no/runtime.so", "cannot load /no/runtime.so: /no/runtime.so: cannot open"),
        (1, "/no/model.onnx", "cannot read /no/model.onnx"),
        (2, "/no/library.so", "/no/library.so"),
        (3, "0", "must be positive"),
        (3, "11", "no whole number of images"),
        (5, "2", "Got invalid dimensions"),
        (6, "/no/images", "cannot read /no/images"),
    ],
)
def test_refuses(host: Path, files: Path, position: int, value: str, message: str) -> None:
    words = arguments(files, runtime(), "-")
    words[position] = value
    ran = subprocess.run([str(host), *words], capture_output=True, text=True)
    assert ran.returncode == 1 and message in ran.stderr, ran.stderr


# ONNX Runtime's wheels for other platforms, from PyPI; musl has none. That of aarch64 is older as
# from 1.30 on it crashes in Debian 12's qemu (7.2), whatever the model.
EMULATED = {
    "manylinux-aarch64": ("manylinux_2_28_aarch64", "libonnxruntime.so.*", "1.24.4"),
    "windows-x86_64": ("win_amd64", "onnxruntime.dll", onnxruntime.__version__),
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", EMULATED)
@pytest.mark.parametrize("op_library", [True, False])
def test_other_platforms(
    name: str,
    op_library: bool,
    files: Path,
    want: Prediction,
    unpacked: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    program = machines.program(name, "sortnet_host")
    machines.start(name)
    tag, pattern, version = EMULATED[name]
    download = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    what = ["--platform", tag, "--dest", str(tmp_path), f"onnxruntime=={version}"]
    subprocess.run([*download, *what], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("onnxruntime-*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    capi = tmp_path / "onnxruntime/capi"
    (library,) = capi.glob(pattern)

    ops = unpacked(name) / "sortnet/lib" / machines.library_file(name, "sortnet_ort")
    command = [str(program), *arguments(files, str(library), str(ops) if op_library else "-")]
    ran = machines.run(name, command, capi)
    assert ran.returncode == 0, ran.stderr
    check(ran.stdout, want, bits=op_library)
