"""Piecewise-linear functions in lattice form: a max of mins of affine pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .exact import Number, check_integer, vector
from .networks import Affine


@dataclass(frozen=True)
class LatticeForm:
    """f(x) = max over terms of min over the term's pieces.

    Args:
        pieces: affine functions, one for each output of the layer.
        terms: non-empty sets of piece numbers, at least one.

    Raises:
        ValueError: no term, an empty term or an unknown piece.
    """

    pieces: Affine
    terms: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(tuple(term) for term in self.terms))
        if not self.terms or not all(self.terms):
            raise ValueError(f"expected non-empty sets of pieces, got {self.terms}")
        for piece in {j for term in self.terms for j in term}:
            check_integer("piece", piece, 0, self.pieces.width_out - 1)

    @property
    def d(self) -> int:
        return self.pieces.width_in

    def __call__(self, x: Sequence[Number]) -> Fraction:
        values = self.pieces(vector(x))
        return max(min(values[j] for j in term) for term in self.terms)
