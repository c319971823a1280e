"""A wrong theorem is caught: every bound tightened by 1 %, every hypothesis dropped.

Each case hands a property of the theory a statement that is false, but only just, and asks for a
counterexample within Hypothesis's default budget of 100 examples.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from sortnet.theory.objects import strategies as draw
from sortnet.theory.objects.boolean import BooleanFunction, Pairs, cyclic_pairs
from sortnet.theory.objects.exact import vertices
from sortnet.theory.objects.networks import (
    Affine,
    GroupSort,
    GroupSortNetwork,
    Network,
    StandardNetwork,
)
from sortnet.theory.objects.results import Refuted
from sortnet.theory.theorems import (
    boolean_impossibility,
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
from sortnet.theory.theorems.circuits import count_bound, minimal_depths

TIGHTER, ABOVE, TWO = Fraction(99, 100), Fraction(101, 100), Fraction(2)
BUDGET = 100  # Hypothesis's default


def is_refuted(check: Callable[..., object], strategy: st.SearchStrategy[Any]) -> None:
    """Fail unless ``check`` is refuted on some drawn argument tuple."""

    def judge(arguments: tuple[Any, ...]) -> None:
        check(*arguments)

    test = settings(
        max_examples=BUDGET,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(given(strategy)(judge))
    with pytest.raises(Refuted):
        test()


def over_d(make: Callable[[int], st.SearchStrategy[Any]], low: int = 2, high: int = 4) -> Any:
    """Cases for a dimension of 2 to 4: at d = 1 many bounds are met by anything."""
    return st.integers(low, high).flatmap(make)


def networks_with_pairs(**options: Any) -> Any:
    return over_d(
        lambda d: st.tuples(
            draw.standard_networks(d=d, **options), draw.single_coordinate_pairs(d=d)
        )
    )


def check_unit_mass(network: Network, pairs: Any, bound: Fraction = Fraction(1)) -> None:
    mass.check_mass(network, pairs, [bound] * len(network.layers))


MASS = {
    "bound 0.99": (lambda n, p: check_unit_mass(n, p, TIGHTER), networks_with_pairs()),
    "row sum 1.01": (check_unit_mass, networks_with_pairs(norm=ABOVE)),
    "2-Lipschitz activation": (check_unit_mass, networks_with_pairs(slope=TWO)),
    "non-injective pairing": (
        check_unit_mass,
        over_d(lambda d: st.tuples(draw.standard_networks(d=d), draw.pairings(d=d))),
    ),
    "a sorting layer": (
        check_unit_mass,
        over_d(
            lambda d: st.tuples(draw.group_sort_networks(d=d), draw.single_coordinate_pairs(d=d))
        ),
    ),
    "a distance layer": (
        check_unit_mass,
        over_d(lambda d: st.tuples(draw.distance_networks(d=d), draw.single_coordinate_pairs(d=d))),
    ),
}


@pytest.mark.parametrize("case", MASS)
def test_mass_lemma(case: str) -> None:
    is_refuted(*MASS[case])


def test_counterexamples_shrink_to_one_layer_and_one_pair() -> None:
    def broken(case: tuple[Network, Pairs]) -> bool:
        try:
            check_unit_mass(*case)
        except Refuted:
            return True
        return False

    network, pairs = find(networks_with_pairs(norm=ABOVE), broken)
    assert len(network.layers) == 1 and len(pairs) == 1


def certificate_cases(**options: Any) -> Any:
    return over_d(
        lambda d: st.tuples(
            draw.standard_networks(d=d, outputs=2, max_depth=2, **options),
            draw.points(d=d),
            draw.directions(d=d),
        ),
        low=1,
    )


MARGIN = {
    "radius 1 % larger": (
        lambda n, x, v: margin.check_certificate(n, x, v, ABOVE),
        certificate_cases(),
    ),
    "row sum 1.01": (margin.check_certificate, certificate_cases(norm=ABOVE)),
    "2-Lipschitz activation": (margin.check_certificate, certificate_cases(slope=TWO)),
}


@pytest.mark.parametrize("case", MARGIN)
def test_margin_certificate(case: str) -> None:
    is_refuted(*MARGIN[case])


def two_points(networks: Callable[[int], st.SearchStrategy[Any]]) -> Any:
    return over_d(lambda d: st.tuples(networks(d), draw.points(d=d), draw.points(d=d)))


LIPSCHITZ = {
    "constant 0.99": (
        lambda n, x, y: margin.check_lipschitz(n, x, y, TIGHTER),
        two_points(lambda d: draw.networks(d=d)),
    ),
    "SortNet weights of sum 1.01": (
        margin.check_lipschitz,
        two_points(lambda d: draw.sort_networks(d=d, norm=ABOVE, max_depth=1)),
    ),
    "row sum 1.01": (
        margin.check_lipschitz,
        two_points(lambda d: draw.group_sort_networks(d=d, norm=ABOVE)),
    ),
}


@pytest.mark.parametrize("case", LIPSCHITZ)
def test_lipschitz(case: str) -> None:
    is_refuted(*LIPSCHITZ[case])


def classifier_cases(**options: Any) -> Any:
    return over_d(
        lambda d: st.tuples(
            draw.classifiers(draw.standard_networks(d=d, **options)), st.integers(1, d)
        )
    )


def check_any_function(g: BooleanFunction) -> None:
    """3.5 without symmetry, for classifiers that read one variable: logits 1 - x_i and x_i."""
    for i in range(g.d):
        row = tuple(Fraction(j == i) for j in range(g.d))
        network = StandardNetwork((Affine((tuple(-w for w in row), row), (1, 0)),))
        reached = min(margin.radius(network(x), g(x)) for x in vertices(g.d))
        if reached > boolean_impossibility.bound(g.d):
            raise Refuted(f"radius {reached} for {g}: {network}")


IMPOSSIBILITY = {
    "bound 0.99/(2d)": (
        lambda n, k: boolean_impossibility.check_bound(n, k, TIGHTER),
        classifier_cases(),
    ),
    "row sum 1.01": (boolean_impossibility.check_bound, classifier_cases(norm=ABOVE)),
    "2-Lipschitz activation": (boolean_impossibility.check_bound, classifier_cases(slope=TWO)),
    "a function that is not symmetric": (
        check_any_function,
        st.tuples(draw.boolean_functions(d=2)),
    ),
}


@pytest.mark.parametrize("case", IMPOSSIBILITY)
def test_boolean_impossibility(case: str) -> None:
    is_refuted(*IMPOSSIBILITY[case])


def regression_cases(**options: Any) -> Any:
    return over_d(
        lambda d: st.tuples(draw.standard_networks(d=d, max_depth=1, **options), st.integers(1, d))
    )


ERROR = {
    "bound 1 % larger": (
        lambda n, k: order_statistics.check_bound(n, k, ABOVE),
        regression_cases(),
    ),
    "row sum 1.01": (order_statistics.check_bound, regression_cases(norm=ABOVE)),
    "2-Lipschitz activation": (order_statistics.check_bound, regression_cases(slope=TWO)),
}


@pytest.mark.parametrize("case", ERROR)
def test_order_statistics(case: str) -> None:
    is_refuted(*ERROR[case])


def sorted_classifiers(group: int, **options: Any) -> Any:
    return over_d(
        lambda d: st.tuples(
            draw.classifiers(draw.group_sort_networks(d=d, group=group, max_sorts=1, **options)),
            st.integers(1, d),
        ),
        low=group,
    )


def check_as_if_smaller_groups(network: Network) -> None:
    """The G^s bound for G = 2, whatever the groups are, at every jump."""
    d = network.width_in
    limit = boolean_impossibility.bound(d, TWO**network.sorting_layers)
    for k in range(1, d + 1):
        reached = boolean_impossibility.best_radius(network, cyclic_pairs(d, k))
        if reached > limit:
            raise Refuted(f"radius {reached} > {limit}: {network}")


DEPTH = {
    "bound 0.99 G^s/(2d)": (
        lambda n, k: boolean_impossibility.check_bound(n, k, TIGHTER),
        sorted_classifiers(2),
    ),
    "row sum 1.01": (boolean_impossibility.check_bound, sorted_classifiers(2, norm=ABOVE)),
    "groups of 3 as if of 2": (
        check_as_if_smaller_groups,
        st.tuples(draw.classifiers(draw.group_sort_networks(d=3, group=3, max_sorts=1))),
    ),
}


@pytest.mark.parametrize("case", DEPTH)
def test_group_sort_bounds(case: str) -> None:
    is_refuted(*DEPTH[case])


@pytest.mark.parametrize("case", list(maxmin_depth.tight_cases(9)))
def test_the_group_sort_bounds_are_those_of_their_tight_examples(
    case: tuple[int, int, int, int],
) -> None:
    d, k, group, sorts = case
    network = maxmin_depth.tight_example(d, k, group, sorts)
    with pytest.raises(Refuted):
        boolean_impossibility.check_bound(maxmin_depth.mirrored(network), k, TIGHTER)
    if group**sorts < d:  # otherwise the bound on the error is 0
        with pytest.raises(Refuted):
            order_statistics.check_bound(network, k, ABOVE)


def test_a_tournament_with_a_layer_less_is_not_max() -> None:
    network = maxmin_depth.tournament(4)
    shallower = GroupSortNetwork((*network.layers[:2], maxmin_depth.selection(4, [0])))
    with pytest.raises(Refuted):
        maxmin_depth.check_order_statistic(shallower, 1, 1)


def test_a_sorting_network_without_a_comparator_does_not_sort() -> None:
    layers = maxmin_depth.odd_even_merge_sort(4)
    broken = [*layers[:-1], layers[-1][:-1]]
    with pytest.raises(Refuted):
        for k in range(1, 5):
            network = maxmin_depth.compile_sorting_network(4, broken, [k])
            maxmin_depth.check_order_statistic(network, k, network.sorting_layers)


def test_distance_networks_need_their_large_centres() -> None:
    is_refuted(
        lambda g: linf_dist.check_boolean(
            g, linf_dist.boolean_network(g, Fraction(3, 2) * TIGHTER)
        ),
        over_d(lambda d: st.tuples(draw.boolean_functions(d=d))),
    )
    network = linf_dist.order_statistic_network(3, 2, centre=TWO * TIGHTER)
    with pytest.raises(Refuted):
        linf_dist.check_order_statistic(network, 2)


def test_the_counting_bound_is_tight_at_depth_0() -> None:
    for d in range(1, 5):
        assert (minimal_depths(d) == 0).sum() > TIGHTER * count_bound(d, 0)


def test_compiled_networks_hold_on_their_box_only() -> None:
    is_refuted(
        sortnet_expressivity.check_group_sort,
        over_d(
            lambda d: st.tuples(draw.group_sort_networks(d=d), draw.points(d=d, low=-3, high=-1))
        ),
    )


def lattice_cases(norm: Fraction) -> Any:
    return over_d(
        lambda d: st.tuples(draw.lattice_forms(d=d, norm=norm), draw.points(d=d), st.just(1)),
        low=1,
    )


MCSHANE = {
    "error 1 % smaller": (
        lambda f, x, cells: mcshane.check_error(f, x, cells, TIGHTER),
        lattice_cases(Fraction(1)),
    ),
    "1.01-Lipschitz f": (mcshane.check_error, lattice_cases(ABOVE)),
}


@pytest.mark.parametrize("case", MCSHANE)
def test_mcshane(case: str) -> None:
    is_refuted(*MCSHANE[case])


def lines(**options: Any) -> Any:
    return over_d(
        lambda d: st.tuples(
            draw.distance_networks(d=d, **options), draw.points(d=d), st.integers(0, d - 1)
        ),
        low=1,
    )


PIECES = {
    "1 % fewer pieces": (
        lambda n, x, i: piecewise_linear.check_pieces(n, x, i, factor=TIGHTER),
        lines(max_depth=1),
    ),
    "a SortNet": (
        piecewise_linear.check_pieces,
        over_d(
            lambda d: st.tuples(
                draw.sort_networks(d=d, max_depth=1), draw.points(d=d), st.integers(0, d - 1)
            )
        ),
    ),
}


@pytest.mark.parametrize("case", PIECES)
def test_pieces(case: str) -> None:
    is_refuted(*PIECES[case])


def values(d_low: int = 1) -> Any:
    rho = draw.scalars(low=0, high=Fraction(9, 10), denominator=10)
    return over_d(
        lambda d: st.tuples(draw.points(d=d, low=-2, high=2), rho, st.integers(1, 4)), low=d_low
    )


def check_correlated(x: Any, rho: Fraction, k: int) -> None:
    """The identity with one coin for all inputs in place of independent ones."""
    if (1 - rho) * max(map(abs, x)) != dropout_identity.sorted_sum(x, rho):
        raise Refuted("dependent masks give another expectation")


DROPOUT = {
    "truncation bound 1 % smaller": (
        lambda x, rho, k: dropout_identity.check_truncation(x, rho, k, TIGHTER),
        values(),
    ),
    "masks that are not independent": (check_correlated, values(2)),
}


@pytest.mark.parametrize("case", DROPOUT)
def test_dropout(case: str) -> None:
    is_refuted(*DROPOUT[case])


def test_bad_pairs_are_refused_where_the_lemma_is_stated() -> None:
    x = (Fraction(0), Fraction(0))
    y = (Fraction(1), Fraction(0))
    with pytest.raises(ValueError, match="in one pair only"):
        Pairs(((x, y), (x, y)))


def test_group_sort_refuses_groups_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="divides the width"):
        GroupSort(5, 2)
