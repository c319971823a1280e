"""The page of a report: one HTML file without scripts that loads nothing from anywhere."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import onnx
import onnxruntime

from sortnet import __version__
from sortnet.base.files import atomic_write
from sortnet.base.intervals import wilson
from sortnet.base.percent import certified_percent, percent
from sortnet.base.units import text_down, text_up
from sortnet.data.sets import Split

from ..report import Report
from ..session import CertifiedSession
from ..values import ValueReport
from . import classes, samples, values

_JOINERS = "\u200c\u200d"
"""Words of some scripts need them."""


@dataclass(frozen=True)
class Source:
    """Where a report comes from.

    Attributes:
        file: name of the ONNX file. data: what was certified, as the user wrote it. attack: what
            attacked it, in words, or None. time: of the report, by default now.
    """

    file: str
    data: str
    attack: str | None = None
    time: datetime | None = None


def write_page(
    path: Path,
    report: Report | ValueReport,
    session: CertifiedSession,
    split: Split,
    source: Source,
) -> None:
    """Write a report as one self-contained HTML page, whole or not at all.

    Every number of it is one of `report` (and of `summary`), or is said to be measured by running
    the file again. The features that matter are found by 2 runs per feature and shown sample.

    Args:
        report: what `certify_split` or `certify_values` found for `split` with `session`.

    Raises:
        ValueError: a report of another number of samples than the split has.
        OSError: the file cannot be written.
    """
    if len(report.truth) != len(split):
        raise ValueError(f"a report of {len(report.truth)} samples for a split of {len(split)}")
    if isinstance(report, Report):
        name, content = "classes.html", classes.content(report, session, split)
    else:
        name, content = "values.html", values.content(report, session, split)
    page = _environment().get_template(name)
    text = page.render(**content, **_provenance(session, source, len(split)))
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _environment() -> jinja2.Environment:
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    environment.filters["percent"] = percent
    environment.filters["certified"] = certified_percent
    environment.filters["number"] = lambda value: f"{value:.4g}"
    environment.filters["float32"] = lambda value: str(np.float32(value))
    environment.filters["down"] = text_down
    environment.filters["up"] = text_up
    environment.filters["wilson"] = _interval
    return environment


def _interval(fraction: float, count: int) -> str:
    """Wilson's interval, rounded outward."""
    low, high = wilson(fraction, count)
    return f"{percent(low, 1, 'down')} to {percent(high, 1, 'up')}"


def plain(text: object) -> str:
    """Text of the user's on one line, with what cannot be seen or would turn it written out."""
    shown = "".join(
        c if c.isprintable() or c in _JOINERS else c.encode("unicode_escape").decode()
        for c in str(text)
    )
    return shown if shown.strip() else "(no name)"


def _provenance(session: CertifiedSession, source: Source, count: int) -> dict[str, Any]:
    spec, proof = session.network.input, session.proof.to_json()
    box = [] if spec.images else _box(session)
    time = datetime.now(timezone.utc) if source.time is None else source.time
    return {
        "source": source,
        "time": time.strftime("%Y-%m-%d %H:%M UTC"),
        "count": count,
        "digest": session.sha256,
        "shape": " × ".join(map(str, spec.shape)),
        "images": spec.images,
        "per_eps": "pixels in [0, 1]" if spec.images else "multiples of the unit of each feature",
        "lipschitz": proof["lipschitz"],
        "error_bound": proof["error_bound"],
        "kind": proof["radius"],
        "file_eps": proof["eps"],
        "versions": [
            ("sortnet", __version__),
            ("ONNX Runtime", onnxruntime.__version__),
            ("onnx", onnx.__version__),
            ("NumPy", np.__version__),
            ("Python", platform.python_version()),
            ("system", f"{platform.system()} {platform.machine()}"),
        ],
        "box": box,
        "features_left_out": max(0, math.prod(spec.shape) - _BOX_ROWS) if len(box) > 1 else 0,
    }


_BOX_ROWS = 100


def _box(session: CertifiedSession) -> Sequence[tuple[str, float, float, float]]:
    """Name, ends and unit of the first features."""
    spec = session.network.input
    if all((array == array.flat[0]).all() for array in (spec.low, spec.high, spec.unit)):
        low, high, unit = (float(a.flat[0]) for a in (spec.low, spec.high, spec.unit))
        return [("every feature", low, high, unit)]
    ends = (array.reshape(-1)[:_BOX_ROWS].tolist() for array in (spec.low, spec.high, spec.unit))
    return list(zip(samples.feature_names(session)[:_BOX_ROWS], *ends, strict=True))
