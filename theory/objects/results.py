"""What a result is: a statement, and checks that say how far they reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Kind = Literal["exhaustive", "exact", "sampled"]


class Refuted(AssertionError):  # noqa: N818 - says what happened, not that the program erred
    """A check found a case in which the statement is false; the message shows it."""


@dataclass(frozen=True)
class Evidence:
    """How far a check that passed reaches.

    Args:
        kind: "exhaustive" (every case of a finite set, exact arithmetic), "exact" (exact
            arithmetic on the networks counted) or "sampled" (cases drawn by Hypothesis).
        range: the cases, in words.
        networks: for "exact", how many networks were checked.
    """

    kind: Kind
    range: str
    networks: int = 0

    @property
    def known_by(self) -> str:
        if self.kind == "exact":
            return f"exact on {self.networks} network{'' if self.networks == 1 else 's'}"
        return self.kind


@dataclass(frozen=True)
class Comparison:
    """What a check reached, beside the bound that it held it to.

    Args:
        reached: the network's own figure.
        limit: what the theorem allows.
        family: the family whose bound was used, in words.
        mass: what that family's lemma allows an output of norm 1.
    """

    reached: Fraction
    limit: Fraction
    family: str
    mass: Fraction

    def __str__(self) -> str:
        return f"{self.reached}, held to {self.limit} by the bound of {self.family}"


@dataclass(frozen=True)
class Check:
    """One way in which a result is checked.

    Args:
        name: what is checked, in a few words.
        run: called with ``thorough``; returns its evidence or raises :class:`Refuted`.
        kind: the kind of evidence that ``run`` returns.
    """

    name: str
    kind: Kind
    run: Callable[[bool], Evidence]


@dataclass(frozen=True)
class Result:
    """A theorem, lemma or identity.

    Args:
        number: its number in the paper, or a short name.
        statement: one sentence, complete with its hypotheses.
        checks: how it is checked here.
        coq: names of the Coq theorems that prove it, for the rows *proved in Coq*.
    """

    number: str
    statement: str
    checks: tuple[Check, ...]
    coq: tuple[str, ...] = ()


def require(condition: bool, message: str) -> None:
    """Raise :class:`Refuted` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise Refuted(message)
