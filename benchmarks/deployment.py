"""Certified images per second and core of exported files in ONNX Runtime.

    python benchmarks/deployment.py fashion.onnx other.onnx
    python benchmarks/deployment.py fashion.onnx --library OLD/libsortnet_ort.so

The second command runs another build of the operation beside the installed one. Processor time of
one thread, medians, on the first images of the test split; all builds run in turns in this process.
Margin: label and radius of the file. Intervals: bounds over the ball of --eps.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnxruntime

from sortnet.backend import native
from sortnet.data import sets
from sortnet.export import CertifiedSession
from sortnet.export.session import build_interval_model


def start(model: bytes, library: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.register_custom_ops_library(str(library))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def calls(
    file: Path, library: Path, images: np.ndarray, eps: str
) -> dict[str, Callable[[], list[np.ndarray]]]:
    """What is timed, by kind of certificate."""
    verified = CertifiedSession(file, threads=1)
    if verified.proof.analysis is None:
        raise click.ClickException(f"{file} proves nothing")
    margin = start(file.read_bytes(), library)
    bounds = build_interval_model(verified.network, verified.proof.analysis).SerializeToString()
    interval = start(bounds, library)
    label = verified.predict(images).label
    feed = {"input": images, "label": label, "reach": verified.network.input.reach(float(eps))}
    return {
        "margin": lambda: margin.run(["label", "radius"], {"input": images}),
        "intervals": lambda: interval.run(["certified"], feed),
    }


@click.command(help=__doc__)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--data", default="fashion-mnist", show_default=True)
@click.option("--eps", default="0.1", show_default=True)
@click.option("--batch", "batches", multiple=True, default=(256, 1), show_default=True)
@click.option("--library", "others", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--repeat", default=7, show_default=True, type=click.IntRange(min=2))
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
def main(
    files: tuple[Path, ...],
    data: str,
    eps: str,
    batches: tuple[int, ...],
    others: tuple[Path, ...],
    repeat: int,
    json_file: Path | None,
) -> None:
    libraries = [native.library_path("sortnet_ort"), *others]
    test = sets.load(data).test
    rows: list[dict[str, Any]] = []
    for file in files:
        for batch in batches:
            images = np.ascontiguousarray(test.floats(slice(0, batch)))
            builds = [calls(file, library, images, eps) for library in libraries]
            for kind in builds[0]:
                times: list[list[float]] = [[] for _ in builds]
                results = [build[kind]() for build in builds]
                for other in results[1:]:
                    for ours, theirs in zip(results[0], other, strict=True):
                        np.testing.assert_array_equal(ours, theirs)
                for _ in range(repeat if batch > 16 else 20 * repeat):
                    for k, build in enumerate(builds):
                        begun = time.process_time()
                        build[kind]()
                        times[k].append(time.process_time() - begun)
                for library, spent in zip(libraries, times, strict=True):
                    seconds = statistics.median(spent)
                    row = {
                        "file": file.name, "library": str(library), "certificate": kind,
                        "batch": batch, "milliseconds_of_a_call": seconds * 1e3,
                        "images_a_second": batch / seconds,
                    }  # fmt: skip
                    rows.append(row)
                    click.echo(
                        f"{file.name:20} {kind:9} batch {batch:3}: {seconds * 1e3:8.2f} ms, "
                        f"{batch / seconds:8.0f} images a second  {library}"
                    )
    if json_file is not None:
        json_file.write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
