"""Every check of the registry passes, and the constructions are what they are said to be."""

import importlib
from fractions import Fraction
from functools import partial
from math import ceil, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sortnet.theory.objects import lattice, sampling
from sortnet.theory.objects import strategies as draw
from sortnet.theory.objects.boolean import (
    BooleanFunction,
    Pairs,
    SymmetricFunction,
    cyclic_pairs,
    disjunction,
    parity,
)
from sortnet.theory.objects.exact import order_statistic, vertices
from sortnet.theory.objects.networks import (
    RELU,
    Activation,
    Affine,
    Distance,
    DistanceNetwork,
    GroupSort,
    GroupSortNetwork,
    Network,
    Scale,
    Shift,
    Sort,
    SortNetwork,
    StandardNetwork,
)
from sortnet.theory.objects.results import Refuted
from sortnet.theory.report.registry import results, select
from sortnet.theory.theorems import (
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

F = Fraction
FAST = settings(max_examples=25, deadline=None)
CHECKS = {
    f"{result.number}: {check.name}": check
    for result in results()
    for check in result.checks
    if not check.run.__name__.startswith("_trained")  # searches: test_search.py
}


@pytest.fixture
def few_examples(monkeypatch):
    few = partial(_sample_few, sampling.sample)
    for result in results():
        for check in result.checks:
            module = importlib.import_module(check.run.__module__)
            if hasattr(module, "sample"):
                monkeypatch.setattr(module, "sample", few)


def _sample_few(sample, check, *strategies, examples):
    sample(check, *strategies, examples=min(examples, 20))


@pytest.mark.parametrize("name", CHECKS)
def test_check_passes(name, few_examples):
    check = CHECKS[name]
    evidence = check.run(False)
    assert evidence.kind == check.kind
    assert evidence.range
    assert (evidence.networks > 0) == (evidence.kind == "exact")


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_thorough_check_passes(name):
    assert CHECKS[name].run(True).range


def test_results_are_found_by_their_number():
    assert [r.number for r in select("3.5")] == ["3.5"]
    assert select() == results()
    with pytest.raises(ValueError, match=r"no result is called '3\.7'"):
        select("3.7")


# --- lattice polynomials ------------------------------------------------------------------------


@FAST
@given(st.integers(1, 5).flatmap(lambda d: st.tuples(draw.points(d=d), st.integers(1, d))))
def test_order_statistic_polynomials_are_order_statistics_everywhere(case):
    x, k = case
    assert lattice.order_statistic_polynomial(len(x), k)(x) == order_statistic(x, k)


@FAST
@given(st.integers(1, 5).flatmap(lambda d: st.tuples(draw.points(d=d), st.integers(1, d))))
def test_networks_on_the_cube_are_their_lattice_form(case):
    x, k = case
    d = len(x)
    for network in (
        linf_dist.order_statistic_network(d, k),
        maxmin := maxmin_depth.order_statistic_network(d, k),
        sortnet_expressivity.from_group_sort(maxmin, (F(0),) * d, (F(1),) * d),
    ):
        term = lattice.on_cube(network)[0]
        assert network(x) == (term.offset + term.sign * term.polynomial(x),)
        assert network(x) == (order_statistic(x, k),)


def test_a_network_without_a_lattice_form_is_refused():
    for network, message in (
        (GroupSortNetwork((Affine(((F(1, 2), F(1, 2)),)),)), "single entry"),
        (DistanceNetwork((Distance(((F(1, 2),),)),)), "changes branch"),
        (GroupSortNetwork((Affine(((1,), (-1,)), (0, 1)), GroupSort(2, 2))), "not a lattice"),
        (SortNetwork((Sort(((F(1, 2), F(1, 2)),), ((0, 0),)),)), "single entry"),
        (SortNetwork((Sort(((1,),), ((F(-1, 2),),)),)), "changes branch"),
        (StandardNetwork((Activation((RELU,)),)), "no lattice form"),
    ):
        with pytest.raises(ValueError, match=message):
            lattice.on_cube(network)
    with pytest.raises(ValueError, match="no lattice polynomial"):
        lattice.LatticePolynomial(1, 0)((F(1),))


# --- constructions ------------------------------------------------------------------------------


def test_mass_of_a_mean_and_of_a_distance():
    pairs = cyclic_pairs(4, 2)
    assert mass.masses(order_statistics.tight_example(4, 2), pairs) == [(1,)]
    assert mass.masses(mass.escape(4), cyclic_pairs(4, 1)) == [(4,)]
    assert mass.escape(4).mass_bounds(4) == [4]


def test_margin_radius():
    assert margin.radius((F(1), F(4), F(2))) == 1
    assert margin.radius((F(1), F(4)), label=0) == F(-3, 2)
    assert margin.prediction((F(2), F(2))) == 0
    for logits, label in (((F(1),), None), ((F(1), F(2)), 2)):
        with pytest.raises(ValueError, match="expected"):
            margin.radius(logits, label)


def test_parity_is_tight_on_the_whole_cube():
    g = parity(5)
    assert boolean_impossibility.certified_radius(boolean_impossibility.tight_example(g), g) == (
        boolean_impossibility.bound(5)
    )
    with pytest.raises(ValueError, match="non-constant"):
        boolean_impossibility.tight_example(SymmetricFunction((0, 0)))


def test_a_standard_network_may_be_robust_beyond_its_certificate():
    d, delta = 3, F(1, 100)
    network = boolean_impossibility.robust_example(d, delta)
    r = F(1, 2) - d * delta - F(1, 1000)
    for v in vertices(d):
        # The second logit rises with every entry, so the worst point of the ball is a corner.
        worst = tuple(b - r if any(v) else b + r for b in v)
        assert margin.prediction(network(v)) == margin.prediction(network(worst)) == int(any(v))
    g = disjunction(d)
    assert boolean_impossibility.certified_radius(network, g) <= boolean_impossibility.bound(d) < r
    with pytest.raises(ValueError, match="delta"):
        boolean_impossibility.robust_example(3, F(1, 6))


def test_symmetric_error_wants_equal_weights():
    network = order_statistics.StandardNetwork((Affine(((1, 0),)),))
    with pytest.raises(ValueError, match="equal weights"):
        order_statistics.symmetric_error(network, 1)


@pytest.mark.parametrize("group", [2, 3, 4])
def test_needed_depth_is_a_logarithm(group):
    for d in range(1, 40):
        assert maxmin_depth.needed_depth(d, group) == ceil(round(log(d, group), 9))


@FAST
@given(st.integers(1, 9).flatmap(lambda d: draw.points(d=d, low=-3, high=3)))
def test_compiled_sorting_networks_sort(x):
    d = len(x)
    layers = maxmin_depth.odd_even_merge_sort(d)
    assert maxmin_depth.compile_sorting_network(d, layers)(x) == tuple(sorted(x, reverse=True))


ONE_OUTPUT = order_statistics.tight_example(2, 1)
REFUSED = {
    "overlapping comparators": lambda: maxmin_depth.compile_sorting_network(3, [[(0, 1), (1, 2)]]),
    "rank": lambda: maxmin_depth.compile_sorting_network(3, [], [4]),
    "group of 1": lambda: maxmin_depth.tournament(4, 1),
    "no dimension": lambda: maxmin_depth.tournament(0),
    "group^sorts": lambda: maxmin_depth.tight_example(6, 1, 2, 2),
    "inner jump": lambda: maxmin_depth.tight_example(8, 4, 2, 2),
    "depth": lambda: circuits.count_bound(3, -1),
    "polynomials": lambda: lattice.variable(1, 0) | lattice.variable(2, 0),
    "table of a polynomial": lambda: lattice.LatticePolynomial(1, 4),
    "source": lambda: maxmin_depth.selection(2, [5]),
    "negative source": lambda: maxmin_depth.selection(2, [-1]),
    "no sources": lambda: maxmin_depth.selection(2, []),
    "wire": lambda: maxmin_depth.compile_sorting_network(2, [[(0, 2)]]),
    "wire of a float": lambda: maxmin_depth.compile_sorting_network(2, [[(0.0, 1)]]),
    "three wires": lambda: maxmin_depth.compile_sorting_network(3, [[(0, 1, 2)]]),
    "no ranks": lambda: maxmin_depth.compile_sorting_network(2, [], []),
    "one logit": lambda: boolean_impossibility.best_radius(ONE_OUTPUT, cyclic_pairs(2, 1)),
    "one logit at a jump": lambda: boolean_impossibility.check_bound(ONE_OUTPUT, 1),
    "one logit of a function": lambda: boolean_impossibility.certified_radius(
        ONE_OUTPUT, parity(2)
    ),
    "one logit of a certificate": lambda: margin.check_certificate(
        ONE_OUTPUT, (F(0), F(0)), (F(1), F(1))
    ),
    "no pairs": lambda: boolean_impossibility.best_radius(
        boolean_impossibility.threshold_example(2, 1), Pairs(())
    ),
    "constant g": lambda: boolean_impossibility.tight_example(SymmetricFunction((1, 1))),
    "negative mass": lambda: boolean_impossibility.bound(2, -1),
    "negative mass of 3.6": lambda: order_statistics.bound(2, 1, -1),
    "no logits": lambda: margin.prediction(()),
    "class of a float": lambda: margin.radius((F(1), F(2)), label=1.0),
    "long direction": lambda: margin.check_certificate(margin.tie()[0], (F(0),), (F(2),)),
    "short direction": lambda: margin.check_certificate(margin.tie()[0], (F(0),), ()),
    "negative norm": lambda: margin.check_lipschitz(ONE_OUTPUT, (F(0),) * 2, (F(0),) * 2, -1),
    "bounds": lambda: mass.check_mass(ONE_OUTPUT, cyclic_pairs(2, 1), []),
    "pairs of another width": lambda: mass.check_mass(ONE_OUTPUT, cyclic_pairs(3, 1)),
    "delta": lambda: boolean_impossibility.robust_example(2, None),
    "negative variable": lambda: circuits.truth_table(circuits.Literal(-1), 2),
    "variable of a table": lambda: circuits.truth_table(circuits.Literal(2), 2),
    "constant of a circuit": lambda: circuits.Constant(2),
    "no GroupSort network": lambda: sortnet_expressivity.from_group_sort(
        Network((Scale(1, F(1)),)), (F(0),), (F(1),)
    ),
    "outside the cube": lambda: mcshane.check_error(max, (F(2),), 1),
    "no coordinates": lambda: mcshane.check_error(max, (), 1),
    "float piece": lambda: piecewise_linear.LatticeForm(Affine(((1,),)), ((0.0,),)),
    "truncation of nothing": lambda: dropout_identity.check_truncation((), F(1, 2), 1),
    "rho of the truncation": lambda: dropout_identity.check_truncation((F(1),), F(1), 1),
    "five variables": lambda: circuits.minimal_depths(5),
    "variable": lambda: circuits.compile_circuit(circuits.Literal(2), 2),
    "constant network": lambda: circuits.single_weights(
        circuits.compile_circuit(circuits.Constant(1), 2)
    ),
    "not Boolean": lambda: circuits.single_weights(GroupSortNetwork((Affine(((F(1, 2),),)),))),
    "groups of 3": lambda: circuits.single_weights(
        GroupSortNetwork((Affine(((1,),) * 3), GroupSort(3, 3), Affine(((1, 0, 0),))))
    ),
    "term": lambda: piecewise_linear.LatticeForm(Affine(((1,),)), ((1,),)),
    "axis": lambda: piecewise_linear.knots_along_axis(mass.escape(2), (F(0), F(0)), 2),
    "box": lambda: sortnet_expressivity.affine_to_sort(Affine(((1,),)), (F(1),), (F(0),)),
    "cells": lambda: mcshane.net(2, 0),
    "probability": lambda: dropout_identity.expected_max((F(1),), 2),
    "no entries": lambda: dropout_identity.sorted_sum((), F(1, 2)),
    "strategy": lambda: draw.rows(width=0),
    "scalars": lambda: draw.scalars(low=1, high=0),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_clear_error(case):
    with pytest.raises(ValueError, match=r"expected|has no"):
        REFUSED[case]()


SIZES = {
    "escape": mass.escape,
    "bound of 3.5": boolean_impossibility.bound,
    "threshold_example": lambda n: boolean_impossibility.threshold_example(n, 1),
    "threshold_example k": lambda n: boolean_impossibility.threshold_example(2, n),
    "robust_example": lambda n: boolean_impossibility.robust_example(n, F(1, 100)),
    "check_bound of 3.5": lambda n: boolean_impossibility.check_bound(LOGITS, n),
    "bound of 3.6": lambda n: order_statistics.bound(n, 1),
    "bound of 3.6 k": lambda n: order_statistics.bound(2, n),
    "check_bound of 3.6": lambda n: order_statistics.check_bound(LOGITS, n),
    "cyclic_error": lambda n: order_statistics.cyclic_error(LOGITS, n),
    "best_error": lambda n: order_statistics.best_error(LOGITS, n),
    "tight_example of 3.6": lambda n: order_statistics.tight_example(n, 1),
    "tight_example of 3.6 k": lambda n: order_statistics.tight_example(2, n),
    "distance order statistic": lambda n: linf_dist.order_statistic_network(n, 1),
    "distance order statistic k": lambda n: linf_dist.order_statistic_network(2, n),
    "needed_depth": maxmin_depth.needed_depth,
    "needed_depth of a group": lambda n: maxmin_depth.needed_depth(3, n),
    "selection width": lambda n: maxmin_depth.selection(n, [0]),
    "tournament": maxmin_depth.tournament,
    "odd_even_merge_sort": maxmin_depth.odd_even_merge_sort,
    "compile_sorting_network": lambda n: maxmin_depth.compile_sorting_network(n, []),
    "compile_sorting_network rank": lambda n: maxmin_depth.compile_sorting_network(2, [], [n]),
    "MaxMin order statistic": lambda n: maxmin_depth.order_statistic_network(n, 1),
    "tight_example of 3.9": lambda n: maxmin_depth.tight_example(n, 1, 2, 1),
    "tight_example of 3.9 k": lambda n: maxmin_depth.tight_example(2, n, 2, 1),
    "tight_example of 3.9 group": lambda n: maxmin_depth.tight_example(2, 1, n, 1),
    "tight_example of 3.9 sorts": lambda n: maxmin_depth.tight_example(4, 1, 2, n),
    "order_statistic_polynomial": lambda n: lattice.order_statistic_polynomial(n, 1),
    "variable": lambda n: lattice.variable(n, 0),
    "LatticePolynomial": lambda n: lattice.LatticePolynomial(n, 1),
    "truth_table": lambda n: circuits.truth_table(circuits.Literal(0), n),
    "compile_circuit": lambda n: circuits.compile_circuit(circuits.Literal(0), n),
    "count_bound": lambda n: circuits.count_bound(n, 1),
    "counting_depth": circuits.counting_depth,
    "minimal_depths": circuits.minimal_depths,
    "net": lambda n: mcshane.net(n, 1),
    "net cells": lambda n: mcshane.net(1, n),
    "check_error cells": lambda n: mcshane.check_error(max, (F(0),), n),
    "tight_example of McShane": lambda n: mcshane.tight_example(1, n),
    "symbolic_difference": dropout_identity.symbolic_difference,
    "practical_sum": lambda n: dropout_identity.practical_sum((F(1),), F(1, 2), n),
    "points": lambda n: draw.points(d=n),
    "scalars of a denominator": lambda n: draw.scalars(denominator=n),
    "rows of a width": lambda n: draw.rows(width=n),
    "circuits of d": lambda n: draw.circuits(d=n),
}
LOGITS = boolean_impossibility.threshold_example(2, 1)


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "2", None])
@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_integers_in_range(name, size):
    SIZES[name](2)  # valid, and no cache may take 2.0 for it
    with pytest.raises(ValueError, match="expected"):
        SIZES[name](size)


