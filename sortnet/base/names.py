"""Names in messages: the nearest known one to a misspelt one, features, numbers of samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

FROM_ZERO = " (numbers count from 0)"
"""Ends a message that names a sample, a row or a feature by its number."""


def feature_name(at: int, names: Sequence[str] | None) -> str:
    """How messages call feature `at` of a flattened sample."""
    return f"feature {at}" if names is None else repr(names[at])


def as_written(value: object) -> str:
    """An option's value as it stands on a command line; "nothing" for none."""
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "nothing"
    return "nothing" if value is None else str(value)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause for an error message: "; did you mean 'mnist-0.1'?", or "" if nothing is near.

    Upper and lower case, and - and _, count as the same.
    """
    spelt = {_plain(other): other for other in known}
    near = get_close_matches(_plain(name), spelt, n=1)
    return f"; did you mean {spelt[near[0]]!r}?" if near else ""


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")
