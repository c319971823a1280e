"""Samples as they are shown: pictures, signals, or rows with the features that matter most."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from sortnet.certificate.rounding import Array
from sortnet.data.sets import Split

from ..report import into_ball
from ..session import CertifiedSession, FloatArray
from . import charts

SHOWN = 6
"""Samples of each group."""

FEATURES = 5
"""Features of each row."""

MOST_FEATURES = 4096
"""Samples of more features are shown without those that matter: it would take too many runs."""

_BATCH = 512


@dataclass(frozen=True)
class Feature:
    """A feature of one sample, and what moving it alone by eps units does.

    Attributes:
        name, value: of the feature. up, down: change of the margin (of a regression: of the value)
            when it moves up, and down.
    """

    name: str
    value: float
    up: str
    down: str


@dataclass(frozen=True)
class Sample:
    """One sample: number, name, look or features that matter, facts, and whether it is wrong."""

    number: int
    name: str
    look: Markup | None
    features: tuple[Feature, ...]
    facts: tuple[tuple[str, str], ...]
    wrong: bool = False


def feature_names(session: CertifiedSession) -> tuple[str, ...]:
    """Of all features in C order: those of the file, else their place."""
    if session.feature_names is not None:
        return session.feature_names
    shape = session.network.input_shape
    if len(shape) == 1:
        return tuple(f"feature {i}" for i in range(shape[0]))
    return tuple(str(list(map(int, place))) for place in np.ndindex(*shape))


def as_rows(session: CertifiedSession) -> bool:
    """Whether samples are neither images nor signals."""
    return len(session.network.input_shape) not in (2, 3)


def features_found(session: CertifiedSession) -> bool:
    """Whether the features that matter are looked for."""
    return as_rows(session) and math.prod(session.network.input_shape) <= MOST_FEATURES


def look(session: CertifiedSession, x: FloatArray, name: str, label: str) -> Markup | None:
    """A picture of an image [C, H, W] or a signal [C, T]; None for what is shown as a row.

    Args:
        name: of letters and digits, another one for each sample of a page.
        label: what a screen reader says in its place.
    """
    spec = session.network.input
    if as_rows(session):
        return None
    if x.ndim == 2 and len(x) <= charts.CHANNELS_AS_LINES:
        return charts.signal(name, x, spec.low, spec.high, label)
    pixels, low, high = (a if a.ndim == 3 else a[None] for a in (x, spec.low, spec.high))
    data = base64.b64encode(charts.picture(pixels, low, high)).decode()
    return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(label, data)


def features(session: CertifiedSession, x: FloatArray, eps: float) -> tuple[Feature, ...]:
    """The features of one sample whose move changes the answer's margin (or the value) most.

    Each feature is moved alone, by eps of its units up and down (not beyond the box), and the file
    is run: 2 runs for each feature that can change.

    Args:
        x: float32 [*shape]. eps: a float32.

    Returns:
        At most `FEATURES`, the largest change of the margin downwards first (of a value: the
        largest change either way); only those with such a change.
    """
    if not session.in_box(x[None])[0]:
        return ()  # there is no ball around it
    spec = session.network.input
    size = math.prod(spec.shape)
    label = 0 if session.network.regression else int(session.predict(x[None]).label[0])
    start = _merit(session, x[None], label)[0]
    changes = np.zeros((2, size))
    free = np.flatnonzero(spec.unit.reshape(-1) > 0)
    for way, sign in enumerate((1.0, -1.0)):
        for first in range(0, len(free), _BATCH):
            some = free[first : first + _BATCH]
            around = np.repeat(x[None], len(some), axis=0)
            points = around.copy().reshape(len(some), -1)
            with np.errstate(over="ignore"):  # clipped to the ball below
                step = np.float32(2 * sign * eps) * spec.unit.reshape(-1)[some]
                points[np.arange(len(some)), some] += step
            inside = into_ball(points.reshape(around.shape), around, eps, spec)
            changes[way, some] = _merit(session, inside, label) - start
    weight = np.abs(changes).max(0) if session.network.regression else -changes.min(0)
    order = [i for i in np.argsort(-weight, kind="stable")[:FEATURES] if weight[i] > 0]
    names, flat = feature_names(session), x.reshape(-1)
    return tuple(
        Feature(
            names[i],
            float(flat[i]),
            _signed(changes[0, i]),
            _signed(changes[1, i]),
        )
        for i in order
    )


def _signed(change: float) -> str:
    return f"{change:+.2g}".replace("-", "−") if change else "0"


def _merit(session: CertifiedSession, x: FloatArray, label: int) -> Array:
    """[N]: the value of a regression; else the label's logit less the best of the others."""
    if session.network.regression:
        return session.predict_interval(x).value.astype(np.float64)
    logits = session.predict(x).logits.astype(np.float64)
    others = np.delete(logits, label, axis=1)
    merit: Array = logits[:, label] - others.max(1)
    return merit


def pick(split: Split, index: int) -> FloatArray:
    """One sample, float32 [*shape]."""
    x: FloatArray = split.floats(np.array([index]))[0]
    return x