@pytest.mark.parametrize(
    "strategy",
    [
        lambda: draw.standard_networks(d=2, max_depth=0),
        lambda: draw.standard_networks(d=2.0),  # type: ignore[arg-type]
        lambda: draw.standard_networks(d=2, norm=-1),
        lambda: draw.piecewise_linear(slope=-1),
        lambda: draw.group_sort_networks(d=2, max_sorts=-1),
        lambda: draw.group_sort_networks(d=2, group=0),
        lambda: draw.boolean_maxmin_networks(d=2, max_depth=0),
        lambda: draw.distance_networks(d=0),
        lambda: draw.sort_networks(d=2, max_width=True),
        lambda: draw.practical_sort_networks(d=2, outputs=0),
        lambda: draw.lattice_forms(d=2, max_pieces=0),
        lambda: draw.cyclic_data(d=0),
        lambda: draw.classifiers(draw.standard_networks(d=2, outputs=2)),
    ],
)
def test_strategies_refuse_at_the_first_draw(strategy):
    @settings(max_examples=1, database=None)
    @given(st.data())
    def first(data):
        with pytest.raises(ValueError, match="expected"):
            data.draw(strategy())

    first()


# --- declared norms -----------------------------------------------------------------------------


def stretched(network, norm):
    """The network times ``norm``, by a layer that declares it."""
    return Network((*network.layers, Scale(network.width_out, norm)))


