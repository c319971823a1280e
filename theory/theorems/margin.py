"""The margin certificate.

**Statement.** If every logit f_j is 1-Lipschitz in l-inf and y has the largest logit at x, then
at every x' with ||x' - x|| < r(x) = (f_y(x) - max_(j != y) f_j(x)) / 2 the logit of y is still
strictly the largest; at distance r(x) it is still *a* largest one.

**Proof.** f_y falls by at most ||x' - x|| and every other logit rises by at most as much.

The second half of the statement is where the usual wording is loose: at distance exactly r(x)
two logits may be equal, and then the answer depends on how ties are broken (:func:`tie`).

The link from weights to "1-Lipschitz" is the rest of the chain: sorting does not stretch l-inf
distances (|x_(k) - y_(k)| <= ||x - y||), nor do rows or weights of absolute sum <= 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from ..objects.exact import ONE, Number, Vector, check_integer, distance, fraction, not_negative
from ..objects.networks import Affine, Network, expect_network
from ..objects.results import Check, Evidence, Result, require
from ..objects.sampling import sample


def prediction(logits: Sequence[Fraction]) -> int:
    """The class with the largest logit [C], the first one where several are equal.

    Raises:
        ValueError: there are no logits.
    """
    if not logits:
        raise ValueError("expected at least one logit")
    return max(range(len(logits)), key=lambda j: (logits[j], -j))


def radius(logits: Sequence[Fraction], label: int | None = None) -> Fraction:
    """Half the gap between the logit of ``label`` (default: the largest) and the best other one.

    Args:
        logits: [C], C >= 2.
        label: a class in 0..C-1; the radius is negative where it is not the prediction.

    Raises:
        ValueError: fewer than two logits, or no such class.
    """
    if len(logits) < 2:
        raise ValueError(f"expected at least two logits, got {len(logits)}")
    y = prediction(logits) if label is None else label
    check_integer("class", y, 0, len(logits) - 1)
    return (logits[y] - max(v for j, v in enumerate(logits) if j != y)) / 2


def check_certificate(
    network: Network,
    x: Vector,
    direction: Vector,
    stretch: Fraction = ONE,
    *,
    norm: Number = 1,
) -> None:
    """Move x by ``stretch`` times its radius along ``direction``.

    Args:
        network: at least two logits.
        x: [width_in].
        direction: [width_in], of l-inf norm <= 1.
        stretch: 1 in the theorem.
        norm: a Lipschitz constant of the logits, > 0, such as :attr:`.networks.Network.norm`: the
            radius is half the margin divided by it.

    Raises:
        Refuted: the label's logit is no longer a largest one.
        ValueError: an argument is out of range. (Logits of norm 0 are constant: no radius.)
    """
    expect_network(network)
    constant = fraction(norm)
    if constant <= 0:
        raise ValueError(f"expected a norm > 0, got {constant}")
    if len(direction) != len(x) or any(abs(v) > 1 for v in direction):
        raise ValueError(f"expected a direction of {len(x)} entries in [-1, 1], got {direction}")
    logits = network(x)
    y, r = prediction(logits), radius(logits) / constant
    moved = tuple(a + stretch * r * v for a, v in zip(x, direction, strict=True))
    after = network(moved)
    require(
        after[y] == max(after),
        f"label {y} with radius {r} at {x} is lost at {moved}: {logits} -> {after}, {network}",
    )


def check_lipschitz(network: Network, x: Vector, y: Vector, norm: Number = 1) -> None:
    """Compare every output's change between two points with ``norm`` times their distance.

    Raises:
        Refuted: an output moves further.
        ValueError: a point does not fit the network, or the norm is negative.
    """
    expect_network(network)
    constant = not_negative("norm", norm)
    moved, allowed = distance(network(x), network(y)), constant * distance(x, y)
    require(
        moved <= allowed, f"the outputs at {x} and {y} are {moved} > {allowed} apart: {network}"
    )


def tie() -> tuple[Network, Vector, Vector]:
    """Logits (x, -x) at x = 1 with radius 1, and the point 0 at distance 1 where they tie."""
    return Network((Affine(((ONE,), (-ONE,))),)), (ONE,), (ONE - 1,)


def _sampled(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples = 3000 if thorough else 150
    case = st.tuples(st.integers(1, 4), st.integers(2, 3)).flatmap(
        lambda n: st.tuples(
            draw.networks(d=n[0], outputs=n[1]),
            draw.points(d=n[0], low=-2, high=2),
            draw.directions(d=n[0]),
        )
    )
    sample(lambda drawn: check_certificate(*drawn), case, examples=examples)
    return Evidence(
        "sampled", f"{examples} networks of all families, points and directions, d <= 4"
    )


def _sampled_lipschitz(thorough: bool) -> Evidence:
    from hypothesis import strategies as st

    from ..objects import strategies as draw

    examples = 3000 if thorough else 200
    case = st.integers(1, 4).flatmap(
        lambda d: st.tuples(
            draw.networks(d=d), draw.points(d=d, low=-2, high=2), draw.points(d=d, low=-2, high=2)
        )
    )
    sample(lambda drawn: check_lipschitz(*drawn), case, examples=examples)
    return Evidence("sampled", f"{examples} networks of all families and pairs of points, d <= 4")


def _tight(thorough: bool) -> Evidence:
    network, x, moved = tie()
    require(radius(network(x)) == distance(x, moved), "the radius is not the distance to the tie")
    require(len(set(network(moved))) == 1, "there is no tie at the distance of the radius")
    return Evidence("exact", "logits (x, -x): the radius is the distance to a tie", 1)


RESULT = Result(
    "margin certificate",
    "With logits 1-Lipschitz in l-inf, the label at x stays strictly first within half the margin.",
    (
        Check(
            "the label stays a largest logit under every drawn move within the radius",
            "sampled",
            _sampled,
        ),
        Check("the radius cannot be enlarged: a tie at exactly that distance", "exact", _tight),
    ),
    coq=(
        "margin_certificate",
        "margin_certificate_closed",
        "weights_to_radius",
        "weights_to_radius_norm",
        "computed_margin",
        "rounded_certificate",
    ),
)

LIPSCHITZ = Result(
    "1-Lipschitz",
    "Networks of affine rows and SortNet weights of absolute sum <= 1, 1-Lipschitz functions per "
    "unit, GroupSort, distances and shifts are 1-Lipschitz in l-inf.",
    (
        Check(
            "outputs of the drawn networks move no further than inputs",
            "sampled",
            _sampled_lipschitz,
        ),
    ),
    coq=(
        "network_lipschitz",
        "network_norm",
        "sortnet_neuron_lipschitz",
        "order_stat_lipschitz",
    ),
)
