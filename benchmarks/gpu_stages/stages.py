"""All stages with their time limits."""

from __future__ import annotations

from collections.abc import Callable

from .kernels import build, check, speed
from .processes import sanitizer, tests
from .reference import reference
from .setup import Record, Setup
from .training import curve, step

# What each stage is given at most, in seconds; in order of what must not be missed.
STAGES: dict[str, tuple[Callable[[Setup, Record], None], float]] = {
    "build": (build, 180),
    "check": (check, 120),
    "speed": (speed, 240),
    "tests": (tests, 420),
    "reference": (reference, 600),
    "step": (step, 300),
    "sanitizer": (sanitizer, 480),
    "curve": (curve, 1800),
}