@pytest.mark.parametrize("norm", [F(0), F(1, 3), F(5, 2)])
def test_the_bounds_scale_with_a_declared_norm(norm):
    """The tight examples, stretched, attain the scaled bounds and break any smaller one."""
    d, smaller = 4, norm * F(99, 100)
    for network in (
        boolean_impossibility.threshold_example(d, 2),
        maxmin_depth.mirrored(maxmin_depth.tight_example(d, 2, 2, 1)),
    ):
        wide = stretched(network, norm)
        assert wide.norm == norm and wide.spread == network.spread
        boolean_impossibility.check_bound(wide, 2, norm=wide.norm)
        limit = boolean_impossibility.bound(d, network.spread, norm=norm)
        assert boolean_impossibility.best_radius(wide, cyclic_pairs(d, 2)) == limit
        if norm:
            with pytest.raises(Refuted):
                boolean_impossibility.check_bound(wide, 2, norm=smaller)
    mean = stretched(order_statistics.tight_example(d, 2), norm)
    order_statistics.check_bound(mean, 2, norm=norm)
    best = order_statistics.best_error(mean, 2)
    assert best == order_statistics.bound(d, 2, norm)
    if norm:
        with pytest.raises(Refuted):
            order_statistics.check_bound(mean, 2, norm=smaller)
    two = stretched(margin.tie()[0], norm)
    if norm:
        margin.check_certificate(two, (F(1),), (F(-1),), norm=norm)
        with pytest.raises(Refuted):
            margin.check_certificate(two, (F(1),), (F(-1),), norm=smaller)


