"""Make what the documentation site carries but the repository does not: the page "Try it".

    python tools/site_assets.py [--run RUN]

puts into docs/assets/try: `vendor/`, ONNX Runtime's WebAssembly build from the npm registry, and
`model/`, a digits network as `sortnet quickstart` leaves it (trained here unless --run names a run
folder) with its held-out scans and what native ONNX Runtime says about them. Needs npm.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HOME = Path(__file__).resolve().parents[1] / "docs" / "assets" / "try"
PACKAGE = "onnxruntime-web@1.30.0"
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def vendor(target: Path) -> None:
    """Copy the files of ONNX Runtime's WebAssembly build, and its licence, into `target`.

    Raises:
        SystemExit: npm is missing, or cannot fetch the package.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("the page 'Try it' needs npm, to fetch " + PACKAGE)
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE]
        done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")
        if done.returncode:
            raise SystemExit(f"npm could not fetch {PACKAGE}: {done.stderr.strip()[-500:]}")
        package = Path(folder, "node_modules", "onnxruntime-web")
        target.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copy(package / "dist" / name, target / name)


def model(target: Path, run: Path | None) -> None:
    """Copy a digits network and its held-out scans, with native answers, into `target`."""
    from sortnet.data import load
    from sortnet.export import CertifiedSession

    with tempfile.TemporaryDirectory() as folder:
        if run is None:
            run = Path(folder, "digits")
            command = [sys.executable, "-m", "sortnet.cli.main", "quickstart", "--out", str(run)]
            subprocess.run(command, check=True)
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(run / "model.onnx", target / "digits.onnx")
    held_out = load("digits").test
    pictures = held_out.floats()
    answer = CertifiedSession(target / "digits.onnx", threads=1).predict(pictures)
    document = {
        "pictures": np.round(pictures * 16).astype(int).reshape(len(pictures), -1).tolist(),
        "labels": held_out.labels.tolist(),
        "native": {"label": answer.label.tolist(), "radius": answer.radius.tolist()},
    }
    text = json.dumps(document, separators=(",", ":")) + "\n"
    (target / "scans.json").write_text(text, encoding="utf-8")


def main() -> None:
    """Make both; see the module's text."""
    parser = argparse.ArgumentParser(description="Make what the page 'Try it' carries.")
    parser.add_argument("--run", type=Path, help="a run folder of `sortnet quickstart`")
    run = parser.parse_args().run
    vendor(HOME / "vendor")
    model(HOME / "model", run)
    sizes = {path.name: path.stat().st_size for path in sorted(HOME.rglob("*")) if path.is_file()}
    for name, size in sizes.items():
        print(f"{size / 1024:10.1f} KiB  {name}")


if __name__ == "__main__":
    main()
