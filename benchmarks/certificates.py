"""What sound certificates cost: accuracy against the naive margin / 2, and time against inference.

    python benchmarks/certificates.py model.onnx --data digits --eps 0.1 [--root DIR] [--rows FILE]

Needs no torch. Times are processor times of one thread, medians of interleaved runs reported as
ratios, so that a busy machine does little harm; "inference again" shows how far noise goes. One
JSON row is printed (and appended to FILE).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx.utils import Extractor

from sortnet.backend.native import library_path
from sortnet.base.units import eps_to_float
from sortnet.data.sets import load_samples
from sortnet.export import CertifiedSession
from sortnet.export.session import _MAX_BATCH


def plain_session(path: Path) -> onnxruntime.InferenceSession:
    """The part of the file that computes the logits, and nothing else."""
    model = Extractor(onnx.load(path)).extract_model(["input"], ["logits"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.register_custom_ops_library(str(library_path("sortnet_ort")))
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)


def ratios(
    plain: Callable[[], object], others: dict[str, Callable[[], object]], rounds: int
) -> dict:
    """Median over interleaved rounds of each time divided by the plain one."""
    quotients: dict[str, list[float]] = {name: [] for name in others}
    for _ in range(rounds):
        base = seconds(plain)
        for name, action in others.items():
            quotients[name].append(seconds(action) / base)
    return {name: round(statistics.median(values), 3) for name, values in quotients.items()}


def seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--eps", action="append", required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=Path)
    options = parser.parse_args()
    split = load_samples(options.data, options.root)
    kept = slice(options.limit)
    x, y = split.floats()[kept], split.labels[kept]
    session, plain = CertifiedSession(options.model, threads=1), plain_session(options.model)
    prediction = session.predict(x)
    right = prediction.label == y
    top = np.sort(prediction.logits, axis=1)
    analysis = session.proof.analysis
    assert analysis is not None
    naive = (top[:, -1] - top[:, -2]) / np.float32(2 * analysis.lipschitz)
    certified = {}
    for eps in options.eps:
        radius = np.float32(eps_to_float(eps))
        certified[eps] = {
            "naive margin": float((right & (naive >= radius)).mean()),
            "margin": float((right & (prediction.radius >= radius)).mean()),
            "margin or interval": float((right & session.certify(x, eps, prediction)).mean()),
        }
    batch = x[: min(len(x), _MAX_BATCH)]
    first = session.predict(batch)
    nothing = first._replace(radius=np.zeros_like(first.radius))  # interval bounds for everyone
    actions = {
        "inference again": lambda: plain.run(None, {"input": batch}),
        "margin": lambda: session.predict(batch),
        "interval bounds alone": lambda: session.certify(batch, options.eps[0], nothing),
        "margin, then interval where needed": lambda: session.certify(batch, options.eps[0]),
    }
    row = {
        "model": options.model.name,
        "data": options.data,
        "samples": len(y),
        "clean": float(right.mean()),
        "certified": certified,
        "error_bound": analysis.error,
        "radius_lost": analysis.margin_slack * analysis.margin_scale,
        "time_over_inference": ratios(
            lambda: plain.run(None, {"input": batch}), actions, options.rounds
        ),
        "machine": f"{platform.machine()}, onnxruntime {onnxruntime.__version__}",
    }
    print(json.dumps(row, indent=2))
    if options.rows is not None:
        with open(options.rows, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