def test_a_norm_below_one_is_not_taken_for_one():
    """Without norm= a network is held to the bound for norm 1, with it to its own."""
    half = stretched(boolean_impossibility.threshold_example(3, 1), F(1, 2))
    boolean_impossibility.check_bound(half, 1)
    boolean_impossibility.check_bound(half, 1, norm=half.norm)
    zero = Network((Affine(((0, 0), (0, 0)), norm=0),))
    boolean_impossibility.check_bound(zero, 1, norm=zero.norm)
    order_statistics.check_bound(zero, 1, norm=zero.norm)
    mass.check_mass(zero, cyclic_pairs(2, 1))
    with pytest.raises(ValueError, match="norm > 0"):
        margin.check_certificate(zero, (F(0), F(0)), (F(1), F(1)), norm=zero.norm)
    for check in (boolean_impossibility.check_bound, order_statistics.check_bound):
        with pytest.raises(ValueError, match="norm >= 0"):
            check(zero, 1, norm=-1)


def test_a_sort_net_with_another_rank_or_overlapping_groups_is_refuted():
    """The check on the whole cube sees what one vertex alone would not show."""
    d, k = 3, 2
    good = sortnet_expressivity.from_group_sort(
        maxmin_depth.order_statistic_network(d, k), (F(0),) * d, (F(1),) * d
    )
    maxmin_depth.check_order_statistic(good, k, 0)
    last = good.layers[-1]
    assert isinstance(last, Sort)
    turned = Sort((last.weights[0][1:] + last.weights[0][:1],), last.offsets, last.bias)
    with pytest.raises(Refuted):
        maxmin_depth.check_order_statistic(SortNetwork((*good.layers[:-1], turned)), k, 0)
    shifted = SortNetwork((*good.layers, Shift((F(1, 10**9),))))
    with pytest.raises(Refuted):
        maxmin_depth.check_order_statistic(shifted, k, 0)
    together = Sort(last.weights, ((last.offsets[0][0],) * len(last.offsets[0]),), last.bias)
    merged = SortNetwork((*good.layers[:-1], together))
    with pytest.raises((Refuted, ValueError)):
        maxmin_depth.check_order_statistic(merged, k, 0)


