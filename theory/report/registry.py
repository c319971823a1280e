"""The table of all results, in the order in which the documentation tells them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from ..objects.results import Result
from ..search.checks import CHECKS

DEFINITIONS = Result(
    "definitions",
    "The terms of the Coq statements mean what they should: norm, sort, order statistics, cyclic "
    "points, families.",
    (),
    coq=("norm_is_max", "sort_sorts", "order_stat_counts", "cyclic_ones", "families"),
)


@cache
def results() -> tuple[Result, ...]:
    """Every result with its checks, searches last; its modules are imported here, not before."""
    from ..theorems import (
        boolean_impossibility,
        circuits,
        dropout_identity,
        linf_dist,
        margin,
        mass,
        maxmin_depth,
        mcshane,
        order_statistics,
        piecewise_linear,
        sortnet_expressivity,
    )

    told = (
        DEFINITIONS,
        margin.RESULT,
        margin.LIPSCHITZ,
        mass.RESULT,
        boolean_impossibility.RESULT,
        order_statistics.RESULT,
        linf_dist.RESULT,
        linf_dist.CEILING,
        maxmin_depth.RESULT,
        circuits.RESULT,
        sortnet_expressivity.DISTANCE,
        sortnet_expressivity.GROUP_SORT,
        piecewise_linear.RESULT,
        piecewise_linear.LOWER_BOUND,
        mcshane.RESULT,
        dropout_identity.RESULT,
    )
    return tuple(replace(r, checks=r.checks + CHECKS.get(r.number, ())) for r in told)


def select(only: str | None = None) -> tuple[Result, ...]:
    """The results called ``only`` (its number or name), all by default.

    Raises:
        ValueError: there is no such result; the message lists them.
    """
    chosen = tuple(result for result in results() if only in (None, result.number))
    if not chosen:
        names = ", ".join(result.number for result in results())
        raise ValueError(f"no result is called {only!r}; there are: {names}")
    return chosen
