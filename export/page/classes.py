"""What the page of a classifier says."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from sortnet.base.percent import certified_percent, percent
from sortnet.base.units import float32_up, text_down
from sortnet.certificate.rounding import Array
from sortnet.data.sets import Split

from ..report import Report, claim, exact
from ..session import BoolArray, CertifiedSession
from . import charts, samples

PANELS = 12
"""Up to so many classes have a chart each; the table has them all."""

OUTSIDE = 10
"""So many samples outside of the box are listed."""

QUANTILES = (0, 5, 25, 50, 75, 95, 100)


def content(report: Report, session: CertifiedSession, split: Split) -> dict[str, Any]:
    """The variables of classes.html."""
    epsilons = sorted(report.certified, key=exact)
    points = [float(exact(eps)) for eps in epsilons]
    right = report.label == report.truth
    margin = session.proof.to_json()["radius"] == "margin"
    return {
        "epsilons": epsilons,
        "attacked": bool(report.fooled),
        "clean": report.clean,
        "rows": [
            {
                "eps": eps,
                "certified": report.certified_accuracy(eps),
                "attacked": report.attacked_accuracy(eps) if report.fooled else None,
            }
            for eps in epsilons
        ],
        "margin": margin,
        "chart": _chart("accuracy", report, np.ones_like(right), epsilons, points, margin, "all"),
        "classes": list(_classes(report, session, epsilons, points, margin)),
        "histogram": _histogram(report, points) if margin else None,
        "quantiles": [
            {
                "name": name,
                "count": int(part.sum()),
                "values": np.percentile(report.radius[part], QUANTILES, method="lower").tolist(),
            }
            for name, part in (("right answers", right), ("wrong answers", ~right))
            if part.any()
        ],
        "levels": QUANTILES,
        "outside": {
            "count": len(report.outside),
            "rows": [_outside(report, session, split, i) for i in report.outside[:OUTSIDE]],
        },
        "groups": list(_groups(report, session, split, epsilons)),
        "as_rows": samples.as_rows(session),
        "features_found": samples.features_found(session),
        "claim": claim(session.network),
        "seconds": report.seconds,
    }


def class_name(session: CertifiedSession, label: int) -> str:
    """As the file says, else its number."""
    return str(label) if session.class_names is None else session.class_names[label]


def _chart(
    name: str,
    report: Report,
    part: BoolArray,
    epsilons: list[str],
    points: list[float],
    margin: bool,
    who: str,
) -> Any:
    right = (report.label == report.truth)[part]
    certified = [float((report.certified[eps][part] & right).mean()) for eps in epsilons]
    attacked = (
        [float((right & ~report.fooled[eps][part]).mean()) for eps in epsilons]
        if report.fooled
        else None
    )
    clean = float(right.mean())
    said = ", ".join(
        f"{certified_percent(c, 1)} at {e}" for e, c in zip(epsilons, certified, strict=True)
    )
    return charts.accuracy(
        name,
        points,
        certified,
        attacked,
        clean,
        np.where(right, report.radius[part], 0) if margin else None,
        f"Accuracy against ε, {who}: clean {percent(clean, 1)}; certified {said}. "
        "The table has the same.",
        small=name != "accuracy",
    )


def _classes(
    report: Report,
    session: CertifiedSession,
    epsilons: list[str],
    points: list[float],
    margin: bool,
) -> Iterator[dict[str, Any]]:
    right = report.label == report.truth
    few = session.network.classes <= PANELS
    for label in range(session.network.classes):
        part = report.truth == label
        row: dict[str, Any] = {
            "name": class_name(session, label),
            "count": int(part.sum()),
            "chart": None,
        }
        if part.any():
            mine = right[part]
            row |= {
                "clean": float(mine.mean()),
                "certified": [float((report.certified[e][part] & mine).mean()) for e in epsilons],
                "attacked": [float((mine & ~report.fooled[e][part]).mean()) for e in epsilons]
                if report.fooled
                else [],
                "radius": float(np.median(report.radius[part][mine])) if mine.any() else None,
            }
            if few:
                # Numbers, not names: no text of the user's enters a chart.
                who = f"class {label}"
                row["chart"] = _chart(f"class{label}", report, part, epsilons, points, margin, who)
        yield row


def _histogram(report: Report, points: list[float]) -> Any:
    right = report.label == report.truth
    middle = float(np.median(report.radius))
    return charts.radius_histogram(
        "radii",
        report.radius[right],
        report.radius[~right],
        points,
        f"Certified radii, median {text_down(middle)}; the table has quantiles.",
    )


def _groups(
    report: Report, session: CertifiedSession, split: Split, epsilons: list[str]
) -> Iterator[dict[str, Any]]:
    """The samples with the smallest and the largest radii; a certificate at eps counts as eps."""
    reach = report.radius.astype(np.float64)
    for eps in epsilons:
        reach = np.where(report.certified[eps], np.maximum(reach, float(exact(eps))), reach)
    right = report.label == report.truth
    # Of few samples, none stands in both groups.
    half = -(-int(right.sum()) // 2)
    chosen: tuple[tuple[str, Array], ...] = (
        ("Right, with the smallest radius", _first(reach, right)[:half]),
        ("Right, with the largest radius", _first(-reach, right)[: int(right.sum()) - half]),
        ("Wrong, with the largest radius", _first(-reach, ~right)),
    )
    for title, rows in chosen:
        if len(rows):
            shown = [_sample(report, session, split, epsilons, i) for i in rows.tolist()]
            yield {"title": title, "samples": shown}


def _outside(report: Report, session: CertifiedSession, split: Split, i: int) -> dict[str, Any]:
    """A sample outside of the box, and its first feature there."""
    x, spec = samples.pick(split, i), session.network.input
    places = np.flatnonzero((x < spec.low) | (x > spec.high))
    at = int(places[0])
    return {
        "name": report.names[i],
        "truth": class_name(session, int(report.truth[i])),
        "answer": class_name(session, int(report.label[i])),
        "features": len(places),
        "feature": samples.feature_names(session)[at],
        "value": x.flat[at],
        "low": spec.low.flat[at],
        "high": spec.high.flat[at],
    }


def _first(order: Array, part: BoolArray) -> Array:
    rows = np.flatnonzero(part)
    return rows[np.argsort(order[rows], kind="stable")[: samples.SHOWN]]


def _reach(proved: list[str], radius: float) -> str:
    """The largest eps asked for that is proved, and by what where the margin does not reach it."""
    if not proved:
        return "no ε asked for"
    return proved[-1] + (" (by interval bounds)" if exact(proved[-1]) > Fraction(radius) else "")


def _sample(
    report: Report, session: CertifiedSession, split: Split, epsilons: list[str], i: int
) -> samples.Sample:
    x = samples.pick(split, i)
    radius = float(report.radius[i])
    proved = [eps for eps in epsilons if report.certified[eps][i]]
    fooled = [eps for eps in report.fooled if report.fooled[eps][i]]
    facts = [
        ("truth", class_name(session, int(report.truth[i]))),
        ("answer", class_name(session, int(report.label[i]))),
        ("radius, by the margin", text_down(radius)),
        ("certified up to", _reach(proved, radius)),
    ]
    if fooled:
        facts.append(("attack succeeds from", min(fooled, key=exact)))
    small = float32_up(exact(epsilons[0]))
    shown = samples.look(session, x, f"sample{i}", f"sample {i}, radius {text_down(radius)}")
    rows = samples.features(session, x, small) if samples.features_found(session) else ()
    wrong = report.label[i] != report.truth[i]
    return samples.Sample(i, report.names[i], shown, rows, tuple(facts), bool(wrong))