def test_the_certified_radius_of_tight_group_sort_networks():
    network = maxmin_depth.mirrored(maxmin_depth.tight_example(8, 5, 4, 1))
    assert boolean_impossibility.best_radius(network, cyclic_pairs(8, 5)) == F(4, 16)


# --- circuits -----------------------------------------------------------------------------------


def test_minimal_depths_agree_with_a_direct_search():
    """Depth by depth from all pairs, ANDs and ORs, for d = 3."""
    everything = (1 << 8) - 1
    literals = [sum(1 << i for i in range(8) if i >> j & 1) for j in range(3)]
    depth_of = dict.fromkeys([0, everything, *literals, *(everything ^ t for t in literals)], 0)
    depth = 0
    while len(depth_of) < 256:
        depth += 1
        known = list(depth_of)
        for a in known:
            for b in known:
                depth_of.setdefault(a & b, depth)
                depth_of.setdefault(a | b, depth)
    assert [depth_of[t] for t in range(256)] == circuits.minimal_depths(3).tolist()


def test_minimal_depths_of_four_variables():
    """The whole distribution: sums to 65,536, no function needs more than 5."""
    counts = [int((circuits.minimal_depths(4) == m).sum()) for m in range(6)]
    assert counts == [10, 48, 684, 17064, 47634, 96]


