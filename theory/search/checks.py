"""What the searches add to the checks of each theorem; torch is imported when one runs."""

from __future__ import annotations

from collections.abc import Callable

from ..objects.results import Check, Evidence


def _search(name: str, family: str) -> Callable[[bool], Evidence]:
    def run(thorough: bool) -> Evidence:
        from . import trained

        evidence: Evidence = getattr(trained, name)(family, thorough)
        return evidence

    return run


def _check(text: str, name: str, family: str) -> Check:
    return Check(text, "exact", _search(name, family))


CHECKS = {
    "3.5": (
        _check(
            "no standard network found by gradient training crosses 1/(2d)",
            "within_radius_bound",
            "standard",
        ),
    ),
    "3.6": (
        _check(
            "no standard network found by gradient training is nearer",
            "within_error_bound",
            "standard",
        ),
    ),
    "3.8": (
        _check("trained distance networks cross 1/(2d)", "crosses", "l-inf distance"),
        _check("trained SortNets cross 1/(2d)", "crosses", "SortNet"),
    ),
    "3.9": (
        _check(
            "trained MaxMin networks stay within the radius bound", "within_radius_bound", "MaxMin"
        ),
        _check(
            "trained MaxMin networks stay within the error bound", "within_error_bound", "MaxMin"
        ),
        _check("trained MaxMin networks cross 1/(2d)", "crosses", "MaxMin"),
    ),
}
"""Number of a result -> what searching adds to its own checks."""
