"""Universality, constructively: McShane's extension from an eta-net.

**Statement.** Let f be 1-Lipschitz on [0,1]^d and c_1, ..., c_n an eta-net: every point of the
cube is within eta of a centre. Then h(x) = max_i (f(c_i) - ||x - c_i||_inf) satisfies
f - 2 eta <= h <= f, and h is an l-inf distance network of two layers (hence a SortNet).

**Proof.** f(c_i) - ||x - c_i|| <= f(x) for every i; for the nearest centre it is at least
f(x) - 2 ||x - c_i||. The first layer computes z_i = ||x - c_i|| - f(c_i), the second, from a
large centre C, max |z_i - C| = C - min z_i.

**Tight, and halved for free (ours).** f = -||x - x_0|| with x_0 at distance eta from all centres
loses exactly 2 eta. As the error has one sign, adding eta to h makes it at most eta.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product

from ..objects.exact import ONE, ZERO, Vector, check_dimension, check_integer, distance, vector
from ..objects.networks import Distance, DistanceNetwork
from ..objects.results import Check, Evidence, Result, require
from ..objects.sampling import sample

Function = Callable[[Vector], Fraction]


def net(d: int, cells: int) -> tuple[Vector, ...]:
    """The centres of cells^d equal cubes: an eta-net of [0,1]^d with eta = 1/(2 cells).

    Raises:
        ValueError: d < 1 or cells < 1.
    """
    check_dimension(d)
    check_integer("number of cells", cells, 1)
    side = [Fraction(2 * i + 1, 2 * cells) for i in range(cells)]
    return tuple(product(side, repeat=d))


def approximator(f: Function, d: int, cells: int, *, centred: bool = False) -> DistanceNetwork:
    """The two-layer l-inf distance network h for f on the net of :func:`net`.

    Args:
        f: 1-Lipschitz on [0,1]^d.
        d: >= 1.
        cells: per axis, >= 1; the hidden width is cells^d.
        centred: add eta, which halves the error.

    Raises:
        ValueError: d < 1 or cells < 1.
    """
    centres = net(d, cells)
    values = vector(f(c) for c in centres)
    far = ONE - min(values)  # the largest value of a first-layer unit on the cube
    shift = Fraction(1, 2 * cells) if centred else ZERO
    hidden = Distance(centres, tuple(-v for v in values))
    return DistanceNetwork((hidden, Distance(((far,) * len(centres),), (shift - far,))))


def check_error(f: Function, x: Vector, cells: int, factor: Fraction = ONE) -> None:
    """Check 0 <= f - h <= ``factor`` * 2 eta, and the centred |f - h| <= ``factor`` * eta, at x
    in [0,1]^d.

    Raises:
        Refuted: one of them fails.
        ValueError: x is not in [0,1]^d, d >= 1, or cells < 1.
    """
    x, d = vector(x), len(x)
    check_dimension(d)
    if any(not 0 <= v <= 1 for v in x):
        raise ValueError(f"expected a point of [0,1]^{d}, got {x}")
    gap = f(x) - approximator(f, d, cells)(x)[0]
    eta = Fraction(1, 2 * cells)
    require(0 <= gap <= factor * 2 * eta, f"f - h = {gap}, not in [0, {factor * 2 * eta}], at {x}")
    centred = abs(f(x) - approximator(f, d, cells, centred=True)(x)[0])
    require(centred <= factor * eta, f"|f - h| = {centred} > {factor * eta} at {x}")


def tight_example(d: int, cells: int) -> tuple[Function, Vector]:
    """f = -||x - x_0|| with x_0 = 0, a corner at distance eta from the nearest centre.

    Raises:
        ValueError: d < 1 or cells < 1.
    """
    net(d, cells)
    corner = (ZERO,) * d
    return (lambda x: -distance(x, corner)), corner


def _tight(thorough: bool) -> Evidence:
    count = 0
    for d in (1, 2, 3):
        for cells in range(1, 7 if thorough else 5):
            f, x = tight_example(d, cells)
            gap = f(x) - approximator(f, d, cells)(x)[0]
            require(gap == Fraction(1, cells), f"the gap is {gap}, not 2 eta = 1/{cells}")
            count += 1
    return Evidence("exact", f"2 eta is reached, d <= 3, up to {6 if thorough else 4} cells", count)


def _sampled(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples = 1000 if thorough else 100
    case = st.integers(1, 3).flatmap(
        lambda d: st.tuples(draw.lattice_forms(d=d), draw.points(d=d), st.integers(1, 3))
    )
    sample(lambda drawn: check_error(*drawn), case, examples=examples)
    return Evidence("sampled", f"{examples} piecewise-linear functions and points, d <= 3")


RESULT = Result(
    "McShane",
    "From an eta-net, a two-layer l-inf distance network approximates any 1-Lipschitz function "
    "on [0,1]^d within 2 eta from below, and within eta once centred.",
    (
        Check("f - h is in [0, 2 eta], centred |f - h| <= eta", "sampled", _sampled),
        Check("f - h = 2 eta is reached", "exact", _tight),
    ),
)