@FAST
@given(draw.boolean_functions(d=4))
def test_minimal_circuits_of_four_variables(g):
    circuit = circuits.minimal_circuit(g)
    assert circuits.truth_table(circuit, 4) == g
    assert circuit.depth == circuits.minimal_depths(4)[g.table]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3).flatmap(lambda d: st.tuples(draw.circuits(d=d), st.just(d))))
def test_compiled_circuits_are_selections(case):
    circuit, d = case
    network = circuits.compile_circuit(circuit, d)
    assert circuits.is_selection(network)
    table = circuits.truth_table(circuit, d)
    assert [network(x) for x in vertices(d)] == [(table(x),) for x in vertices(d)]


def test_drawn_maxmin_networks_have_mixed_rows():
    """The lemma is tried on rows that it really has to change."""
    mixed = []

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(draw.boolean_maxmin_networks(d=3))
    def collect(network):
        rows = [r for a in network.layers if isinstance(a, Affine) for r in a.rows]
        mixed.append(sum(sum(w != 0 for w in r) > 2 for r in rows))

    collect()
    assert sum(m > 0 for m in mixed) >= 5


def test_single_weights_on_a_network_whose_pair_is_offset():
    """max(x, y - 1/2) never sees its second unit: the partner is moved out of the way."""
    network = GroupSortNetwork(
        (Affine(((1, 0), (0, 1)), (0, F(-1, 2))), GroupSort(2, 2), Affine(((1, 0),)))
    )
    with pytest.raises(ValueError, match="values 0 and 1"):
        circuits.single_weights(network)
    lowered = GroupSortNetwork(
        (Affine(((1, 0), (0, 1)), (0, -1)), GroupSort(2, 2), Affine(((F(1), 0),)))
    )
    result = circuits.single_weights(lowered)
    assert circuits.is_selection(result)
    assert [result(x) for x in vertices(2)] == [(x[0],) for x in vertices(2)]


def test_boolean_networks_of_constants():
    for table in (0, 15):
        g = BooleanFunction(2, table)
        linf_dist.check_boolean(g, linf_dist.boolean_network(g))


@FAST
@given(st.data())
def test_from_group_sort_accepts_any_order_of_layers(data):
    d = 2
    affine = data.draw(draw.affine_layers(width_in=d, width_out=4))
    network = GroupSortNetwork((affine, GroupSort(4, 2), GroupSort(4, 4), GroupSort(4, 2)))
    sortnet_expressivity.check_group_sort(network, data.draw(draw.points(d=d)))
