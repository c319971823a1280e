"""Sampled checks: a property, run on cases that Hypothesis draws, the same ones every time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def sample(check: Callable[..., object], *strategies: SearchStrategy[Any], examples: int) -> None:
    """Call ``check`` on ``examples`` drawn argument lists.

    Raises:
        Refuted: by ``check``, on the simplest counterexample found.
        ModuleNotFoundError: Hypothesis is not installed.
    """
    from hypothesis import HealthCheck, given, settings
    from hypothesis.strategies import tuples

    def judge(drawn: tuple[Any, ...]) -> None:
        check(*drawn)  # what it found is for people; Hypothesis wants no answer

    run = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )(given(tuples(*strategies))(judge))
    run()
