"""ONNX Runtime's builds for JavaScript, from the npm registry, as hosts of exported files."""

from __future__ import annotations

import base64
import json
import math
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from site_assets import PACKAGE

WEB, VERSION = PACKAGE.split("@")
"""The build that the page "Try it" carries, and its version."""

PACKAGES = {WEB: ("dist/ort.node.min.mjs", "wasm"), "onnxruntime-node": ("dist/index.js", "cpu")}
"""Name -> the file to import in Node, and the execution provider."""

_TYPES = {"float32": np.float32, "int64": np.int64}


def install(name: str, folder: Path) -> Path:
    """Install a package without running anything of it; gives the file to import.

    Skips where Node or npm is missing, or the registry is out of reach.
    """
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool} (Debian/Ubuntu: apt install nodejs npm)")
    package = f"{name}@{VERSION}"
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]
    done = subprocess.run(
        ["npm", "install", *options, "--prefix", str(folder), package],
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        pytest.skip(f"npm cannot fetch {package}: {' '.join(done.stderr.split())[-200:]}")
    return folder / "node_modules" / name / PACKAGES[name][0]


class JavaScriptHost:
    """One Node process that answers line by line.

    Args:
        entry: what `install` gave.
        provider: of PACKAGES.
    """

    def __init__(self, entry: Path, provider: str) -> None:
        program = Path(__file__).with_name("host.mjs")
        self.process = subprocess.Popen(
            ["node", str(program), str(entry), provider],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def run(self, path: Path, x: np.ndarray, optimize: bool = True) -> dict[str, np.ndarray]:
        """The outputs of a file for float32 inputs, in the order that the file lists them."""
        assert self.process.stdin is not None and self.process.stdout is not None
        request = {
            "model": str(path),
            "optimize": "all" if optimize else "disabled",
            "dims": list(x.shape),
            "data": base64.b64encode(np.ascontiguousarray(x, np.float32).tobytes()).decode(),
        }
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "outputs" in answer, answer
        outputs = {}
        for name, tensor in answer["outputs"].items():
            values = np.frombuffer(base64.b64decode(tensor["data"]), _TYPES[tensor["type"]])
            assert len(values) == math.prod(tensor["dims"])
            outputs[name] = values.reshape(tensor["dims"])
        return outputs


@contextmanager
def javascript_host(name: str, folder: Path) -> Iterator[JavaScriptHost]:
    """A host of one of PACKAGES, installed into an empty folder; ended with the block."""
    host = JavaScriptHost(install(name, folder), PACKAGES[name][1])
    try:
        yield host
    finally:
        # It holds nothing worth an orderly end, which a busy machine may take minutes for.
        host.process.kill()
        host.process.communicate()
