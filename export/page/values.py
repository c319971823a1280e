"""What the page of a regression says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sortnet.base.units import float32_up, text_down, text_up
from sortnet.data.sets import Split

from ..report import exact
from ..session import CertifiedSession
from ..values import ValueReport, value_claim
from . import charts, samples


def content(report: ValueReport, session: CertifiedSession, split: Split) -> dict[str, Any]:
    """The variables of values.html."""
    epsilons = sorted(report.lower, key=exact)
    points = [float(exact(eps)) for eps in epsilons]
    rows = [
        {
            "eps": eps,
            "worst": report.worst_error(eps),
            "width": float(report.width(eps).mean()),
            "widths": np.percentile(report.width(eps), (0, 50, 100)).tolist(),
            "contained": report.contained(eps),
        }
        for eps in epsilons
    ]
    said = ", ".join(f"{text_up(report.worst_error(eps))} at {eps}" for eps in epsilons)
    return {
        "rows": rows,
        "error": report.error,
        "chart": charts.value_bounds(
            "errors",
            points,
            report.error,
            [report.worst_error(eps) for eps in epsilons],
            f"Mean absolute error against ε: clean {report.error:.4g}; at most {said}. "
            "The table has the same.",
        ),
        "groups": list(_groups(report, session, split, epsilons)),
        "as_rows": samples.as_rows(session),
        "features_found": samples.features_found(session),
        "epsilons": epsilons,
        "claim": value_claim(session.network),
        "seconds": report.seconds,
    }


def _groups(
    report: ValueReport, session: CertifiedSession, split: Split, epsilons: list[str]
) -> Iterator[dict[str, Any]]:
    last = epsilons[-1]
    width, worst = report.width(last), report.worst(last)
    chosen = (
        ("The narrowest bounds", width),
        ("The widest bounds", -width),
        ("The largest error in the ball", -worst),
    )
    for place, (title, order) in enumerate(chosen):
        rows = np.argsort(order, kind="stable")[: samples.SHOWN].tolist()
        # A sample may stand in two groups, where its chart needs a name each.
        shown = [_sample(report, session, split, epsilons, i, f"group{place}at{i}") for i in rows]
        yield {"title": title, "samples": shown}


def _sample(
    report: ValueReport,
    session: CertifiedSession,
    split: Split,
    epsilons: list[str],
    i: int,
    name: str,
) -> samples.Sample:
    x, last = samples.pick(split, i), epsilons[-1]
    lower, upper = float(report.lower[last][i]), float(report.upper[last][i])
    bounds = f"{text_down(lower)} to {text_up(upper)}"
    facts = (
        ("truth", f"{report.truth[i]:.4g}"),
        ("value", f"{report.value[i]:.4g}"),
        (f"bounds at {last}", bounds),
        (f"error at {last} at most", text_up(report.worst(last)[i])),
    )
    shown = samples.look(session, x, name, f"sample {i}, bounds {bounds}")
    small = float32_up(exact(epsilons[0]))
    rows = samples.features(session, x, small) if samples.features_found(session) else ()
    return samples.Sample(i, report.names[i], shown, rows, facts)
